/** Where a reviewer should look first. */

import { type Triple, applied, reordered } from '../volumes/grid.ts';
import type { Volume } from '../volumes/nifti.ts';

/**
 * The middle, in millimetres, of where two masks differ on the slice on which most voxels do; nothing if they are the same.
 * Slices are those of the last axis, as which DICOM series are stored. Without another mask, it is where most is drawn.
 */
export function differsMost({ grid, values }: Volume<Uint8Array>, other?: Volume<Uint8Array>): Triple | undefined {
  const [columns, rows, slices] = grid.shape;
  const others = other === undefined ? undefined : reordered(other.values, other.grid, grid);
  let most = { count: 0, x: 0, y: 0, slice: 0 };
  for (let slice = 0; slice < slices; slice++) {
    const [from, to] = [columns * rows * slice, columns * rows * (slice + 1)];
    const found = { ...differences(values.subarray(from, to), others?.subarray(from, to), columns), slice };
    most = found.count > most.count ? found : most;
  }
  const { count, x, y, slice } = most;
  return count === 0 ? undefined : applied(grid.affine, [x / count, y / count, slice]);
}

/**
 * How many voxels of a slice differ, and the sums of their columns and rows. It looks at each voxel of a volume, a hundred
 * million of a large one, while the page waits: hence no function is called for a voxel.
 */
function differences(values: Uint8Array, others: Uint8Array | undefined, columns: number): { count: number; x: number; y: number } {
  let [count, x, y] = [0, 0, 0];
  for (let place = 0; place < values.length; place++) {
    if (values[place] !== (others === undefined ? 0 : others[place])) {
      count++;
      x += place % columns;
      y += Math.floor(place / columns);
    }
  }
  return { count, x, y };
}
