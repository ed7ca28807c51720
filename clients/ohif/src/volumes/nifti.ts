/** NIfTI-1 files, as this server sends and takes them: one volume, little-endian, compressed or not. */

import { type Affine, type Grid, at, triple } from './grid.ts';

const HEADER_BYTES = 352;
const SIZE_OF_HEADER = 348;
const UINT8 = 2;
const MILLIMETRES = 2;
const SCANNER = 1;

export interface Volume<T> {
  grid: Grid;
  values: T;
}

async function through(bytes: BlobPart, stream: CompressionStream | DecompressionStream): Promise<ArrayBuffer> {
  return new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();
}

/** A compressed NIfTI of a mask. */
export async function writeMask({ grid, values }: Volume<Uint8Array>): Promise<Blob> {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  header.setInt32(0, SIZE_OF_HEADER, true);
  [3, ...grid.shape, 1, 1, 1, 1].forEach((length, index) => {
    header.setInt16(40 + 2 * index, length, true);
  });
  header.setInt16(70, UINT8, true);
  header.setInt16(72, 8, true);
  const spacing = [0, 1, 2].map(axis => Math.hypot(...grid.affine.map(row => at(row, axis))));
  [1, ...spacing].forEach((length, index) => {
    header.setFloat32(76 + 4 * index, length, true);
  });
  header.setFloat32(108, HEADER_BYTES, true);
  header.setUint8(123, MILLIMETRES);
  header.setInt16(254, SCANNER, true); // the affine is in the three rows, no quaternion
  grid.affine.flat().forEach((value, index) => {
    header.setFloat32(280 + 4 * index, value, true);
  });
  new TextEncoder().encode('n+1\0').forEach((byte, index) => {
    header.setUint8(344 + index, byte);
  });
  const whole = new Uint8Array(HEADER_BYTES + values.length);
  whole.set(new Uint8Array(header.buffer));
  whole.set(values, HEADER_BYTES);
  return new Blob([await through(whole, new CompressionStream('gzip'))], { type: 'application/gzip' });
}

type Read = (view: DataView, offset: number) => number;

const TYPES = new Map<number, [bytes: number, read: Read]>([
  [2, [1, (view, offset) => view.getUint8(offset)]],
  [4, [2, (view, offset) => view.getInt16(offset, true)]],
  [8, [4, (view, offset) => view.getInt32(offset, true)]],
  [16, [4, (view, offset) => view.getFloat32(offset, true)]],
  [64, [8, (view, offset) => view.getFloat64(offset, true)]],
  [256, [1, (view, offset) => view.getInt8(offset)]],
  [512, [2, (view, offset) => view.getUint16(offset, true)]],
]);

async function read<T extends Uint8Array | Float32Array>(
  file: ArrayBuffer,
  make: (length: number) => T
): Promise<Volume<T>> {
  const [first, second] = new Uint8Array(file, 0, 2);
  const bytes = first === 0x1f && second === 0x8b ? await through(file, new DecompressionStream('gzip')) : file;
  const view = new DataView(bytes);
  if (bytes.byteLength < HEADER_BYTES || view.getInt32(0, true) !== SIZE_OF_HEADER) {
    throw new Error('the server sent a file that is no NIfTI');
  }
  const shape = triple([1, 2, 3].map(index => view.getInt16(40 + 2 * index, true)));
  const kind = view.getInt16(70, true);
  const [size, value] = TYPES.get(kind) ?? [0, undefined];
  if (value === undefined) {
    throw new Error(`the server sent a NIfTI of a type that is not known here (${kind})`);
  }
  const count = shape[0] * shape[1] * shape[2];
  const offset = view.getFloat32(108, true);
  if (offset + count * size > bytes.byteLength) {
    throw new Error('the NIfTI that the server sent ends too early');
  }
  const [slope, intercept] = scalingOf(view);
  const values = make(count);
  for (let index = 0; index < count; index++) {
    values[index] = value(view, offset + index * size) * slope + intercept;
  }
  return { grid: { shape, affine: affineOf(view) }, values };
}

/** Slope and intercept of the values; a slope of 0 says that there are none. */
function scalingOf(view: DataView): [slope: number, intercept: number] {
  const slope = view.getFloat32(112, true);
  return slope === 0 || Number.isNaN(slope) ? [1, 0] : [slope, view.getFloat32(116, true)];
}

function affineOf(view: DataView): Affine {
  if (view.getInt16(254, true) <= 0) {
    throw new Error('the NIfTI that the server sent does not say where it lies');
  }
  const row = (index: number): number[] => [0, 1, 2, 3].map(i => view.getFloat32(280 + 16 * index + 4 * i, true));
  return [row(0), row(1), row(2)];
}

/** Read a mask of values up to 255. */
export function readMask(file: ArrayBuffer): Promise<Volume<Uint8Array>> {
  return read(file, length => new Uint8Array(length));
}

/** Read a map of numbers. */
export function readMap(file: ArrayBuffer): Promise<Volume<Float32Array>> {
  return read(file, length => new Float32Array(length));
}
