/** What training and scoring are at, as the server tells it in a stream of events. */

import type { LearningCurve } from '../panel/curve.ts';

/** What is read of the server's answer about the progress. */
export interface ProjectProgress extends LearningCurve {
  training: { running: boolean; model: string | null; epoch: number | null; epochs: number | null; seconds_left: number | null };
  scoring: { running: boolean; unit: string; done: number; all: number; seconds_left: number | null };
  waits_for: string;
  images: number;
  annotated: number;
  partly_annotated: number;
  advice: string;
}

/** One line, and the share that is done, if something runs. */
export interface Progress {
  /** What runs, or what the project waits for. */
  line: string;
  runs: boolean;
  done: string;
  share: number | undefined;
  curve: LearningCurve;
  /** What is known of what comes, in sentences. */
  ahead: string;
}

const AGAIN_MS = 30_000;

function left(seconds: number | null): string {
  if (seconds === null) {
    return '';
  }
  return seconds < 90 ? `, about ${Math.max(1, Math.round(seconds))} s left` : `, about ${Math.round(seconds / 60)} min left`;
}

export function shownProgress(progress: ProjectProgress): Progress {
  const { unit, learning_curve, forecast, advice } = progress;
  // As long as there is no forecast, the advice is that sentence too.
  const ahead = forecast === null || advice.includes(forecast.sentence) ? advice : `${forecast.sentence} ${advice}`;
  return { ...whatRuns(progress), curve: { unit, learning_curve, forecast }, ahead };
}

function whatRuns({
  training, scoring, waits_for, images, annotated, partly_annotated,
}: ProjectProgress): Omit<Progress, 'curve' | 'ahead'> {
  const part = partly_annotated > 0 ? `, ${partly_annotated} in part` : '';
  const done = `${annotated} of ${images} cases annotated${part}`;
  if (training.running) {
    const { epoch, epochs } = training;
    const known = epoch !== null && epochs !== null && epochs > 0;
    const place = known ? `: epoch ${epoch} of ${epochs}${left(training.seconds_left)}` : '';
    return { line: `A model is being trained${place}.`, runs: true, done, share: known ? epoch / epochs : undefined };
  }
  if (scoring.running) {
    const line = `Cases are being scored: ${scoring.done} of ${scoring.all} ${scoring.unit}${left(scoring.seconds_left)}.`;
    return { line, runs: true, done, share: scoring.all > 0 ? scoring.done / scoring.all : undefined };
  }
  return { line: waits_for, runs: false, done, share: undefined };
}

/**
 * Listen for the progress, and for changes of cases, as long as the page is open. The browser connects again by itself
 * unless it is refused.
 */
export function listenForProgress(address: string, tell: (progress: Progress) => void, casesChange: () => void): void {
  const events = new EventSource(`${address}/activelabel/events`);
  events.addEventListener('progress', event => {
    tell(shownProgress(JSON.parse((event as MessageEvent<string>).data) as ProjectProgress));
  });
  ['case', 'missed'].forEach(kind => {
    events.addEventListener(kind, casesChange);
  });
  events.addEventListener('error', () => {
    if (events.readyState === EventSource.CLOSED) {
      setTimeout(() => { listenForProgress(address, tell, casesChange); }, AGAIN_MS);
    }
  });
}
