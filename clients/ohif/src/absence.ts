/** A server that does not answer, or answers nobody whose login has ended: what is drawn stays in the page until it does. */

import { Away, LOGGED_OUT, type Reader, Refusal, type Server } from './server.ts';

/** Whether an error means that the reader has to log in. */
export function asksForLogin(error: unknown): boolean {
  return error instanceof Refusal && error.status === LOGGED_OUT;
}

/** Whether an error means that the server should be asked again after a while. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Away || asksForLogin(error);
}

/** Ask the server whether it is there. Refuses another reader than the one whose drawing is open, if one is. */
export async function requireBack(server: Pick<Server, 'reader'>, drawer: Reader | undefined): Promise<void> {
  const reader = await server.reader();
  if (drawer !== undefined && reader.name !== drawer.name) {
    const line = `what is open here is drawn by ${drawer.name}, and ${reader.name} has logged in: log in as ${drawer.name}`;
    throw new Refusal(LOGGED_OUT, line);
  }
}
