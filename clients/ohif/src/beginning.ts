/** What a drawing begins with. */

import { type Volume, readMask } from './nifti.ts';
import { type Query, Refusal, type Server } from './server.ts';

const NO_SUCH_MODEL_YET = 409;

/** What a drawing begins with, and a sentence about it: the reader's draft, the label that was returned, what the model draws, or nothing. */
export async function beginning(server: Server, query: Query): Promise<[Volume<Uint8Array> | undefined, string]> {
  if (query.draft) {
    return [await readMask(await server.draft(query.image)), 'You draw on your draft.'];
  }
  if (query.returned !== null) {
    return [await readMask(await server.label(query.image)), 'You draw on the label that was returned.'];
  }
  try {
    return [await readMask(await server.prediction(query.image)), 'You draw over what the model draws.'];
  } catch (error) {
    if (error instanceof Refusal && error.status === NO_SUCH_MODEL_YET) {
      return [undefined, 'There is no model yet: you draw on the bare image.'];
    }
    throw error;
  }
}
