/** How long a reader is at work, by their input. */

import { Away, NOT_HELD, Refusal } from '../server/server.ts';

/** Input that comes within this time after other input means that the reader was at work in between. */
const AT_WORK_MS = 30_000;
/** The time at work is told to the server in parts of this length. */
export const HEARTBEAT_SECONDS = 15;
/** The server takes at most this from one heartbeat. */
const MOST_SECONDS = 600;

export class Activity {
  private latest: number | undefined;
  private milliseconds = 0;

  /** Note input at a time in milliseconds. */
  note(now: number): void {
    if (this.latest !== undefined && now - this.latest <= AT_WORK_MS) {
      this.milliseconds += now - this.latest;
    }
    this.latest = now;
  }

  /** Seconds at work that were not taken yet. */
  get seconds(): number {
    return this.milliseconds / 1000;
  }

  /** Take the seconds, which begin at 0 again. */
  take(): number {
    const seconds = this.seconds;
    this.milliseconds = 0;
    return seconds;
  }

  /**
   * Tell the seconds, if there are any. Those that a server did not hear, because it is gone, count again. One that refuses
   * them has given the case to somebody else: that is said when the drawing is saved.
   */
  async tell(say: (seconds: number) => Promise<unknown>): Promise<void> {
    const seconds = Math.min(MOST_SECONDS, this.take());
    try {
      await (seconds > 0 && say(seconds));
    } catch (error) {
      this.milliseconds += error instanceof Away ? 1000 * seconds : 0;
      if (!(error instanceof Refusal && error.status === NOT_HELD)) {
        throw error;
      }
    }
  }
}
