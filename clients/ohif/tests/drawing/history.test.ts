import assert from 'node:assert/strict';
import { test } from 'node:test';

import { History } from '../../src/drawing/history.ts';

/** Apply what undo or redo says. */
function write(values: Uint8Array, change: [Uint32Array, Uint8Array] | undefined): void {
  change?.[0].forEach((place, index) => (values[place] = change[1][index] ?? 0));
}

test('a stroke is taken back and repeated', () => {
  const values = Uint8Array.from([0, 1, 0, 2]);
  const history = new History(values);
  assert.equal(history.record([{ start: 0, values }]), false);
  assert.equal(history.canUndo, false);
  values.set([1, 1], 0);
  assert.equal(history.record([{ start: 0, values }]), true);
  values.set([3], 2);
  assert.equal(history.record([{ start: 2, values: values.subarray(2) }]), true);
  write(values, history.undo());
  assert.deepEqual([...values], [1, 1, 0, 2]);
  write(values, history.undo());
  assert.deepEqual([...values], [0, 1, 0, 2]);
  assert.equal(history.undo(), undefined);
  write(values, history.redo());
  write(values, history.redo());
  assert.deepEqual([...values], [1, 1, 3, 2]);
  assert.equal(history.redo(), undefined);
  assert.deepEqual([...history.values], [...values]);
});

test('the position is the same again when a stroke is taken back, or repeated, to there', () => {
  const history = new History(new Uint8Array(3), 2);
  const opened = history.position;
  history.record([{ start: 0, values: [1] }]);
  const drawn = history.position;
  assert.notEqual(drawn, opened);
  history.undo();
  assert.equal(history.position, opened);
  history.redo();
  assert.equal(history.position, drawn);
  history.undo();
  history.record([{ start: 0, values: [2] }]);
  assert.notEqual(history.position, drawn);
  history.record([{ start: 0, values: [3, 3, 3] }]); // so much that the first stroke can no longer be taken back
  history.undo();
  assert.equal(history.canUndo, false);
  assert.notEqual(history.position, opened);
});

test('a new stroke forgets what was taken back', () => {
  const history = new History(new Uint8Array(3));
  history.record([{ start: 0, values: [1] }]);
  history.undo();
  assert.equal(history.canRedo, true);
  history.record([{ start: 1, values: [2] }]);
  assert.equal(history.canRedo, false);
  assert.deepEqual([...history.values], [0, 2, 0]);
});

test('any strokes, taken back one by one, give each earlier state again', () => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };
  const values = Uint8Array.from({ length: 50 }, () => random(3));
  const history = new History(values);
  const states = [values.slice()];
  for (let stroke = 0; stroke < 30; stroke++) {
    const start = random(40);
    values.fill(random(4), start, start + random(10));
    if (history.record([{ start, values: values.subarray(start, start + 10) }])) {
      states.push(values.slice());
    }
  }
  for (const state of states.slice(0, -1).reverse()) {
    write(values, history.undo());
    assert.deepEqual(values, state);
  }
  for (const state of states.slice(1)) {
    write(values, history.redo());
    assert.deepEqual(values, state);
  }
});

test('the oldest strokes are forgotten when the history grows too large, the newest never', () => {
  const size = 9;
  const history = new History(new Uint8Array(size), 16);
  for (const value of [1, 2, 3]) {
    history.record([{ start: 0, values: new Uint8Array(size).fill(value) }]);
  }
  assert.ok(history.undo());
  assert.equal(history.undo(), undefined);
  assert.equal(history.values[0], 2);
});
