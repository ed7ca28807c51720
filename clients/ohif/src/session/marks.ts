/** Which slices the reader has marked as done, as long as the tab is open: also after the page was loaded anew. */

import type { Query } from '../server/server.ts';
import { UNKNOWN } from './journal.ts';

const KEY = 'activelabel_done';
const PROJECT_KEY = 'activelabel_project';

type Kept = Pick<Storage, 'getItem' | 'setItem'>;

interface Marked {
  image: string;
  reader: string | undefined;
  indices: number[];
}

export class Marks {
  constructor(private readonly storage: Kept) {}

  /**
   * The tab works on this project: marks of another one, which may have the same images, are given up. Those that were made
   * before the tab was told of any are this one's.
   */
  belongTo(project: string): void {
    const before = this.storage.getItem(PROJECT_KEY) ?? UNKNOWN;
    if (before !== UNKNOWN && before !== project) {
      this.storage.setItem(KEY, 'null');
    }
    this.storage.setItem(PROJECT_KEY, project);
  }

  /** The places of the slices that the reader has marked among those that a query asks for: who logs in after them begins anew. */
  of({ image, slices }: Query, reader: string | undefined): number[] {
    const text = this.storage.getItem(KEY);
    const marked = text === null ? undefined : (JSON.parse(text) as Marked | null);
    if (marked?.image !== image || marked.reader !== reader) {
      return [];
    }
    return marked.indices.map(index => slices.findIndex(slice => slice.index === index)).filter(place => place >= 0);
  }

  keep({ image, slices }: Query, reader: string | undefined, done: readonly number[]): void {
    const indices = slices.filter((_, place) => done.includes(place)).map(({ index }) => index);
    const marked: Marked = { image, reader, indices };
    this.storage.setItem(KEY, JSON.stringify(marked));
  }
}
