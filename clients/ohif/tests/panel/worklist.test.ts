import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { WorklistCase } from '../../src/server/server.ts';
import { countsOf, rowOf } from '../../src/panel/worklist.ts';

const UNSEEN: WorklistCase = {
  image: '1.2.3', name: 'patient7', role: 'training', state: 'unseen', who: [], note: '', drafts_of: [], label: null,
};

test('a row has what people call the case, its state, who brought it about, and the note', () => {
  assert.deepEqual(rowOf(UNSEEN), { image: '1.2.3', name: 'patient7', state: 'unseen', who: [], detail: '' });
  const returned = { ...UNSEEN, role: 'validation' as const, state: 'returned', who: ['rev'], note: 'the tip is missing' };
  assert.equal(rowOf(returned).detail, 'rev · validation · the tip is missing');
});

test('drafts of others are named, those that make the state are not named twice', () => {
  assert.equal(rowOf({ ...UNSEEN, state: 'draft', who: ['ann'], drafts_of: ['ann'] }).detail, 'ann');
  assert.equal(rowOf({ ...UNSEEN, state: 'leased', who: ['bob'], drafts_of: ['ann'] }).detail, 'bob · draft of ann');
});

test('states without a case are not counted aloud', () => {
  assert.equal(countsOf({ unseen: 4, returned: 0, finished: 2 }), '4 unseen, 2 finished');
});
