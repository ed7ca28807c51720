/** The part of the panel with the learning curve, once a model was judged. */

import { type LearningCurve, drawn, plotOf } from './curve.ts';
import { foldable, make, tell } from './elements.ts';
import type { State } from './state.ts';

export class CurvePart {
  readonly element: HTMLDetailsElement;
  private readonly plot = make('div', { class: 'al-plot' });
  private readonly ahead = make('p', { class: 'al-quiet' });
  private shown: LearningCurve | undefined;

  constructor() {
    this.element = foldable('Learning curve', this.plot, this.ahead);
    this.element.hidden = true;
  }

  show({ progress }: State): void {
    if (progress === undefined || progress.curve === this.shown) {
      return;
    }
    this.shown = progress.curve;
    const plot = plotOf(progress.curve);
    this.element.hidden = plot === undefined;
    this.plot.innerHTML = plot === undefined ? '' : drawn(plot, progress.curve.unit);
    tell(this.ahead, progress.ahead);
  }
}
