/** The journal's place in the browser: its own database for this server, which no other site can read. */

import type { Part } from '../drawing/history.ts';
import type { Shelf } from './journal.ts';

const DATABASE = 'activelabel';
const STORE = 'strokes';
const BY_TIME = 'at';
/** What nobody has come back for after this time is removed. */
const KEPT_MS = 7 * 24 * 3600 * 1000;

interface Kept {
  at: number;
  start: number;
  values: Uint8Array;
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => { resolve(request.result); };
    request.onerror = () => { reject(request.error ?? new Error('the browser keeps nothing')); };
  });
}

/** All keys that begin with a reader and an image: a list is greater than every number. */
const keysOf = (reader: string, image: string): IDBKeyRange => IDBKeyRange.bound([reader, image], [reader, image, []]);

export class BrowserShelf implements Shelf {
  private opened: Promise<IDBDatabase> | undefined;

  async put(key: [string, string, number], values: Uint8Array): Promise<void> {
    const kept: Kept = { at: Date.now(), start: key[2], values };
    await answered((await this.store('readwrite')).put(kept, key));
  }

  async of(reader: string, image: string): Promise<Part[]> {
    return answered((await this.store('readonly')).getAll(keysOf(reader, image)) as IDBRequest<Kept[]>);
  }

  async remove(reader: string, image: string): Promise<void> {
    await answered((await this.store('readwrite')).delete(keysOf(reader, image)));
  }

  private async store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
    this.opened ??= this.open();
    return (await this.opened).transaction(STORE, mode).objectStore(STORE);
  }

  private async open(): Promise<IDBDatabase> {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(STORE).createIndex(BY_TIME, BY_TIME);
    };
    const database = await answered(request);
    const store = database.transaction(STORE, 'readwrite').objectStore(STORE);
    const old = await answered(store.index(BY_TIME).getAllKeys(IDBKeyRange.upperBound(Date.now() - KEPT_MS)));
    old.forEach(key => { store.delete(key); });
    return database;
  }
}
