/** A server that does not answer, or answers nobody, or somebody else: what is drawn stays in the page until it does. */

import { Away, LOGGED_OUT, type Reader, Refusal, type Server } from './server.ts';

/** The server takes this page for another reader than the one whose work it is. */
export class Another extends Error {
  constructor(
    worker: Reader,
    readonly reader: Reader
  ) {
    super(reader.byLogin ? loggedIn(worker, reader) : renamed(worker, reader));
  }
}

function loggedIn(worker: Reader, reader: Reader): string {
  return `what this page holds is the work of ${worker.name}, and ${reader.name} has logged in: log in as ${worker.name}`;
}

/** Where nobody logs in, all tabs have one name. */
function renamed(worker: Reader, reader: Reader): string {
  const [before, now] = [worker, reader].map(({ name }) => (name === '' ? 'empty' : name));
  return `what this page holds was begun when the name was ${before}, and it is ${now} since: change it back in the tab in which it was changed`;
}

/** Whether an error means that the reader has to log in. */
export function asksForLogin(error: unknown): boolean {
  return (error instanceof Refusal && error.status === LOGGED_OUT) || (error instanceof Another && error.reader.byLogin);
}

/** Whether an error means that the server should be asked again after a while. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Away || error instanceof Another || asksForLogin(error);
}

/** Ask the server for whom it takes this page. Refuses another reader than the one whose work it is, if it is anybody's. */
export async function requireReader(server: Pick<Server, 'reader'>, worker: Reader | undefined): Promise<Reader> {
  const reader = await server.reader();
  if (worker !== undefined && reader.name !== worker.name) {
    throw new Another(worker, reader);
  }
  return reader;
}

/** What somebody is told who can go on. */
export function greetingOf({ byLogin, name }: Reader): string {
  return byLogin ? `You are logged in as ${name}.` : name === '' ? 'You have no name.' : `You are ${name}.`;
}

/** What is told of drawings that were not sent; those of others wait for them. */
export function stillHere(others: readonly string[]): string {
  return others.length === 0 ? 'What is drawn here is still there.' : `What ${others.join(' and ')} drew here waits until they are back.`;
}
