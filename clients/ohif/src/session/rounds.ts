/** What is done every few seconds, whatever the reader does. */

import { greetingOf, requireReader, stillHere } from '../server/absence.ts';
import type { Drawn } from '../drawing/drawn.ts';
import type { Query, Reader, Server } from '../server/server.ts';
import { type Activity, HEARTBEAT_SECONDS } from './activity.ts';
import type { Attempts } from './attempts.ts';
import type { Drafts } from './drafts.ts';
import type { OpenCase, Outbox } from './outbox.ts';
import type { State } from './state.ts';

/** What is needed of the session. */
interface Work<D extends Drawn> {
  readonly state: State;
  readonly open: OpenCase<D> | undefined;
  readonly tries: Attempts;
  readonly drafts: Drafts<D>;
  set(change: Partial<State>): void;
  enter(): Promise<void>;
  greet(): Promise<Reader>;
  tellActive(query: Query): Promise<void>;
}

export class Rounds<D extends Drawn> {
  private under = false;

  constructor(
    private readonly work: Work<D>,
    private readonly server: Pick<Server, 'reader'>,
    private readonly outbox: Outbox<D>,
    private readonly activity: Activity
  ) {}

  /** Do what is due. While that is still being done, nothing: a silent server answers after many seconds, or not at all. */
  async tick(): Promise<void> {
    if (!this.under) {
      this.under = true;
      await this.doDue().finally(() => { this.under = false; });
    }
  }

  private async doDue(): Promise<void> {
    const { work, outbox } = this;
    if (work.tries.away !== undefined) {
      await work.tries.beside(() => this.comeBack());
      return;
    }
    if (outbox.awaits(work.state.reader).length > 0) {
      await work.tries.beside(async () => {
        await work.drafts.keepLeft(await (work.open === undefined ? work.greet() : this.server.reader()));
      });
    }
    if (work.state.phase !== 'drawing' || work.state.query === null) {
      return;
    }
    await work.drafts.keepDue();
    if (this.activity.seconds >= HEARTBEAT_SECONDS) {
      const { query } = work.state;
      await work.tries.beside(() => work.tellActive(query));
    }
  }

  /** Look whether the reader can go on, and go on. */
  private async comeBack(): Promise<void> {
    const { work } = this;
    const reader = await requireReader(this.server, work.open?.reader);
    const text = work.tries.away === 'server' ? 'The server answers again.' : greetingOf(reader);
    work.tries.away = undefined;
    work.set({ message: { kind: 'good', text: `${text} ${stillHere(this.outbox.awaits(reader))}` } });
    await work.drafts.keepLeft(reader);
    if (work.open === undefined && work.state.phase !== 'sending') {
      await work.enter();
    }
  }
}
