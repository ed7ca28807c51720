/** The part of the panel about the project: what it waits for, and the learning curve once a model was judged. */

import { type LearningCurve, drawn, plotOf } from './curve.ts';
import { make, tell } from './elements.ts';
import type { FoldedPart } from './panel_folded.ts';
import type { State } from '../session/state.ts';

export class CurvePart implements FoldedPart {
  readonly title = 'Learning curve';
  readonly element: HTMLElement;
  private readonly waits = make('p', {});
  private readonly plot = make('div', { class: 'al-plot' });
  private readonly ahead = make('p', { class: 'al-quiet' });
  private shown: LearningCurve | undefined;

  constructor() {
    this.element = make('div', { class: 'al-column' }, this.waits, this.plot, this.ahead);
  }

  show({ progress }: State): void {
    if (progress === undefined || progress.curve === this.shown) {
      return;
    }
    this.shown = progress.curve;
    const plot = plotOf(progress.curve);
    this.plot.innerHTML = plot === undefined ? '' : drawn(plot, progress.curve.unit);
    tell(this.waits, progress.line);
    tell(this.ahead, progress.ahead);
  }
}
