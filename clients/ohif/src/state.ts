/** What the panel shows. */

import type { Progress } from './progress.ts';
import type { Query } from './server.ts';

/**
 * free: no case is open. opening: a case is being loaded. drawing: a case is open. sending: it is being saved or skipped.
 */
export type Phase = 'free' | 'opening' | 'drawing' | 'sending';

export interface Message {
  kind: 'good' | 'bad' | 'plain';
  text: string;
}

export interface State {
  phase: Phase;
  labels: string[];
  /** The case that the reader holds, open or not. */
  query: Query | null;
  /** What people call it. */
  name: string;
  /** What the drawing began with, in a sentence. */
  from: string;
  message: Message | undefined;
  /** What the next press of *Save and next* does all the same. */
  asks: 'empty' | 'confirm' | undefined;
  /** When the latest draft was kept, as a time of day. */
  kept: string | undefined;
  changed: boolean;
  canUndo: boolean;
  canRedo: boolean;
  /** The place of the shown slice among those that are asked for. */
  slice: number;
  overlay: 'none' | 'loading' | 'shown';
  opacity: number;
  progress: Progress | undefined;
}

export const BEGINNING: State = {
  phase: 'free',
  labels: [],
  query: null,
  name: '',
  from: '',
  message: undefined,
  asks: undefined,
  kept: undefined,
  changed: false,
  canUndo: false,
  canRedo: false,
  slice: 0,
  overlay: 'none',
  opacity: 0,
  progress: undefined,
};
