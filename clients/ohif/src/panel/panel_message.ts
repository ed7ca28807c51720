/** The line of the panel that says what has happened, with the way to log in if that is what is to be done. */

import { make, tell } from './elements.ts';
import type { Message, State } from '../session/state.ts';

export class MessagePart {
  readonly element = make('p', { class: 'al-message', role: 'status', hidden: '' });
  private shown = '';

  /** A line that stands already is left as it is: the link in it may have the focus, or be pressed just now. */
  show({ message }: Pick<State, 'message'>): void {
    const asked = message === undefined ? '' : JSON.stringify(message);
    if (asked === this.shown) {
      return;
    }
    this.shown = asked;
    this.write(message);
  }

  private write(message: Message | undefined): void {
    tell(this.element, message?.text ?? '');
    this.element.className = `al-message al-${message?.kind ?? 'plain'}`;
    if (message?.login === true) {
      // In another tab, as this one holds what is drawn; it looks by itself whether the reader is back.
      this.element.append(' ', make('a', { href: '/login', target: '_blank' }, 'Log in, in another tab'));
    }
  }
}
