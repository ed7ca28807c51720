import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isReadWhole } from '../../src/panel/panel.ts';
import type { Query } from '../../src/server/server.ts';

const QUERY: Query = {
  image: '1.2.3', plane: null, slices: [], role: 'training', kind: 'volume', reason: '', model_version: null, draft: false, returned: null,
};

test('a note, and why a label became a draft, are shown to the end', () => {
  assert.equal(isReadWhole({ query: { ...QUERY, draft: true } }), true);
  assert.equal(isReadWhole({ query: { ...QUERY, returned: { note: 'the tip is missing' } } }), true);
  assert.equal(isReadWhole({ query: QUERY }), false);
  assert.equal(isReadWhole({ query: null }), false);
});
