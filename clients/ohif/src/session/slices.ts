/** The way through the slices that are asked for, and which of them are done. */

import type { Drawn } from '../drawing/drawing.ts';
import type { Session } from './session.ts';
import { walkOf } from './state.ts';
import type { Viewer } from '../viewer/viewer.ts';

export class Slices<D extends Drawn = Drawn> {
  constructor(
    private readonly session: Session<D>,
    private readonly viewer: Pick<Viewer<D>, 'jump' | 'shownPlace'>
  ) {}

  /** Show another of the asked slices: the next one for 1, the previous one for -1. */
  step(by: number): void {
    const { slice } = this.session.state;
    const walk = walkOf(this.session.state);
    const place = slice + by;
    if (walk !== null && this.session.drawing !== undefined && place >= 0 && place < walk.slices.length) {
      this.viewer.jump(walk, place);
      this.session.set({ slice: place });
    }
  }

  /** Mark the shown slice as done, or no longer, and show the next that is asked for and not done. */
  mark(): void {
    const { query, done, phase } = this.session.state;
    if (query === null || phase !== 'drawing' || query.slices.length === 0) {
      return;
    }
    const place = this.viewer.shownPlace(query);
    if (place === undefined) {
      this.session.set({ message: { kind: 'bad', text: 'The shown slice is not asked for: go to one that is.' } });
      return;
    }
    const marked = done.includes(place) ? done.filter(other => other !== place) : [...done, place];
    this.session.set({ done: marked, slice: place, asks: [], message: undefined });
    void this.session.drafts.keepMarks();
    const next = query.slices.findIndex((_, other) => !marked.includes(other));
    if (marked.length > done.length && next >= 0) {
      this.step(next - place);
    }
  }
}
