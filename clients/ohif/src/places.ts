/** Where a reviewer should look first. */

import { type Triple, applied, at, reordered } from './grid.ts';
import type { Volume } from './nifti.ts';

/**
 * The middle, in millimetres, of where two masks differ on the slice on which most voxels do; nothing if they are the same.
 * Slices are those of the last axis, as which DICOM series are stored. Without another mask, it is where most is drawn.
 */
export function differsMost({ grid, values }: Volume<Uint8Array>, other?: Volume<Uint8Array>): Triple | undefined {
  const [columns, rows, slices] = grid.shape;
  const others = other === undefined ? undefined : reordered(other.values, other.grid, grid);
  let most = { count: 0, x: 0, y: 0, slice: 0 };
  for (let slice = 0; slice < slices; slice++) {
    const found = { count: 0, x: 0, y: 0, slice };
    for (let place = 0; place < columns * rows; place++) {
      const voxel = place + columns * rows * slice;
      if (at(values, voxel) !== (others?.[voxel] ?? 0)) {
        found.count++;
        found.x += place % columns;
        found.y += Math.floor(place / columns);
      }
    }
    most = found.count > most.count ? found : most;
  }
  const { count, x, y, slice } = most;
  return count === 0 ? undefined : applied(grid.affine, [x / count, y / count, slice]);
}
