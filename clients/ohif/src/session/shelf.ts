/** The journal's place in the browser: its own database for this server, which no other site can read. */

import type { Part } from '../drawing/history.ts';
import { type CasePlace, type Ground, type Kept, type Place, type Shelf, UNKNOWN } from './journal.ts';

const DATABASE = 'activelabel';
const VERSION = 3;
/** In this version no place said of which project it is. */
const WITHOUT_PROJECT = 2;
const STORE = 'strokes';
const BY_TIME = 'at';
/** What nobody has come back for after this time is removed. */
const KEPT_MS = 7 * 24 * 3600 * 1000;
/** The place, in what is kept of an opening, of what its slices are drawn on: before the first slice. */
const HEAD = -1;

/** Only heads have a time: an opening is kept whole, or removed whole. */
type Head = Omit<Kept, 'slices'>;

/**
 * Put what is kept without a project at places of one that is not known. Each of them comes before all that are still to be moved.
 * A record that cannot be moved is left out, as are slices without a head: else no page could open the database again.
 */
function addProject(store: IDBObjectStore): void {
  const moving = store.openCursor();
  let opening: IDBKeyRange | undefined; // of the latest head that has moved
  const leaveOut = (key: IDBValidKey, why: unknown): void => {
    console.warn('a record of strokes of an earlier version is left out:', key, why);
  };
  moving.onsuccess = () => {
    const { result: cursor } = moving;
    if (cursor === null) {
      return;
    }
    const { key } = cursor;
    const one: unknown = cursor.value;
    cursor.delete(); // first, so that there is room for it
    const head = isOldHead(key, one) ? one : undefined;
    opening = head === undefined ? opening : keysIn(head.place);
    if (opening?.includes(key) === true && Array.isArray(key)) {
      const put = store.put(head === undefined ? one : { ...head, place: [UNKNOWN, ...head.place] }, [UNKNOWN, ...key]);
      put.onerror = event => { // before the next record
        event.preventDefault(); // the others move all the same
        opening = head === undefined ? opening : undefined;
        leaveOut(key, put.error);
      };
    } else {
      leaveOut(key, 'it is none');
    }
    cursor.continue();
  };
}

/** Whether it is what was drawn on, at its reader, image, page and opening. */
function isOldHead(key: IDBValidKey, one: unknown): one is { place: string[] } {
  const { place, at, labels, digests } = Object(one) as Partial<Record<string, unknown>>;
  const hasAll = Array.isArray(place) && place.length === 4 && typeof at === 'number' && Array.isArray(labels) && Array.isArray(digests);
  return hasAll && indexedDB.cmp(key, [...place as string[], HEAD]) === 0;
}

/** A list is greater than every number and text. */
const keysIn = (place: readonly (string | number)[]): IDBKeyRange => IDBKeyRange.bound(place, [...place, []]);

const isHead = (one: Head | Part): one is Head => 'at' in one;

function reasonOf(error: DOMException | null): Error {
  return error ?? new Error('it gives no reason');
}

export class BrowserShelf implements Shelf {
  private opened: Promise<IDBDatabase> | undefined;

  constructor(private readonly request = () => indexedDB.open(DATABASE, VERSION)) {}

  put(place: Place, { labels, digests }: Ground, slices: readonly Part[]): Promise<void> {
    const head: Head = { place, labels, digests, at: Date.now() };
    return this.change(store => {
      store.put(head, [...place, HEAD]);
      slices.forEach(slice => { store.put(slice, [...place, slice.start]); });
    });
  }

  async of(place: CasePlace): Promise<Kept[]> {
    const all = await this.read(store => store.getAll(keysIn(place)) as IDBRequest<(Head | Part)[]>);
    const kept: Kept[] = [];
    for (const one of all) { // by their keys: a head comes before its slices
      if (isHead(one)) {
        kept.push({ ...one, slices: [] });
      } else {
        kept.at(-1)?.slices.push(one);
      }
    }
    return kept.sort((one, other) => one.at - other.at);
  }

  decline(place: Place, project: string): Promise<void> {
    return this.change(store => {
      const key = [...place, HEAD];
      const reading = store.get(key) as IDBRequest<Head | undefined>;
      reading.onsuccess = () => {
        const { result: head } = reading;
        if (head !== undefined) {
          store.put({ ...head, declined: [...head.declined ?? [], project] }, key);
        }
      };
    });
  }

  remove(place: readonly (string | number)[]): Promise<void> {
    return this.change(store => { store.delete(keysIn(place)); });
  }

  /** Remove what nobody has come back for. */
  async purge(): Promise<void> {
    const old = IDBKeyRange.upperBound(Date.now() - KEPT_MS);
    const heads = await this.read(store => store.index(BY_TIME).getAll(old) as IDBRequest<Head[]>);
    if (heads.length > 0) {
      await this.change(store => { heads.forEach(({ place }) => { store.delete(keysIn(place)); }); });
    }
  }

  /** Resolves once a change is on the disk: what does not find room there may be refused only then. */
  private async change(how: (store: IDBObjectStore) => void): Promise<void> {
    const database = await this.database();
    await new Promise<void>((resolve, reject) => {
      const transaction = database.transaction(STORE, 'readwrite', { durability: 'strict' });
      transaction.oncomplete = () => { resolve(); };
      transaction.onabort = () => { reject(reasonOf(transaction.error)); };
      how(transaction.objectStore(STORE));
    });
  }

  private async read<T>(what: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const database = await this.database();
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, 'readonly');
      const request = what(transaction.objectStore(STORE));
      transaction.oncomplete = () => { resolve(request.result); };
      transaction.onabort = () => { reject(reasonOf(transaction.error)); };
    });
  }

  /** The database, which is opened again after it could not be, or after the browser has closed it. */
  private database(): Promise<IDBDatabase> {
    this.opened ??= this.open().catch((error: unknown) => {
      this.opened = undefined;
      throw error;
    });
    return this.opened;
  }

  private open(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const request = this.request();
      request.onupgradeneeded = ({ oldVersion }) => {
        const { result, transaction } = request;
        if (oldVersion === WITHOUT_PROJECT && transaction !== null) {
          addProject(transaction.objectStore(STORE));
          return;
        }
        [...result.objectStoreNames].forEach(name => { result.deleteObjectStore(name); });
        result.createObjectStore(STORE).createIndex(BY_TIME, BY_TIME);
      };
      request.onerror = () => { reject(reasonOf(request.error)); };
      request.onsuccess = () => {
        const database = request.result;
        const closed = (): void => { this.opened = undefined; };
        database.onclose = closed;
        database.onversionchange = () => { // a page of a newer version waits for it
          database.close();
          closed();
        };
        resolve(database);
      };
    });
  }
}
