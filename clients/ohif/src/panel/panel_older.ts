/** The part of the panel that offers older strokes of the open case. */

import { button, make, tell } from './elements.ts';
import type { Part } from './panel.ts';
import type { State } from '../session/state.ts';

export class OlderPart implements Part {
  readonly element: HTMLElement;
  private readonly text = make('p', { class: 'al-quiet' });
  private readonly take: HTMLButtonElement;
  private readonly drop: HTMLButtonElement;

  constructor(take: () => void, drop: () => void) {
    this.take = button('Take them', take, { title: 'Draw them over what is open, as one step that can be undone' });
    this.drop = button('Drop them', drop);
    this.element = make('div', { class: 'al-column al-older' }, this.text, make('div', { class: 'al-row' }, this.take, this.drop));
  }

  show({ older, phase }: State): void {
    this.element.hidden = older === undefined || phase !== 'drawing';
    this.take.hidden = older?.fits !== true;
    this.drop.title = older?.dropped ?? '';
    tell(this.text, older?.text ?? '');
  }
}
