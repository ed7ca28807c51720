/** A browser whose disk fails: every way is heard of, and the next step tries again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Place } from '../../src/session/journal.ts';
import { BrowserShelf } from '../../src/session/shelf.ts';

const PLACE: Place = ['p1', 'rev', 'a', 'page', 1];
const GROUND = { labels: ['ball'], digests: ['0'] };

/** A transaction whose requests all succeed, and which ends as it is told to. */
class Transaction {
  oncomplete: (() => void) | undefined;
  onabort: (() => void) | undefined;
  error: Error | null = null;
  readonly puts: unknown[] = [];
  readonly values: unknown[] = [];
  /** What is asked for. */
  readonly reading = { result: undefined as unknown, onsuccess: (): void => undefined };
  objectStore(): object {
    const put = (value: unknown, key: unknown): void => {
      this.puts.push(key);
      this.values.push(value);
    };
    return { put, get: () => this.reading, delete: () => undefined };
  }
}

class Browser {
  readonly begun: Transaction[] = [];
  readonly options: unknown[] = [];
  openings = 0;
  /** Why the database cannot be opened. */
  refusal: Error | undefined;
  readonly database = {
    onclose: (): void => undefined,
    close: (): void => undefined,
    transaction: (_: string, mode: string, options: unknown): Transaction => {
      this.options.push([mode, options]);
      this.begun.push(new Transaction());
      return this.latest();
    },
  };

  latest(): Transaction {
    const transaction = this.begun.at(-1);
    assert.ok(transaction);
    return transaction;
  }

  readonly open = (): IDBOpenDBRequest => {
    this.openings++;
    const request = { result: this.database, error: this.refusal ?? null, onsuccess: (): void => undefined, onerror: (): void => undefined };
    queueMicrotask(() => { (this.refusal === undefined ? request.onsuccess : request.onerror)(); });
    return request as unknown as IDBOpenDBRequest;
  };
}

const settled = (): Promise<void> => new Promise(resolve => setTimeout(resolve));

test('a stroke is kept once its transaction is on the disk, and not before', async () => {
  const browser = new Browser();
  const shelf = new BrowserShelf(browser.open);
  let kept = false;
  const put = shelf.put(PLACE, GROUND, [{ start: 4, values: [1] }]).then(() => { kept = true; });
  await settled();
  assert.deepEqual(browser.latest().puts, [[...PLACE, -1], [...PLACE, 4]]);
  assert.deepEqual(browser.options, [['readwrite', { durability: 'strict' }]]);
  assert.equal(kept, false);
  browser.latest().oncomplete?.();
  await put;
});

test('a disk that is full is heard of, although that shows only at the end of the transaction', async () => {
  const browser = new Browser();
  const shelf = new BrowserShelf(browser.open);
  const put = shelf.put(PLACE, GROUND, []);
  await settled();
  browser.latest().error = new Error('QuotaExceededError');
  browser.latest().onabort?.();
  await assert.rejects(put, /QuotaExceededError/);
});

test('a database that could not be opened, or that the browser has closed, is opened again', async () => {
  const browser = new Browser();
  browser.refusal = new Error('the disk does not answer');
  const shelf = new BrowserShelf(browser.open);
  await assert.rejects(shelf.put(PLACE, GROUND, []), /the disk does not answer/);
  browser.refusal = undefined;
  for (let opening = 2; opening <= 3; opening++) {
    const put = shelf.put(PLACE, GROUND, []);
    await settled();
    browser.latest().oncomplete?.();
    await put;
    assert.equal(browser.openings, opening);
    browser.database.onclose();
  }
});

test('strokes that are dropped in a project keep their time, and what is not there is not made', async () => {
  const head = { ...GROUND, place: PLACE, at: 5 };
  for (const [found, put] of [[head, ['p2']], [{ ...head, declined: ['p3'] }, ['p3', 'p2']], [undefined, undefined]] as const) {
    const browser = new Browser();
    const declined = new BrowserShelf(browser.open).decline(PLACE, 'p2');
    await settled();
    const transaction = browser.latest();
    transaction.reading.result = found;
    transaction.reading.onsuccess();
    transaction.oncomplete?.();
    await declined;
    assert.deepEqual([transaction.puts, transaction.values], put === undefined ? [[], []] : [[[...PLACE, -1]], [{ ...head, declined: put }]]);
  }
});
