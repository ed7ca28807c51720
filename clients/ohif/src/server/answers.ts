/** What the server answers, as far as it is read. */

export interface SliceAsked {
  index: number;
  number: number;
  ohif_number: number;
  position_mm: number;
}

/** Slices of an image that a reader is shown, one after the other. */
export interface Walk {
  image: string;
  plane: string | null;
  slices: SliceAsked[];
}

export interface Query extends Walk {
  role: 'training' | 'validation';
  kind: 'volume' | 'slices';
  reason: string;
  model_version: number | null;
  draft: boolean;
  /** Who has returned its label, and why. */
  returned: { reviewer: string; note: string } | null;
}

/** The project that is served. */
export interface Project {
  /** What tells it from all others, whatever its address. */
  id: string;
  /** Names of the structures, in the order of their values from 1. */
  labels: string[];
}

/** Who annotates. Without a login, the name is what the reader has written. */
export interface Reader {
  byLogin: boolean;
  name: string;
  /** Whether they may review. */
  reviews: boolean;
}

/** Which of two readings counts, `staple` for one merged of both. */
export type Take = 'first' | 'second' | 'staple';

export interface WorklistCase {
  image: string;
  name: string;
  role: 'training' | 'validation';
  state: string;
  who: string[];
  note: string;
  drafts_of: string[];
  label: object | null;
}

export interface Worklist {
  cases: WorklistCase[];
  next: string | null;
  counts: Record<string, number>;
}

/** A label that a reviewer has before them. */
export interface Review {
  image: string;
  version: number;
  annotator: string;
  slices: number[] | null;
  /** The plane of those slices; nothing for a whole volume. */
  plane: string | null;
  /** Those slices as viewers count them; none for a whole volume. */
  covered: SliceAsked[];
  /** Who drew two readings that differ, and how much these agree, in words. */
  readings: { first: string; second: string; agreement: string } | null;
}

export interface Sample {
  id: string;
  StudyInstanceUID: string;
  SeriesInstanceUID: string;
  PatientID?: string;
}

export interface Saved {
  state: 'finished' | 'draft';
  message?: string;
}

export type SkipKind = 'not now' | 'cannot be annotated';
