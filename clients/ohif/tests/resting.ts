/** A project in which nothing runs. */

import type { ProjectProgress } from '../src/server/progress.ts';

export const RESTS: ProjectProgress = {
  training: { running: false, model: null, epoch: null, epochs: null, seconds_left: null },
  scoring: { running: false, unit: 'images', done: 3, all: 6, seconds_left: null },
  waits_for: 'The next model is trained after 2 training volumes; 1 is there.',
  images: 12,
  annotated: 5,
  partly_annotated: 0,
  unit: 'volumes',
  learning_curve: [],
  forecast: null,
  advice: 'Go on.',
};
