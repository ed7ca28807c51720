/** A drawing as a session needs it. */

import type { Part } from './history.ts';

export interface LabelInfo {
  name: string;
  idx: number;
}

/** A mask, the names of its values, and the digest that it has when it is opened again. */
export interface DrawnFile {
  mask: Blob;
  label_info: LabelInfo[];
  digest: string;
}

/** What is called after a stroke, or after one was undone or redone, with the slices that it has changed, as they are now. */
export type OnStroke = (slices: readonly Part[]) => void;

/** What a session needs of a drawing. */
export interface Drawn {
  /** The digest of what was opened. */
  readonly opened: string;
  /** Whether it differs from what was opened or last kept: a stroke that was undone changes nothing. */
  readonly changed: boolean;
  readonly empty: boolean;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
  undo(): void;
  redo(): void;
  /** Draw slices as they were drawn before, as one stroke. Returns whether anything changes. */
  restore(slices: readonly Part[]): boolean;
  /** The drawing as a file. Nothing has changed since, until the next stroke. */
  file(): Promise<DrawnFile>;
  /** The file was not kept: what it holds counts as changed. */
  notKept(): void;
  /** Watch it no longer. */
  close(): void;
  /** Take it out of the view. */
  remove(): void;
}
