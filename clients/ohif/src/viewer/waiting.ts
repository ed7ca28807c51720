/** Waiting for what OHIF does in its own time and does not announce. */

export const LONGEST_MS = 120_000;
const BETWEEN_MS = 50;

/** The first value that is there. Throws if there is none in time, or once `given up` holds. */
export async function until<T>(look: () => T | undefined, what: string, givenUp = () => false): Promise<T> {
  const end = performance.now() + LONGEST_MS;
  for (;;) {
    const found = look();
    if (found !== undefined) {
      return found;
    }
    if (givenUp() || performance.now() > end) {
      throw new Error(`the viewer does not show ${what}`);
    }
    await new Promise(resolve => setTimeout(resolve, BETWEEN_MS));
  }
}
