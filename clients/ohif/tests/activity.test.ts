import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Activity } from '../src/activity.ts';

test('the time between inputs counts, and a coffee does not', () => {
  const activity = new Activity();
  activity.note(1_000);
  assert.equal(activity.seconds, 0);
  activity.note(6_000);
  activity.note(31_000);
  assert.equal(activity.seconds, 30);
  activity.note(31_000 + 600_000);
  activity.note(31_000 + 601_000);
  assert.equal(activity.take(), 31);
  assert.equal(activity.seconds, 0);
});
