/** What the server is told of drawings, one after the other: a draft never overtakes what finishes its case. */

import { requireReader } from '../server/absence.ts';
import type { Drawn } from '../drawing/drawn.ts';
import type { Strokes } from './journal.ts';
import { isSavedUnheard } from './questions.ts';
import { Away, type Reader, type Saved, type Server } from '../server/server.ts';

/** A case that is drawn on. Once it is saved as finished, `finished` has the params with which it was. */
export interface OpenCase<D extends Drawn> {
  readonly drawing: D;
  readonly image: string;
  /** Who opened it: nothing of it is sent while the server takes the page for somebody else. */
  readonly reader: Reader;
  /** What the browser keeps of it. */
  readonly strokes: Pick<Strokes, 'note' | 'sent' | 'saved' | 'forget'>;
  finished?: object;
  /** The params with which it was saved as finished when the server did not answer: it may have it all the same. */
  unanswered?: object;
  /** Whether its reader has skipped the case, or finished it in a later opening: it is sent no more. */
  givenUp?: boolean;
}

export class Outbox<D extends Drawn> {
  private sending: Promise<unknown> = Promise.resolve();
  /** Cases that were left, whose drawings the server has not kept yet. */
  private readonly left: OpenCase<D>[] = [];
  /** Those of them that are being sent. */
  private readonly onTheWay = new Set<OpenCase<D>>();

  constructor(
    private readonly server: Pick<Server, 'reader' | 'of' | 'query' | 'labelledBy'>,
    private readonly onRefusal: () => void
  ) {}

  /** Whether drawings of cases that were left wait for the server. */
  get waits(): boolean {
    return this.left.length > 0;
  }

  /** The other readers than this one whose drawings are among them. */
  awaits(reader: Reader | undefined): string[] {
    return [...new Set(this.left.map(open => open.reader.name))].filter(name => name !== reader?.name);
  }

  /** When everything that was sent is answered. */
  idle(): Promise<unknown> {
    return this.sending;
  }

  /** Save a case as finished, with what is drawn meanwhile; what is drawn after that belongs to it too. */
  async finish(open: OpenCase<D>, how: object): Promise<Saved> {
    const save = () => this.send(open, (mask, info) => this.server.of(open.reader).save(open.image, mask, { ...info, ...how }));
    let saved = await save().catch((error: unknown) => {
      if (error instanceof Away) {
        open.unanswered = how;
      }
      throw error;
    });
    while (saved.state === 'finished' && open.drawing.changed) {
      saved = await save();
    }
    if (saved.state === 'finished') {
      open.finished = how;
      this.giveUp(open.reader, open.image, open); // an earlier opening of it may wait, which is older
    }
    return saved;
  }

  /**
   * Skip a case, after everything that was sent of it is answered. What waits of it does not bring it back, nor a draft of what
   * is `open` that was begun before and asks something first.
   */
  skip(reader: Reader, image: string, open: OpenCase<D> | undefined, how: () => Promise<unknown>): Promise<void> {
    const skipped = this.sending.then(async () => {
      await how();
      this.giveUp(reader, image);
      if (open?.image === image) { open.givenUp = true; }
    });
    this.sending = skipped.catch(() => undefined);
    return skipped;
  }

  /** Send no more of what was left of a case, but of this opening. */
  private giveUp(reader: Reader, image: string, but?: OpenCase<D>): void {
    const isIt = (open: OpenCase<D>): boolean => open !== but && open.image === image && open.reader.name === reader.name;
    [...this.onTheWay, ...this.left].filter(isIt).forEach(open => { open.givenUp = true; });
    this.left.splice(0, this.left.length, ...this.left.filter(open => open.givenUp !== true));
  }

  /** Keep what is drawn: with the label of a case that is finished, else as a draft. */
  async keep(open: OpenCase<D>): Promise<void> {
    const { unanswered } = open;
    if (open.finished === undefined && unanswered !== undefined && (await isSavedUnheard(this.server, open))) {
      open.finished = unanswered;
    }
    if (open.finished !== undefined) {
      await this.finish(open, open.finished);
      return;
    }
    const more = unanswered === undefined ? {} : { unanswered: true }; // it may come there in between
    const saved = await this.send(open, (mask, info) => this.server.of(open.reader).saveDraft(open.image, mask, { ...info, ...more }));
    if (saved.state === 'finished' && unanswered !== undefined) {
      open.finished = unanswered;
    }
  }

  /** Keep what a reader has drawn on cases that were left. What is another's waits for them. */
  async keepLeft(attempt: (what: () => Promise<unknown>) => Promise<void>, reader: Reader, more?: OpenCase<D>): Promise<void> {
    this.left.push(...(more === undefined ? [] : [more]));
    for (const open of this.left.splice(0)) {
      this.onTheWay.add(open);
      if (open.reader.name === reader.name) {
        await attempt(() => this.keep(open));
      }
      this.onTheWay.delete(open);
      if (open.drawing.changed && open.givenUp !== true) {
        this.left.push(open); // it is tried again when the server answers
      }
    }
  }

  /** Who is logged in is asked right before, so that a reader is told what to do; the server compares it once more. */
  private async send(open: OpenCase<D>, how: (mask: Blob, info: object) => Promise<Saved>): Promise<Saved> {
    const { drawing, reader, strokes } = open;
    const sent = this.sending.then(async () => {
      if (open.givenUp === true) {
        return { state: 'draft' } satisfies Saved;
      }
      const { mask, label_info, digest } = await drawing.file();
      strokes.sent(digest);
      try {
        await requireReader(this.server, reader);
        const saved = await how(mask, { label_info });
        strokes.saved(digest, drawing.changed);
        return saved;
      } catch (error) {
        drawing.notKept();
        this.onRefusal();
        throw error;
      }
    });
    this.sending = sent.catch(() => undefined);
    return sent;
  }
}
