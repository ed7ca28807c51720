import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Worklist, WorklistCase } from '../../src/server/server.ts';
import { WorklistPart, countsOf, rowOf } from '../../src/panel/worklist.ts';

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

class FakeElement {
  textContent = '';
  hidden = false;
  children: FakeElement[] = [];
  readonly listeners: ((event: object) => void)[] = [];
  get childElementCount(): number {
    return this.children.length;
  }
  setAttribute(): void { /* nothing is drawn */ }
  addEventListener(_: string, listener: (event: object) => void): void {
    this.listeners.push(listener);
  }
  append(...children: (FakeElement | string)[]): void {
    this.children.push(...children.map(child => typeof child === 'string' ? Object.assign(new FakeElement(), { textContent: child }) : child));
  }
  replaceChildren(...children: FakeElement[]): void {
    this.children = children;
  }
  text(): string {
    return [this.textContent, ...this.children.map(child => child.text())].join('');
  }
}

/** A server whose answers come when they are told to. */
class LateServer {
  readonly answers: ((list: Worklist) => void)[] = [];
  readonly asked: string[] = [];
  worklist(after: string): Promise<Worklist> {
    this.asked.push(after);
    return new Promise(resolve => { this.answers.push(resolve); });
  }
  async answer(number: number, names: string[], next: string | null): Promise<void> {
    const cases = names.map(name => ({ ...UNSEEN, name }));
    this.answers[number]?.({ cases, next, counts: {} });
    await settled();
  }
}

const settled = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 1));

function opened(): [LateServer, WorklistPart, () => string, () => void] {
  Object.assign(globalThis, { document: { createElement: () => new FakeElement() } });
  const server = new LateServer();
  const part = new WorklistPart(server, () => undefined, () => undefined);
  const [, rows, more] = (part.element as unknown as FakeElement).children;
  const names = (): string => (rows?.children ?? []).map(row => row.text()[0]).join('');
  return [server, part, names, () => { more?.listeners.forEach(press => { press({ detail: 0 }); }); }];
}

test('an older answer that comes late does not take the place of a newer one', async () => {
  const [server, part, names] = opened();
  part.opened();
  await settled();
  part.refresh();
  await settled();
  assert.deepEqual(server.asked, ['', '']);
  await server.answer(1, ['b', 'c'], null);
  await server.answer(0, ['a'], null);
  assert.equal(names(), 'bc');
});

test('further cases follow those that are shown, each once', async () => {
  const [server, part, names, more] = opened();
  part.opened();
  await settled();
  await server.answer(0, ['a', 'b'], 'b');
  more();
  more(); // impatient
  assert.deepEqual(server.asked, ['', 'b', 'b']);
  await server.answer(1, ['c', 'd'], 'd');
  await server.answer(2, ['c', 'd'], 'd');
  assert.equal(names(), 'abcd');
});
