/** The part of the panel that says who annotates, and takes their name where nobody logs in. */

import { make, tell, textField } from './elements.ts';
import { LONGEST_NAME } from '../server/name.ts';
import type { State } from '../session/state.ts';

export class ReaderPart {
  readonly element: HTMLElement;
  private readonly known = make('p', { class: 'al-quiet' });
  private readonly field = textField({ maxlength: String(LONGEST_NAME), placeholder: 'your name', 'aria-label': 'Your name' });
  private readonly row = make('label', { class: 'al-row al-name' }, 'You are', this.field);

  constructor(setName: (name: string) => void) {
    this.field.addEventListener('change', () => {
      setName(this.field.value.trim());
    });
    this.field.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        this.field.blur(); // which is a change
      }
    });
    this.element = make('div', { class: 'al-reader' }, this.known, this.row);
  }

  show({ reader, phase }: State): void {
    const free = phase === 'free';
    const named = reader !== undefined && (reader.byLogin || !free);
    this.row.hidden = reader === undefined || named;
    tell(this.known, named && reader.name !== '' ? `You are ${reader.name}.` : '');
    if (reader !== undefined && document.activeElement !== this.field) {
      this.field.value = reader.name;
    }
  }
}
