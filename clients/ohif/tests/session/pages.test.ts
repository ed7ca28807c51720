/** A page counts as open for as long as the browser holds its lock, however busy it is. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LockedPages } from '../../src/session/pages.ts';

/** The locks of a browser, which ends a page by releasing its lock. */
class Locks {
  readonly names: string[] = [];

  readonly request = (async (name: string, granted: (lock: Lock) => Promise<unknown>): Promise<unknown> => {
    await Promise.resolve(); // a lock is never granted at once
    this.names.push(name);
    return granted({ name, mode: 'exclusive' });
  }) as LockManager['request'];

  query(): Promise<LockManagerSnapshot> {
    return Promise.resolve({ held: [{ name: 'of another script' }, {}, ...this.names.map(name => ({ name }))], pending: [] });
  }
}

test('pages know each other, and not themselves', async () => {
  const locks = new Locks();
  const [first, second] = [new LockedPages(locks), new LockedPages(locks)];
  assert.notEqual(first.own, second.own);
  assert.deepEqual(await first.others(), new Set([second.own]));
  assert.deepEqual(await second.others(), new Set([first.own]));
  locks.names.pop();
  assert.deepEqual(await first.others(), new Set());
});

test('a page that gets no lock says so when it is asked', async () => {
  const refusing = { request: () => Promise.reject(new Error('no locks here')), query: () => Promise.reject(new Error('never asked')) };
  await assert.rejects(new LockedPages(refusing).others(), /no locks here/);
});
