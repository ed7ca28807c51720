/** What the panel shows. */

import type { Offer } from './older.ts';
import type { Progress } from '../server/progress.ts';
import type { Query, Reader, Review, Walk } from '../server/server.ts';

/**
 * free: no case is open. opening: a case is being loaded. drawing: a case is open. reviewing: a label is open for review.
 * sending: what is open is being saved, skipped or decided.
 */
export type Phase = 'free' | 'opening' | 'drawing' | 'reviewing' | 'sending';

export interface Message {
  kind: 'good' | 'bad' | 'plain';
  text: string;
  /** Whether it is shown with the way to log in. */
  login?: boolean;
}

export type Question = 'empty' | 'some' | 'confirm' | 'drop' | 'elsewhere';

export interface State {
  phase: Phase;
  /** What is being opened, or was last. */
  comes: 'case' | 'reading';
  labels: string[];
  /** What tells the project from all others; empty until it is known. */
  project: string;
  /** The case that the reader holds, open or not. */
  query: Query | null;
  /** Who annotates, once it is known. */
  reader: Reader | undefined;
  /** The label that the reviewer has before them. */
  review: Review | null;
  /** Of two readings that differ, the one that is shown. */
  reading: 'first' | 'second' | undefined;
  /** What people call it. */
  name: string;
  /** What the drawing began with, in a sentence. */
  from: string;
  message: Message | undefined;
  /** What was asked since the last stroke: the next press of *Save and next*, or of a decision about a label, does it all the same. */
  asks: Question[];
  /** When the latest draft was kept, as a time of day. */
  kept: string | undefined;
  /** Whether the open drawing holds what is not kept. */
  changed: boolean;
  /** Whether drawings of cases that were left are not kept yet. */
  waits: boolean;
  canUndo: boolean;
  canRedo: boolean;
  /** The place of the shown slice among those that are asked for. */
  slice: number;
  /** The places of those that are marked as done. */
  done: number[];
  /** Strokes of before that are kept in the browser, and are not drawn on what is open. */
  older: Offer | undefined;
  overlay: 'none' | 'loading' | 'shown';
  opacity: number;
  progress: Progress | undefined;
}

export const BEGINNING: State = {
  phase: 'free',
  comes: 'case',
  labels: [],
  project: '',
  query: null,
  reader: undefined,
  review: null,
  reading: undefined,
  name: '',
  from: '',
  message: undefined,
  asks: [],
  kept: undefined,
  changed: false,
  waits: false,
  canUndo: false,
  canRedo: false,
  slice: 0,
  done: [],
  older: undefined,
  overlay: 'none',
  opacity: 0,
  progress: undefined,
};

/** The slices through which the reader goes: those that the open label covers, or those that are asked for. */
export function walkOf({ query, review }: Pick<State, 'query' | 'review'>): Walk | null {
  return review === null ? query : { image: review.image, plane: review.plane, slices: review.covered };
}
