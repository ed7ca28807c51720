/** Strokes that an earlier opening of the case has left in the browser: drawn again, or offered where something else opens now. */

import type { Drawn } from '../drawing/drawn.ts';
import { type Journal, type Kept, isOf, isOfUnknown } from './journal.ts';
import type { OpenCase } from './outbox.ts';
import type { State } from './state.ts';

/** What the panel offers. */
export interface Offer {
  text: string;
  /** Whether they can be drawn on what is open. */
  fits: boolean;
  /** What becomes of them if they are dropped. */
  dropped: string;
}

/** What is needed of the session. */
interface Work<D extends Drawn> {
  readonly state: State;
  readonly open: OpenCase<D> | undefined;
  set(change: Partial<State>): void;
}

export class Older<D extends Drawn> {
  private offered: { open: OpenCase<D>; kept: Kept[] } | undefined;

  constructor(
    private readonly work: Work<D>,
    private readonly journal: Journal
  ) {}

  /**
   * Look for strokes on the case that has opened. The latest that were drawn on the same are drawn again; all others are
   * offered, so that nothing is painted over unseen: also those of which it is not known in which project. Returns a sentence about it, after a space.
   */
  async look(): Promise<string> {
    const { open } = this.work;
    const kept = open === undefined ? [] : await this.journal.left([this.work.state.project, open.reader.name, open.image]);
    if (open === undefined || open !== this.work.open) {
      return '';
    }
    const { labels, project } = this.work.state;
    const same = kept.findLast(one => isOf(project, one) && hasLabels(one, labels) && one.digests.includes(open.drawing.opened));
    const isFirst = !open.drawing.changed; // nothing was drawn while the browser was asked
    const again = isFirst && same !== undefined && this.draw(open, same);
    this.offer(open, isFirst ? kept.filter(one => one !== same) : kept);
    return again ? ' What you drew last, before the page ended, is there again; Undo takes it back.' : '';
  }

  /** Draw what is offered over what is open, as one step. */
  take(): void {
    this.decide((open, kept) => this.draw(open, kept));
  }

  /** Give up what is offered. */
  drop(): void {
    this.decide((_, kept) => { this.journal.drop(kept, this.work.state.project); });
  }

  private decide(how: (open: OpenCase<D>, kept: Kept) => void): void {
    const { offered, work } = this;
    const latest = offered?.kept.at(-1);
    if (offered === undefined || latest === undefined || offered.open !== work.open || work.state.phase !== 'drawing') {
      return;
    }
    how(offered.open, latest);
    this.offer(offered.open, offered.kept.slice(0, -1));
  }

  /** They belong to this opening then. Returns whether anything changes. */
  private draw({ drawing }: OpenCase<D>, { slices, place }: Kept): boolean {
    const changes = drawing.restore(slices);
    this.journal.remove(place);
    return changes;
  }

  private offer(open: OpenCase<D>, kept: Kept[]): void {
    this.offered = { open, kept };
    const latest = kept.at(-1);
    this.work.set({ older: latest && offerOf(latest, this.work.state) });
  }
}

function hasLabels({ labels }: Kept, now: readonly string[]): boolean {
  return JSON.stringify(labels) === JSON.stringify(now);
}

function offerOf(kept: Kept, { labels }: State): Offer {
  const fits = hasLabels(kept, labels);
  const isUnknown = isOfUnknown(kept);
  const here = isUnknown ? '' : ' on another drawing than the one that has opened';
  const on = fits ? here : ` for other structures (${kept.labels.join(', ')})`;
  const when = isUnknown ? ' before this page told projects apart: they may be of another project' : '';
  return {
    text: `Older strokes of yours are kept on this computer, of ${new Date(kept.at).toLocaleString()}, drawn${on}${when}.`,
    fits,
    dropped: isUnknown ? 'They are not offered in this project again, and stay for others until a week after they were drawn' : 'They are lost then',
  };
}
