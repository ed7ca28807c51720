/** Where the voxels of a volume lie: an affine to millimetres in RAS, and the change of axes between two grids. */

export type Triple = [number, number, number];

/** Three rows of four numbers: from voxel indices to millimetres, x to the right, y forwards, z upwards. */
export type Affine = [number[], number[], number[]];

export interface Grid {
  shape: Triple;
  affine: Affine;
}

/** A volume as the viewer describes it: millimetres in LPS, three direction cosines for each axis of the voxels. */
export interface ViewerVolume {
  dimensions: ArrayLike<number>;
  spacing: ArrayLike<number>;
  origin: ArrayLike<number>;
  direction: ArrayLike<number>;
}

const AXES = [0, 1, 2] as const;

export function at(values: ArrayLike<number>, index: number): number {
  const value = values[index];
  if (value === undefined) {
    throw new RangeError(`index ${index} of ${values.length} numbers`);
  }
  return value;
}

export function triple(values: ArrayLike<number>): Triple {
  return [at(values, 0), at(values, 1), at(values, 2)];
}

/** The grid of a volume of the viewer. DICOM's x and y point to the other side than those of NIfTI. */
export function gridOf(volume: ViewerVolume): Grid {
  const row = (world: number): number[] => {
    const sign = world === 2 ? 1 : -1;
    const along = AXES.map(axis => sign * at(volume.direction, 3 * axis + world) * at(volume.spacing, axis));
    return [...along, sign * at(volume.origin, world)];
  };
  return { shape: triple(volume.dimensions), affine: [row(0), row(1), row(2)] };
}

/** The inverse of an affine. Throws if its axes do not span the space. */
export function inverted(affine: Affine): Affine {
  const m = (row: number, column: number): number => at(affine[row as 0 | 1 | 2], column);
  const cofactor = (row: number, column: number): number => {
    const [a, b] = [(row + 1) % 3, (row + 2) % 3];
    const [c, d] = [(column + 1) % 3, (column + 2) % 3];
    return m(a, c) * m(b, d) - m(a, d) * m(b, c);
  };
  const determinant = AXES.reduce<number>((sum, column) => sum + m(0, column) * cofactor(0, column), 0);
  if (Math.abs(determinant) < 1e-12) {
    throw new Error('the axes of the volume do not span the space');
  }
  const row = (index: number): number[] => {
    const linear = AXES.map(column => cofactor(column, index) / determinant);
    const shift = -AXES.reduce<number>((sum, column) => sum + at(linear, column) * m(column, 3), 0);
    return [...linear, shift];
  };
  return [row(0), row(1), row(2)];
}

export function applied(affine: Affine, point: ArrayLike<number>): Triple {
  const one = (row: number[]): number =>
    at(row, 0) * at(point, 0) + at(row, 1) * at(point, 1) + at(row, 2) * at(point, 2) + at(row, 3);
  return [one(affine[0]), one(affine[1]), one(affine[2])];
}

/** Tolerance in voxels within which two grids are the same. */
const SAME_VOXEL = 0.05;

/**
 * For each voxel of `target`, in its order, the place of the same voxel in an array on `source`. The arrays may differ
 * in the order and the direction of their axes only. Throws otherwise.
 */
export function placesIn(source: Grid, target: Grid): { start: number; steps: Triple } {
  const back = inverted(source.affine);
  const corner = applied(back, applied(target.affine, [0, 0, 0]));
  const strides: Triple = [1, source.shape[0], source.shape[0] * source.shape[1]];
  const steps = AXES.map(axis => {
    const unit = AXES.map(other => (other === axis ? 1 : 0));
    const next = applied(back, applied(target.affine, unit));
    const moved = AXES.map(other => at(next, other) - at(corner, other));
    const rounded = moved.map(Math.round);
    const far = (target.shape[axis] - 1) * Math.max(...AXES.map(i => Math.abs(at(moved, i) - at(rounded, i))));
    const along = AXES.filter(other => rounded[other] !== 0);
    const [first] = along;
    if (far > SAME_VOXEL || along.length !== 1 || first === undefined || Math.abs(at(rounded, first)) !== 1) {
      throw new Error('the mask has not the voxels of the image');
    }
    if (source.shape[first] !== target.shape[axis]) {
      throw new Error(`the mask has ${source.shape.join('×')} voxels, the image ${target.shape.join('×')}`);
    }
    return at(rounded, first) * strides[first];
  });
  const start = AXES.reduce<number>((sum, axis) => {
    const index = Math.round(corner[axis]);
    if (Math.abs(corner[axis] - index) > SAME_VOXEL || index < 0 || index >= source.shape[axis]) {
      throw new Error('the mask does not lie on the image');
    }
    return sum + index * strides[axis];
  }, 0);
  return { start, steps: triple(steps) };
}

/** The values of an array on `source` in the order of the voxels of `target`. */
export function reordered<T extends Uint8Array | Float32Array>(values: T, source: Grid, target: Grid): T {
  const { start, steps } = placesIn(source, target);
  const [width, height, depth] = target.shape;
  const result = new (values.constructor as new (length: number) => T)(width * height * depth);
  let place = 0;
  for (let k = 0; k < depth; k++) {
    for (let j = 0; j < height; j++) {
      let from = start + j * steps[1] + k * steps[2];
      if (steps[0] === 1) {
        result.set(values.subarray(from, from + width), place); // many times as fast as one by one
        place += width;
        continue;
      }
      for (let i = 0; i < width; i++, from += steps[0]) {
        result[place++] = values[from] ?? 0;
      }
    }
  }
  return result;
}
