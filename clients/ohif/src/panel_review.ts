/** The parts of the panel for reviewers: a label under review, and the button that takes the next one. */

import { button, make, tell, textField } from './elements.ts';
import type { Part } from './panel.ts';
import type { State } from './state.ts';

export interface ReviewActions {
  approve(note: string): void;
  merge(note: string): void;
  returnLabel(note: string): void;
  show(reading: 'first' | 'second'): void;
  release(): void;
}

/** The button beside *Next case*. */
export class TakePart implements Part {
  readonly element: HTMLButtonElement;

  constructor(take: () => void) {
    this.element = button('Take the next label', take, { title: 'Open the label that has waited longest for a review' });
  }

  show({ reader, phase }: State): void {
    this.element.hidden = reader?.reviews !== true || phase !== 'free';
  }
}

/** A label under review, or two readings that differ. */
export class ReviewPart implements Part {
  readonly element: HTMLElement;
  private readonly note = textField({ placeholder: 'note, in one line', 'aria-label': 'Note' });
  private readonly readings: HTMLElement;
  private readonly hint = make('p', { class: 'al-quiet' });
  private readonly seen: Record<'first' | 'second', HTMLButtonElement>;
  private readonly approve: HTMLButtonElement;
  private readonly merge: HTMLButtonElement;
  private of: string | undefined;

  constructor(actions: ReviewActions) {
    const noted = (act: (note: string) => void) => () => {
      act(this.note.value.trim());
    };
    this.seen = {
      first: button('See the first', () => { actions.show('first'); }),
      second: button('See the second', () => { actions.show('second'); }),
    };
    this.readings = make('div', { class: 'al-row al-both' }, this.seen.first, this.seen.second);
    this.approve = button('Approve', noted(note => { actions.approve(note); }), { class: 'al-main' });
    this.merge = button('Merge both', noted(note => { actions.merge(note); }), { title: 'One label of both readings, by STAPLE' });
    const decide = make(
      'div',
      { class: 'al-row al-acts' },
      this.approve,
      this.merge,
      button('Return', noted(note => { actions.returnLabel(note); }), { title: 'Back to its annotator, who is told the note' }),
      button('Let go', () => { actions.release(); }, { title: 'Leave it undecided' })
    );
    this.element = make('div', { class: 'al-column' }, this.hint, this.readings, this.note, decide);
    this.element.hidden = true;
  }

  show(state: State): void {
    const { review, reading, phase } = state;
    this.element.hidden = review === null || (phase !== 'reviewing' && phase !== 'sending');
    if (review?.image !== this.of) {
      this.of = review?.image;
      this.note.value = '';
    }
    this.readings.hidden = this.merge.hidden = reading === undefined;
    for (const which of ['first', 'second'] as const) {
      this.seen[which].disabled = phase !== 'reviewing';
      this.seen[which].setAttribute('aria-pressed', String(reading === which));
    }
    this.approve.textContent = approvalOf(state);
    this.element.querySelectorAll<HTMLButtonElement>('.al-acts button').forEach(one => { one.disabled = phase !== 'reviewing'; });
    tell(this.hint, hintOf(state));
  }
}

/** What the first button does: what is shown counts, or what the reviewer has made of it. */
export function approvalOf({ reading, changed }: Pick<State, 'reading' | 'changed'>): string {
  if (changed) {
    return 'Approve my correction';
  }
  return reading === undefined ? 'Approve' : `Take the ${reading}`;
}

/** What the reviewer has before them. */
export function hintOf({ review, reading }: Pick<State, 'review' | 'reading'>): string {
  if (reading === undefined || review?.readings == null) {
    return 'Correct it if need be; what you draw is approved with it.';
  }
  const { first, second, agreement } = review.readings;
  return `Two readings differ (${agreement}): the first by ${first}, the second by ${second}. You see the ${reading}.`;
}
