/**
 * What was drawn since the latest draft, slice by slice, in the browser: it is there again when the page was loaded anew,
 * when the browser has crashed, or when the computer was switched off. It goes once the server has it.
 */

import type { Part } from '../drawing/history.ts';
import type { Pages } from './pages.ts';

/** How long an opening waits for the browser's disk. */
const LONGEST_MS = 15_000;

/** The project of strokes that a page has kept which was not told of one: by a server, or an own version, of before. */
export const UNKNOWN = '';
/** A reader's case in a project: other projects at the same address may have the same series. */
export type CasePlace = readonly [project: string, reader: string, image: string];
/** Strokes on a case, and in which opening of it: that of a page, counted. */
export type Place = readonly [...CasePlace, page: string, opening: number];
const PROJECT = 0;
const PAGE = 3;

/** What strokes were drawn on. */
export interface Ground {
  /** The names of the structures, in the order of their values from 1. */
  labels: readonly string[];
  /** Digests of drawings: the case opened with one of them, or the server was sent it since. */
  digests: readonly string[];
}

/** The strokes of an opening. */
export interface Kept extends Ground {
  place: Place;
  /** When the last of them was drawn, in milliseconds since 1970. */
  at: number;
  /** The projects in which they were dropped, while it is not known of which they are. */
  declined?: readonly string[];
  slices: Part[];
}

/** What keeps strokes; its steps follow one another in the order in which they were begun. */
export interface Shelf {
  /** Keep slices as they are now, and what all of this place are drawn on. Resolves once they are on the disk. */
  put(place: Place, ground: Ground, slices: readonly Part[]): Promise<void>;
  /** What is kept of an image, the oldest first. */
  of(place: CasePlace): Promise<Kept[]>;
  /** Strokes are not wanted in a project: they stay for others. */
  decline(place: Place, project: string): Promise<void>;
  /** Remove what is kept at a place, or at all that begin so. */
  remove(place: Place | readonly [...CasePlace, page: string]): Promise<void>;
}

/** Whether strokes are known to be of a project. */
export function isOf(project: string, { place }: Kept): boolean {
  return place[PROJECT] === project;
}

/** Whether strokes may be of any project at the address. */
export function isOfUnknown(kept: Kept): boolean {
  return isOf(UNKNOWN, kept);
}

/** Where strokes on a case may lie: also where a page has put them that did not know the project. */
function placesOf(place: CasePlace): CasePlace[] {
  const [project, reader, image] = place;
  return project === UNKNOWN ? [place] : [[UNKNOWN, reader, image], place];
}

/** The strokes on an open case. */
export class Strokes {
  private isKept = false;

  constructor(
    private readonly shelf: Shelf,
    private readonly place: Place,
    private ground: Ground,
    private readonly onTrouble: (error: unknown) => void
  ) {}

  /** Note slices as they are after a stroke. */
  note(slices: readonly Part[]): void {
    this.isKept = true;
    this.put(slices.map(({ start, values }) => ({ start, values: Uint8Array.from(values) })));
  }

  /** The drawing goes to the server: whatever is heard of it, the case may open with it the next time. */
  sent(digest: string): void {
    this.drawnOn([...this.ground.digests.filter(other => other !== digest), digest]);
  }

  /** The server has a drawing; what was `changed` since is still to be kept. */
  saved(digest: string, changed: boolean): void {
    if (!changed) {
      this.forget();
    }
    this.drawnOn([digest]);
  }

  /** The server has what is drawn, or it is given up. */
  forget(): void {
    this.isKept = false;
    this.shelf.remove(this.place).catch(this.onTrouble);
  }

  private drawnOn(digests: string[]): void {
    this.ground = { ...this.ground, digests };
    if (this.isKept) {
      this.put([]);
    }
  }

  private put(slices: Part[]): void {
    this.shelf.put(this.place, this.ground, slices).catch(this.onTrouble);
  }
}

export class Journal {
  private openings = 0;

  constructor(
    private readonly shelf: Shelf,
    private readonly pages: Pages,
    private readonly onTrouble: (text: string) => void,
    private readonly longestMs = LONGEST_MS
  ) {}

  /** A case opens, with a drawing of this digest. */
  begin(place: CasePlace, labels: readonly string[], digest: string): Strokes {
    return new Strokes(this.shelf, [...place, this.pages.own, ++this.openings], { labels, digests: [digest] }, this.sayLost);
  }

  /** What lies here of a reader's case, the oldest first, those of an unknown project before all others, without that of pages that are still open. */
  async left(place: CasePlace): Promise<Kept[]> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => { reject(new Error(`no answer within ${this.longestMs / 1000} s`)); }, this.longestMs);
    });
    try {
      return await Promise.race([this.ofGonePages(place), late]);
    } catch (error) {
      this.onTrouble(`Whether strokes of before lie in this browser is not known (${String(error)}): they stay there.`);
      return [];
    } finally {
      clearTimeout(timer);
    }
  }

  /** Strokes of another opening were taken over. */
  remove(place: Place): void {
    this.shelf.remove(place).catch(this.sayLost);
  }

  /** Strokes of another opening are not wanted in a project. Those that may be of another one stay for it. */
  drop(kept: Kept, project: string): void {
    const dropped = isOfUnknown(kept) ? this.shelf.decline(kept.place, project) : this.shelf.remove(kept.place);
    dropped.catch(this.sayLost);
  }

  /** What this page keeps of a reader's case is given up. */
  forget(place: CasePlace): void {
    for (const one of placesOf(place)) {
      this.shelf.remove([...one, this.pages.own]).catch(this.sayLost);
    }
  }

  private async ofGonePages(place: CasePlace): Promise<Kept[]> {
    const all = (await Promise.all(placesOf(place).map(one => this.shelf.of(one)))).flat();
    const kept = all.filter(({ declined = [] }) => !declined.includes(place[PROJECT]));
    const pageOf = ({ place }: Kept): string => place[PAGE];
    if (kept.every(one => pageOf(one) === this.pages.own)) {
      return kept;
    }
    const others = await this.pages.others();
    return kept.filter(one => !others.has(pageOf(one)));
  }

  private readonly sayLost = (error: unknown): void => {
    this.onTrouble(`This browser keeps nothing of what is drawn (${String(error)}): only drafts are kept, every half minute.`);
  };
}
