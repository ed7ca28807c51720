import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isReadWhole, reasonOf } from '../../src/panel/panel.ts';
import type { Query } from '../../src/server/server.ts';

const QUERY: Query = {
  image: '1.2.3', plane: null, slices: [], role: 'training', kind: 'volume', reason: '', model_version: null, draft: false, returned: null,
};

const RETURNED = { reviewer: 'rev', note: 'the tip is missing' };

test('a note, and why a label became a draft, are shown to the end', () => {
  assert.equal(isReadWhole({ query: { ...QUERY, draft: true } }), true);
  assert.equal(isReadWhole({ query: { ...QUERY, returned: RETURNED } }), true);
  assert.equal(isReadWhole({ query: QUERY }), false);
  assert.equal(isReadWhole({ query: null }), false);
});

test('the one who has returned a label is named with their note', () => {
  assert.equal(reasonOf({ query: { ...QUERY, returned: RETURNED }, review: null }), 'Returned by rev: the tip is missing');
});
