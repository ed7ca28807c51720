import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';

import type { Grid } from '../../src/volumes/grid.ts';
import { readMap, readMask, writeMask } from '../../src/volumes/nifti.ts';

const GRID: Grid = { shape: [2, 1, 3], affine: [[-0.5, 0, 0, 10], [0, -2, 0, 20], [0, 0, 5, -30]] };

const bytesOf = async (blob: Blob): Promise<Buffer> => Buffer.from(await blob.arrayBuffer());
const bufferOf = (bytes: Buffer): ArrayBuffer => new Uint8Array(bytes).buffer;

test('a mask is read as it was written, at its place', async () => {
  const values = Uint8Array.from([0, 1, 2, 3, 0, 255]);
  const file = await writeMask({ grid: GRID, values });
  const read = await readMask(await file.arrayBuffer());
  assert.deepEqual(read, { grid: GRID, values });
});

test('the header of a mask is that of a NIfTI-1 file', async () => {
  const bytes = gunzipSync(await bytesOf(await writeMask({ grid: GRID, values: new Uint8Array(6) })));
  assert.equal(bytes.length, 352 + 6);
  assert.equal(bytes.readInt32LE(0), 348);
  assert.deepEqual([0, 1, 2, 3, 4].map(index => bytes.readInt16LE(40 + 2 * index)), [3, 2, 1, 3, 1]);
  assert.deepEqual([bytes.readInt16LE(70), bytes.readInt16LE(72)], [2, 8]);
  assert.deepEqual([1, 2, 3].map(index => bytes.readFloatLE(76 + 4 * index)), [0.5, 2, 5]);
  assert.deepEqual([bytes.readFloatLE(108), bytes.readInt16LE(252), bytes.readInt16LE(254)], [352, 0, 1]);
  assert.equal(bytes.toString('latin1', 344, 348), 'n+1\0');
});

/** A file of numbers of a type, made by hand. */
function made(type: number, bits: number, data: Buffer, slope = 0, intercept = 0): Buffer {
  const header = Buffer.alloc(352);
  header.writeInt32LE(348, 0);
  [3, 2, 1, 3].forEach((length, index) => header.writeInt16LE(length, 40 + 2 * index));
  header.writeInt16LE(type, 70);
  header.writeInt16LE(bits, 72);
  header.writeFloatLE(352, 108);
  header.writeFloatLE(slope, 112);
  header.writeFloatLE(intercept, 116);
  header.writeInt16LE(2, 254);
  GRID.affine.flat().forEach((value, index) => header.writeFloatLE(value, 280 + 4 * index));
  return Buffer.concat([header, data]);
}

test('a map of single precision is read, compressed or not', async () => {
  const data = Buffer.alloc(24);
  [0, 0.25, 0.5, 1, 2, 3].forEach((value, index) => data.writeFloatLE(value, 4 * index));
  const file = made(16, 32, data);
  for (const bytes of [file, gzipSync(file)]) {
    const { grid, values } = await readMap(bufferOf(bytes));
    assert.deepEqual(grid, GRID);
    assert.deepEqual([...values], [0, 0.25, 0.5, 1, 2, 3]);
  }
});

test('slope and intercept are applied', async () => {
  const data = Buffer.alloc(12);
  [0, 1, 2, -1, 100, 5].forEach((value, index) => data.writeInt16LE(value, 2 * index));
  const { values } = await readMap(bufferOf(made(4, 16, data, 0.5, 1)));
  assert.deepEqual([...values], [1, 1.5, 2, 0.5, 51, 3.5]);
});

test('what is no NIfTI, ends too early or has no place is refused', async () => {
  const data = Buffer.alloc(24);
  const noPlace = made(16, 32, data);
  noPlace.writeInt16LE(0, 254);
  await assert.rejects(readMap(bufferOf(Buffer.from('a page of a proxy'))), /no NIfTI/);
  await assert.rejects(readMap(bufferOf(made(16, 32, data.subarray(1)))), /ends too early/);
  await assert.rejects(readMap(bufferOf(made(32, 64, data))), /type that is not known here \(32\)/);
  await assert.rejects(readMap(bufferOf(noPlace)), /does not say where/);
});
