/** What is asked before a drawing is saved, and which slices it says that it covers. */

import type { Query, Reader, Server } from '../server/server.ts';
import type { Question, State } from './state.ts';

export const ELSEWHERE = 'You no longer hold this case: its time has run out, it was saved in another tab, or it is somebody else’s now. Press again to save what is drawn here all the same.';

/** The question that comes before saving, if one is left: pressing again answers it. */
export function questionOf(
  query: Query,
  empty: boolean,
  { asks, done }: Pick<State, 'asks' | 'done'>
): { asks: Question; text: string } | undefined {
  if (!asks.includes('empty') && query.kind === 'volume' && empty) {
    return { asks: 'empty', text: 'Nothing is drawn. Press again if the image holds none of the structures.' };
  }
  const asked = query.slices.length;
  if (!asks.includes('some') && done.length > 0 && done.length < asked) {
    const text = `${done.length} of the ${asked} slices that are asked for are marked as done. Press again to save only these.`;
    return { asks: 'some', text };
  }
  return undefined;
}

/** The params that say which slices are done, if the reader has marked any; else the server's rules decide. */
export function coveredBy(query: Query, done: readonly number[]): { annotated_slices?: number[] } {
  const marked = query.slices.filter((_, place) => done.includes(place)).map(({ index }) => index);
  return marked.length > 0 ? { annotated_slices: marked } : {};
}

/** Whether a case can be saved without a question: the reader holds it, or has saved it already and did not hear of it. */
export async function isStillTheirs(
  server: Pick<Server, 'query' | 'labelledBy'>,
  open: { image: string; reader: Reader; unanswered?: object }
): Promise<boolean> {
  return (await server.query())?.image === open.image || (open.unanswered !== undefined && (await isOf(server, open)));
}

/** Whether a case whose saving was not answered is saved: the reader holds it no more, and its label is theirs. */
export async function isSavedUnheard(
  server: Pick<Server, 'query' | 'labelledBy'>,
  open: { image: string; reader: Reader }
): Promise<boolean> {
  return (await server.query())?.image !== open.image && isOf(server, open);
}

async function isOf(server: Pick<Server, 'labelledBy'>, { image, reader }: { image: string; reader: Reader }): Promise<boolean> {
  return reader.name !== '' && (await server.labelledBy(image)) === reader.name;
}
