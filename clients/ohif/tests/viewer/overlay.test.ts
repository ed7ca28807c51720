import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Volume } from '../../src/volumes/nifti.ts';
import { pixelsOf, planeOf } from '../../src/viewer/overlay.ts';

/** Two voxels along each axis, 2 mm apart from RAS (0, 0, 0) on; values 0 to 7 in their order. */
const MAP: Volume<Float32Array> = {
  grid: { shape: [2, 2, 2], affine: [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]] },
  values: Float32Array.from([0, 1, 2, 3, 4, 5, 6, 7]),
};

test('the plane of a view is found in voxels of the map', () => {
  // An axial view at z = 2 mm: a pixel is 1 mm, x to the left of the patient, y backwards.
  const plane = planeOf({ canvasToWorld: ([x, y]) => [x, y, 2] }, MAP, 2);
  assert.deepEqual(plane.first, [-0.5, -0.5, 1]);
  assert.deepEqual(plane.right.map(value => value + 0), [-1, 0, 0]);
  assert.deepEqual(plane.down.map(value => value + 0), [0, -1, 0]);
});

test('each pixel has the nearest voxel, and none outside the map or where the map is small', () => {
  const plane = { first: [0.2, 0.2, 0.1] as [number, number, number], right: [1, 0, 0] as [number, number, number], down: [0, 1, 0] as [number, number, number] };
  const opaque = (largest: number, slice: number): number[] => {
    const pixels = pixelsOf(MAP, largest, { ...plane, first: [0.2, 0.2, slice] }, 3, 2);
    return [0, 1, 2, 3, 4, 5].map(pixel => pixels[4 * pixel + 3] ?? 0);
  };
  const shown = opaque(7, 1).map(alpha => alpha > 0);
  assert.deepEqual(shown, [true, true, false, true, true, false]); // the third column lies outside
  const [a, b, , c, d] = opaque(40, 1);
  assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined);
  assert.ok(a < b && b < c && c < d, 'more opaque where it is more uncertain');
  assert.deepEqual(opaque(7, 0).map(alpha => alpha > 0), [false, true, false, true, true, false]); // the first is 0
});
