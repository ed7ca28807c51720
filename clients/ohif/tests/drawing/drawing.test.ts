import assert from 'node:assert/strict';
import { test } from 'node:test';

import { renumbered } from '../../src/drawing/drawing.ts';

test('values follow the order of the segments that are left', () => {
  const segments = { 3: { label: 'tumour' }, 1: { label: 'liver' }, 2: undefined };
  const { values, names } = renumbered(Uint8Array.from([0, 1, 3, 2, 9]), segments);
  assert.deepEqual([...values], [0, 1, 2, 0, 0]);
  assert.deepEqual(names, [
    { name: 'liver', idx: 1 },
    { name: 'tumour', idx: 2 },
  ]);
});
