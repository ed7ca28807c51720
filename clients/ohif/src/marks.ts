/** Which slices the reader has marked as done, as long as the tab is open: also after the page was loaded anew. */

import type { Query } from './server.ts';

const KEY = 'activelabel_done';

type Kept = Pick<Storage, 'getItem' | 'setItem'>;

interface Marked {
  image: string;
  indices: number[];
}

export class Marks {
  constructor(private readonly storage: Kept) {}

  /** The places of the marked slices among those that a query asks for. */
  of({ image, slices }: Query): number[] {
    const text = this.storage.getItem(KEY);
    const marked = text === null ? undefined : (JSON.parse(text) as Marked);
    return marked?.image === image ? marked.indices.map(index => slices.findIndex(slice => slice.index === index)).filter(place => place >= 0) : [];
  }

  keep({ image, slices }: Query, done: readonly number[]): void {
    const marked: Marked = { image, indices: slices.filter((_, place) => done.includes(place)).map(({ index }) => index) };
    this.storage.setItem(KEY, JSON.stringify(marked));
  }
}
