/** The line that says what has happened, on stand-ins for the parts of a page. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MessagePart } from '../../src/panel/panel_message.ts';

class FakeElement {
  textContent = '';
  hidden = false;
  className = '';
  children: (FakeElement | string)[] = [];
  readonly attributes = new Map<string, string>();
  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }
  append(...children: (FakeElement | string)[]): void {
    this.children.push(...children);
  }
}

function shown(): [MessagePart, FakeElement] {
  Object.assign(globalThis, { document: { createElement: () => new FakeElement() } });
  const part = new MessagePart();
  return [part, part.element as unknown as FakeElement];
}

const ENDED = { kind: 'bad' as const, text: 'your login has ended' };

test('a link to the login stays the same one while the line says the same, so that it can be pressed', () => {
  const [part, element] = shown();
  part.show({ message: { ...ENDED, login: true } });
  const [, link] = element.children;
  assert.equal((link as FakeElement).attributes.get('href'), '/login');
  part.show({ message: { ...ENDED, login: true } });
  assert.deepEqual([element.children.length, element.children[1] === link], [2, true]);
});

test('a line is written when its text, its kind or its link changes, and is hidden when there is none', () => {
  const [part, element] = shown();
  part.show({ message: ENDED });
  assert.deepEqual([element.textContent, element.className, element.children.length], [ENDED.text, 'al-message al-bad', 0]);
  part.show({ message: { ...ENDED, login: true } });
  assert.equal(element.children.length, 2);
  part.show({ message: { kind: 'good', text: ENDED.text } });
  assert.equal(element.className, 'al-message al-good');
  part.show({ message: undefined });
  assert.deepEqual([element.textContent, element.hidden], ['', true]);
  part.show({ message: { kind: 'good', text: 'approved' } });
  assert.deepEqual([element.textContent, element.hidden], ['approved', false]);
});
