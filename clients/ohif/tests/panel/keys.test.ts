import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isForControl, meaningOf } from '../../src/panel/keys.ts';
import type { Actions } from '../../src/panel/panel.ts';

const NO_KEY = { key: '', code: '', ctrlKey: false, metaKey: false, shiftKey: false, altKey: false };

function doneBy(event: Partial<typeof NO_KEY>): string | undefined {
  let done: string | undefined;
  const note = (name: string) => (value?: unknown) => {
    done = value === undefined ? name : `${name} ${value as number}`;
  };
  const actions: Actions = {
    next: note('next'),
    saveAndNext: note('save'),
    skip: note('skip'),
    undo: note('undo'),
    redo: note('redo'),
    step: note('step'),
    mark: note('mark'),
    choose: note('choose'),
    setOpacity: note('opacity'),
  };
  meaningOf({ ...NO_KEY, ...event }, actions)?.();
  return done;
}

test('keys do what the panel says', () => {
  assert.equal(doneBy({ key: 'z', ctrlKey: true }), 'undo');
  assert.equal(doneBy({ key: 'z', metaKey: true }), 'undo');
  assert.equal(doneBy({ key: 'Z', ctrlKey: true, shiftKey: true }), 'redo');
  assert.equal(doneBy({ key: 'y', ctrlKey: true }), 'redo');
  assert.equal(doneBy({ key: 'Enter', ctrlKey: true }), 'save');
  assert.equal(doneBy({ key: '[' }), 'step -1');
  assert.equal(doneBy({ key: ']' }), 'step 1');
  assert.equal(doneBy({ key: 'D', code: 'KeyD', shiftKey: true }), 'mark');
  assert.equal(doneBy({ key: '²', code: 'Digit2', altKey: true }), 'choose 2');
});

test('brackets are brackets also on keyboards that have them behind AltGr', () => {
  assert.equal(doneBy({ key: '[', code: 'Digit8', ctrlKey: true, altKey: true }), 'step -1'); // German, on Windows
  assert.equal(doneBy({ key: ']', code: 'Digit6', altKey: true }), 'step 1'); // German, on macOS
  assert.equal(doneBy({ key: ']', code: 'BracketRight', ctrlKey: true }), undefined);
});

test("OHIF's own keys stay OHIF's", () => {
  for (const event of [{ key: 'z' }, { key: '1', code: 'Digit1' }, { key: 'Enter' }, { key: 'd', code: 'KeyD' }, { key: 'c', ctrlKey: true }]) {
    assert.equal(doneBy(event), undefined);
  }
});

test('a control that was reached by keys has those that it uses, and no others', () => {
  const reached = (own: string) => ({ matches: (selector: string) => selector.includes(own) && selector.endsWith(':focus-visible') });
  const [press, slider] = [reached('button'), reached('[type=range]')];
  assert.deepEqual([' ', 'Enter', 'ArrowUp', 'z'].map(key => isForControl(press, { key })), [true, true, false, false]);
  assert.deepEqual([' ', 'ArrowUp', 'Home', 'z'].map(key => isForControl(slider, { key })), [false, true, true, false]);
});
