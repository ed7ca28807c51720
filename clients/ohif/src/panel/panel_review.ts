/** The parts of the panel for reviewers: a label under review, and the button that takes the next one. */

import { button, make, tell, textField } from './elements.ts';
import type { Part } from './panel.ts';
import type { State } from '../session/state.ts';

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
  /** They stand among the buttons of the case. */
  readonly buttons: HTMLButtonElement[];
  private of: string | undefined;

  constructor(actions: ReviewActions) {
    const noted = (act: (note: string) => void) => () => {
      act(this.note.value.trim());
    };
    this.seen = {
      first: button('', () => { actions.show('first'); }, { title: 'See the first' }),
      second: button('', () => { actions.show('second'); }, { title: 'See the second' }),
    };
    this.readings = make('div', { class: 'al-row al-both' }, this.seen.first, this.seen.second);
    this.approve = button('Approve', noted(note => { actions.approve(note); }), { class: 'al-main' });
    this.merge = button('Merge', noted(note => { actions.merge(note); }), { title: 'One label of both readings, by STAPLE' });
    this.buttons = [
      this.approve,
      this.merge,
      button('Return', noted(note => { actions.returnLabel(note); }), { title: 'Back to its annotator, who is told the note' }),
      button('Let go', () => { actions.release(); }, { title: 'Leave it undecided' }),
    ];
    this.element = make('div', { class: 'al-column' }, this.hint, this.readings, this.note);
  }

  show(state: State): void {
    const { review, reading, phase } = state;
    const isOpen = review !== null && (phase === 'reviewing' || phase === 'sending');
    [this.element, ...this.buttons].forEach(part => { part.hidden = !isOpen; });
    if (review?.image !== this.of) {
      this.of = review?.image;
      this.note.value = '';
    }
    this.readings.hidden = reading === undefined;
    this.merge.hidden ||= reading === undefined;
    this.showReadings(state);
    this.approve.textContent = approvalOf(state);
    this.buttons.forEach(one => { one.disabled = phase !== 'reviewing'; });
    tell(this.hint, hintOf(state));
  }

  private showReadings({ review, reading, phase }: State): void {
    const { first, second } = review?.readings ?? { first: '', second: '' };
    this.seen.first.textContent = `1st: ${first}`;
    this.seen.second.textContent = `2nd: ${second}`;
    for (const which of ['first', 'second'] as const) {
      this.seen[which].disabled = phase !== 'reviewing';
      this.seen[which].setAttribute('aria-pressed', String(reading === which));
    }
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
  return `Two readings differ: ${review.readings.agreement}.`;
}
