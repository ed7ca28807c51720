/** What is tried with the server: what goes wrong becomes the message of the panel. */

import { asksForLogin, isAbsence } from '../server/absence.ts';
import type { CaseNames } from './case_names.ts';
import { Away } from '../server/server.ts';
import type { State } from './state.ts';

/** What is needed of the session. */
interface Work {
  readonly state: State;
  readonly drawing: object | undefined;
  readonly names: CaseNames;
  set(change: Partial<State>): void;
}

export class Attempts {
  /** Why nothing can be sent, if that ends by itself: the server does not answer, or does not take the page for its reader's. */
  away: 'server' | 'reader' | undefined;

  constructor(private readonly work: Work) {}

  /** Do what the reader has asked for. If it goes wrong, they may ask for something else. */
  async attempt(what: () => Promise<unknown>, givenUp = () => false): Promise<void> {
    try {
      await what();
    } catch (error) {
      if (givenUp()) {
        return;
      }
      this.say(error);
      const back = this.work.state.review === null ? 'drawing' : 'reviewing';
      this.work.set({ phase: this.work.drawing === undefined ? 'free' : back });
    }
  }

  /** Do something that the reader has not asked for: whatever becomes of it, what they did ask for goes on. */
  async beside(what: () => Promise<unknown>): Promise<void> {
    await what().catch((error: unknown) => { this.say(error); });
  }

  private say(error: unknown): void {
    this.away = !isAbsence(error) ? undefined : error instanceof Away ? 'server' : 'reader';
    const text = this.work.names.within(error instanceof Error ? error.message : String(error));
    this.work.set({ message: { kind: 'bad', text, ...(asksForLogin(error) && { login: true }) } });
  }
}
