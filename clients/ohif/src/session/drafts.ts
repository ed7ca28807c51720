/** What is kept of a drawing before it is finished: drafts, marks of slices, and drawings of cases that were left. */

import type { Attempts } from './attempts.ts';
import type { Drawn } from '../drawing/drawing.ts';
import type { Marks } from './marks.ts';
import type { OpenCase, Outbox } from './outbox.ts';
import type { Reader } from '../server/server.ts';
import type { Message, State } from './state.ts';

const DRAFT_AFTER_MS = 30_000;

/** What is needed of the session. */
interface Work<D extends Drawn> {
  readonly state: State;
  readonly open: OpenCase<D> | undefined;
  set(change: Partial<State>): void;
  readonly tries: Attempts;
}

export class Drafts<D extends Drawn> {
  private changedAt: number | undefined;
  /** What the panel says about a draft that was not kept. */
  private trouble: Message | undefined;

  constructor(
    private readonly work: Work<D>,
    private readonly outbox: Outbox<D>,
    private readonly marks: Marks,
    private readonly clock: () => number
  ) {}

  /** Something was drawn, or a drawing was not kept: a draft of it is due in a while. */
  changes(): void {
    this.changedAt ??= this.clock();
  }

  /** No draft is due: nothing is open, or it is as it was kept. */
  forget(): void {
    this.changedAt = undefined;
  }

  /** Keep a draft if one is due. */
  async keepDue(): Promise<void> {
    if (this.changedAt !== undefined && this.clock() - this.changedAt >= DRAFT_AFTER_MS) {
      await this.keep();
    }
  }

  /** Keep the marks of slices, and before that a draft of what they are about: no mark is kept without its drawing. */
  async keepMarks(): Promise<void> {
    const { query, reader, done } = this.work.state;
    if (this.work.open?.drawing.changed === true) {
      await this.keep();
    } else if (query !== null) {
      this.marks.keep(query, reader?.name, done);
    }
  }

  /** Keep what a reader has drawn on cases that were left. What the server does not take is tried again when it answers. */
  async keepLeft(reader: Reader, more?: OpenCase<D>): Promise<void> {
    await this.outbox.keepLeft(what => this.work.tries.beside(what), reader, more);
    this.work.set({ waits: this.outbox.waits });
  }

  private async keep(): Promise<void> {
    const { open } = this.work;
    const { message: before } = this.work.state;
    let kept = false;
    this.changedAt = undefined;
    await this.work.tries.beside(async () => {
      await (open?.drawing.changed === true && this.outbox.keep(open));
      kept = true;
      if (open !== undefined && this.work.open === open) {
        this.work.set({ kept: new Date(this.clock()).toLocaleTimeString(), changed: open.drawing.changed });
        const { query, reader, done } = this.work.state; // as it is now: slices may have been marked meanwhile
        if (query !== null) {
          this.marks.keep(query, reader?.name, done);
        }
      }
    });
    this.say(before, kept);
  }

  /** What went wrong with a draft is no longer true once one is kept. */
  private say(before: Message | undefined, kept: boolean): void {
    const { message } = this.work.state;
    if (!kept && message !== before) {
      this.trouble = message;
    } else if (kept && message !== undefined && message === this.trouble) {
      this.work.set({ message: undefined });
    }
  }
}
