import assert from 'node:assert/strict';
import { test } from 'node:test';

import { digestOf } from '../../src/drawing/digest.ts';

test('a digest is that of the values alone, and differs with each of them, their order and their number', () => {
  const base = Uint8Array.from({ length: 11 }, (_, index) => index % 3);
  const digests = new Set([digestOf(base), digestOf(base.toReversed()), digestOf(base.subarray(1)), digestOf(base.subarray(0, 10))]);
  for (let place = 0; place < base.length; place++) {
    for (const value of [3, 128, 255]) {
      digests.add(digestOf(base.with(place, value)));
    }
  }
  assert.equal(digests.size, 4 + 11 * 3);
  const within = new Uint8Array(14);
  within.set(base, 3);
  assert.equal(digestOf(within.subarray(3)), digestOf(base));
  assert.match(digestOf(base), /^[0-9a-f]{16}$/);
});

test('pairs of changes do not cancel each other', () => {
  const digests = new Set<string>();
  for (let one = 0; one < 64; one++) {
    for (let other = one + 1; other < 64; other++) {
      digests.add(digestOf(new Uint8Array(64).with(one, 128).with(other, 128)));
    }
  }
  assert.equal(digests.size, 64 * 63 / 2);
});
