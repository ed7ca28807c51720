/** What the server is told of drawings, one after the other: a draft never overtakes what finishes its case. */

import type { Drawn } from './drawing.ts';
import type { Saved, Server } from './server.ts';

/** A case that is drawn on. Once it is saved as finished, `finished` has the params with which it was. */
export interface OpenCase<D extends Drawn> {
  readonly drawing: D;
  readonly image: string;
  finished?: object;
}

export class Outbox<D extends Drawn> {
  private sending: Promise<unknown> = Promise.resolve();
  /** Cases that were left, whose drawings the server has not kept yet. */
  private readonly left: OpenCase<D>[] = [];

  constructor(
    private readonly server: Pick<Server, 'save' | 'saveDraft'>,
    private readonly onRefusal: () => void
  ) {}

  /** Whether drawings of cases that were left wait for the server. */
  get waits(): boolean {
    return this.left.length > 0;
  }

  /** When everything that was sent is answered. */
  idle(): Promise<unknown> {
    return this.sending;
  }

  /** Save a case as finished, with what is drawn meanwhile; what is drawn after that belongs to it too. */
  async finish(open: OpenCase<D>, how: object): Promise<Saved> {
    const save = () => this.send(open.drawing, (mask, info) => this.server.save(open.image, mask, { ...info, ...how }));
    let saved = await save();
    while (saved.state === 'finished' && open.drawing.changed) {
      saved = await save();
    }
    if (saved.state === 'finished') {
      open.finished = how;
    }
    return saved;
  }

  /** Keep what is drawn: with the label of a case that is finished, else as a draft. */
  async keep(open: OpenCase<D>): Promise<void> {
    if (open.finished !== undefined) {
      await this.finish(open, open.finished);
    } else {
      await this.send(open.drawing, (mask, info) => this.server.saveDraft(open.image, mask, info));
    }
  }

  /** Keep what is drawn on a case that was left. */
  async keepLeft(attempt: (what: () => Promise<unknown>) => Promise<void>, more?: OpenCase<D>): Promise<void> {
    this.left.push(...(more === undefined ? [] : [more]));
    for (const open of this.left.splice(0)) {
      await attempt(() => this.keep(open));
      if (open.drawing.changed) {
        this.left.push(open); // it is tried again when the server answers
      }
    }
  }

  private async send(drawing: D, how: (mask: Blob, info: object) => Promise<Saved>): Promise<Saved> {
    const sent = this.sending.then(async () => {
      const { mask, label_info } = await drawing.file();
      try {
        return await how(mask, { label_info });
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
