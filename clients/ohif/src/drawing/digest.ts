/** A digest of values, by which a drawing is known again. */

const turned = (bits: number, by: number): number => (bits << by) | (bits >>> (32 - by));

/** 64 bits in hexadecimal digits. Made here, as the browser's own digests are there over HTTPS only. */
export function digestOf(values: Uint8Array): string {
  const whole = values.byteOffset % 4 === 0 ? values : values.slice();
  const words = new Uint32Array(whole.buffer, whole.byteOffset, whole.length >> 2);
  let [one, other] = [values.length, ~values.length];
  const add = (word: number): void => {
    one = Math.imul(turned(one, 5) ^ word, 0x9e3779b1);
    other = Math.imul(turned(other, 13) ^ word, 0x85ebca6b);
  };
  words.forEach(add);
  whole.subarray(words.length * 4).forEach(add);
  return [one, other].map(lane => (lane >>> 0).toString(16).padStart(8, '0')).join('');
}
