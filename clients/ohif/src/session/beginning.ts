/** What a drawing begins with. */

import { type Volume, readMask } from '../volumes/nifti.ts';
import { type Query, Refusal, type Server } from '../server/server.ts';
import { LONGEST_MS } from '../viewer/waiting.ts';

const NO_SUCH_MODEL_YET = 409;

/**
 * What the model draws on the next case, asked for before the viewer shows it: computing the mask takes about as long as
 * loading the image does.
 */
export class Ahead {
  private begun: { image: string; mask: Promise<ArrayBuffer>; at: number } | undefined;

  constructor(private readonly server: Pick<Server, 'prediction'>) {}

  /** The reader is given a case, which the viewer opens next. Returns it. */
  begin(query: Query | null): Query | null {
    this.begun = undefined;
    if (query?.draft === false && query.returned === null) {
      const mask = this.server.prediction(query.image);
      const begun = { image: query.image, mask, at: performance.now() };
      this.begun = begun;
      mask.catch(() => { // whoever has taken it hears of it; who takes it later asks again
        if (this.begun === begun) { this.begun = undefined; }
      });
    }
    return query;
  }

  /** The mask of an image, which is asked for now unless it was just before: a viewer may enter a study twice. */
  take(image: string): Promise<ArrayBuffer> {
    const { begun } = this;
    const isNew = begun?.image === image && performance.now() - begun.at < LONGEST_MS;
    return isNew ? begun.mask : this.server.prediction(image);
  }
}

/** What a drawing begins with, and a sentence about it: the reader's draft, the label that was returned, what the model draws, or nothing. */
export async function beginning(server: Server, ahead: Ahead, query: Query): Promise<[Volume<Uint8Array> | undefined, string]> {
  if (query.draft) {
    return [await readMask(await server.draft(query.image)), 'You draw on your draft.'];
  }
  if (query.returned !== null) {
    return [await readMask(await server.label(query.image)), 'You draw on the label that was returned.'];
  }
  try {
    return [await readMask(await ahead.take(query.image)), 'You draw over what the model draws.'];
  } catch (error) {
    if (error instanceof Refusal && error.status === NO_SUCH_MODEL_YET) {
      return [undefined, 'There is no model yet: you draw on the bare image.'];
    }
    throw error;
  }
}
