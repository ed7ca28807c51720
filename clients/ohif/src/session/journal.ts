/**
 * What was drawn since the latest draft, slice by slice, in the browser: it is there again when the page was loaded anew,
 * when the browser has crashed, or when the computer was switched off. It goes once the server has it.
 */

import type { Drawn } from '../drawing/drawn.ts';
import type { Part } from '../drawing/history.ts';
import type { OpenCase } from './outbox.ts';

/** What keeps values under keys; its steps follow one another in the order in which they were begun. */
export interface Shelf {
  put(key: [reader: string, image: string, start: number], values: Uint8Array): Promise<void>;
  of(reader: string, image: string): Promise<Part[]>;
  remove(reader: string, image: string): Promise<void>;
}

export class Journal {
  constructor(
    private readonly shelf: Shelf,
    private readonly onTrouble: (error: unknown) => void
  ) {}

  /** Note slices as they are after a stroke of a reader. */
  note(image: string, reader: string, slices: readonly Part[]): void {
    for (const { start, values } of slices) {
      this.shelf.put([reader, image, start], Uint8Array.from(values)).catch(this.onTrouble);
    }
  }

  /** Draw again what was drawn here and did not get to the server. Returns a sentence about it, after a space. */
  async restored(work: { readonly open: OpenCase<Drawn> | undefined }): Promise<string> {
    const { open } = work;
    const slices = open === undefined ? [] : await this.of(open.image, open.reader.name);
    if (open === undefined || open !== work.open || slices.length === 0) {
      return '';
    }
    if (!open.drawing.restore(slices)) {
      this.forget(open.image, open.reader.name);
      return '';
    }
    return ' What you drew last, before the page ended, is there again; Undo takes it back.';
  }

  /** The server has what is drawn, or it is given up. */
  forget(image: string, reader: string): void {
    this.shelf.remove(reader, image).catch(this.onTrouble);
  }

  private async of(image: string, reader: string): Promise<Part[]> {
    try {
      return await this.shelf.of(reader, image);
    } catch (error) {
      this.onTrouble(error);
      return [];
    }
  }
}
