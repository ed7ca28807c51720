/** The part of the panel for reviewers. */

import { button, foldable, make, tell, textField } from './elements.ts';
import type { Take } from './server.ts';
import type { State } from './state.ts';

export interface ReviewActions {
  take(image?: string): void;
  approve(note: string): void;
  returnLabel(note: string): void;
  adjudicate(take: Take, note: string): void;
  show(reading: 'first' | 'second'): void;
  release(): void;
}

export class ReviewPart {
  readonly element: HTMLDetailsElement;
  private readonly take: HTMLButtonElement;
  private readonly note = textField({ placeholder: 'note, in one line', 'aria-label': 'Note' });
  private readonly open: HTMLElement;
  private readonly readings: HTMLElement;
  private readonly hint = make('p', { class: 'al-quiet' });
  private readonly seen: Record<'first' | 'second', HTMLButtonElement>;

  constructor(actions: ReviewActions) {
    const noted = (act: (note: string) => void) => () => {
      act(this.note.value.trim());
    };
    this.take = button('Take the next label', () => { actions.take(); });
    this.seen = {
      first: button('See the first', () => { actions.show('first'); }),
      second: button('See the second', () => { actions.show('second'); }),
    };
    const takes: [Take, string][] = [['first', 'Take the first'], ['second', 'Take the second'], ['staple', 'Merge both (STAPLE)']];
    this.readings = make(
      'div',
      { class: 'al-column' },
      make('div', { class: 'al-row' }, this.seen.first, this.seen.second),
      make('div', { class: 'al-row' }, ...takes.map(([take, text]) => button(text, noted(note => { actions.adjudicate(take, note); }))))
    );
    const decide = make(
      'div',
      { class: 'al-row' },
      button('Approve', noted(note => { actions.approve(note); }), { class: 'al-main' }),
      button('Return', noted(note => { actions.returnLabel(note); })),
      button('Let go', () => { actions.release(); })
    );
    this.open = make('div', { class: 'al-column' }, this.hint, this.note, this.readings, decide);
    this.element = foldable('Review', this.take, this.open);
  }

  show({ reader, review, reading, phase }: State): void {
    this.element.hidden = reader?.reviews !== true;
    const open = review !== null && phase === 'reviewing';
    if (open && this.open.hidden) {
      this.note.value = '';
      this.element.open = true;
    }
    this.open.hidden = !open;
    this.take.hidden = open;
    this.take.disabled = phase === 'opening' || phase === 'sending';
    this.readings.hidden = reading === undefined;
    this.seen.first.disabled = reading === 'first';
    this.seen.second.disabled = reading === 'second';
    const differ = `Two readings differ; you see the ${reading ?? 'first'}. Take one, merge both, or correct what you see and approve it.`;
    tell(this.hint, reading === undefined ? 'Correct it if need be; what you draw is approved with it.' : differ);
  }
}
