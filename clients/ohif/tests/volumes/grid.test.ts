import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Grid, applied, gridOf, inverted, placesIn, reordered } from '../../src/volumes/grid.ts';

const AXIAL = {
  dimensions: [2, 3, 4],
  spacing: [0.5, 2, 5],
  origin: [10, 20, 30],
  direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
};

test('a volume in LPS lies in RAS with x and y turned round', () => {
  const { shape, affine } = gridOf(AXIAL);
  assert.deepEqual(shape, [2, 3, 4]);
  assert.deepEqual(applied(affine, [0, 0, 0]), [-10, -20, 30]);
  assert.deepEqual(applied(affine, [1, 2, 3]), [-10.5, -24, 45]);
});

test('each axis of a volume has its own direction and spacing', () => {
  // Sagittal: columns run backwards, rows downwards, slices to the left.
  const { affine } = gridOf({ ...AXIAL, origin: [0, 0, 0], direction: [0, 1, 0, 0, 0, -1, 1, 0, 0] });
  assert.deepEqual(applied(affine, [2, 0, 0]).map(value => value + 0), [0, -1, 0]);
  assert.deepEqual(applied(affine, [0, 1, 0]).map(value => value + 0), [0, 0, -2]);
  assert.deepEqual(applied(affine, [0, 0, 1]).map(value => value + 0), [-5, 0, 0]);
});

test('an affine and its inverse bring a point back', () => {
  const { affine } = gridOf({ ...AXIAL, direction: [0.8, 0.6, 0, -0.6, 0.8, 0, 0, 0, 1] });
  const there = applied(affine, [0.3, 1.7, 2.2]);
  applied(inverted(affine), there).forEach((value, axis) => {
    assert.ok(Math.abs(value - ([0.3, 1.7, 2.2][axis] ?? 0)) < 1e-9);
  });
});

test('axes that do not span the space are refused', () => {
  assert.throws(() => inverted([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]), /do not span/);
});

const PLAIN: Grid = { shape: [2, 2, 3], affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]] };

test('a mask on the same grid stays as it is', () => {
  assert.deepEqual(placesIn(PLAIN, PLAIN), { start: 0, steps: [1, 2, 4] });
});

test('a mask whose slices come in the other order is turned round', () => {
  const turned: Grid = { shape: [2, 2, 3], affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 2]] };
  const values = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  assert.deepEqual([...reordered(values, turned, PLAIN)], [9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4]);
});

test('a mask whose axes come in another order is transposed', () => {
  const transposed: Grid = { shape: [3, 2, 2], affine: [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]] };
  const values = Uint8Array.from({ length: 12 }, (_, place) => place); // place = z + 3 y + 6 x
  const expected = [0, 1, 2].flatMap(z => [0, 1].flatMap(y => [0, 1].map(x => z + 3 * y + 6 * x)));
  assert.deepEqual([...reordered(values, transposed, PLAIN)], expected);
});

test('a mask on other voxels is refused', () => {
  const other = (affine: Grid['affine'], shape: Grid['shape'] = [2, 2, 3]): Grid => ({ shape, affine });
  assert.throws(() => placesIn(other([[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]), PLAIN), /has not the voxels/);
  assert.throws(() => placesIn(other([[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0]]), PLAIN), /does not lie/);
  assert.throws(() => placesIn(other([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]), PLAIN), /does not lie/);
  assert.throws(() => placesIn(other(PLAIN.affine, [2, 2, 4]), PLAIN), /2×2×4 voxels, the image 2×2×3/);
});
