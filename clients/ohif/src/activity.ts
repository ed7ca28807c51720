/** How long a reader is at work, by their input. */

/** Input that comes within this time after other input means that the reader was at work in between. */
const AT_WORK_MS = 30_000;

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
}
