/** Covers the image while a case is saved or opened, so that nothing can be drawn that nobody would keep. */

import { make, tell } from './elements.ts';
import type { State } from '../session/state.ts';

const COMES = { case: 'The next case comes …', reading: 'The other reading comes …' };
const IMAGES = '[data-cy="viewport-grid"]';

/** What stands over the image; nothing if it can be drawn on, or if no drawing is open. */
export function veilOf({ phase, comes }: Pick<State, 'phase' | 'comes'>, isOpen: boolean): string {
  if (!isOpen) {
    return '';
  }
  return phase === 'sending' ? 'Saving …' : phase === 'opening' ? COMES[comes] : '';
}

export class Veil {
  private readonly element = make('div', { class: 'activelabel-veil', role: 'status', hidden: '' });

  show(state: State, isOpen: boolean): void {
    tell(this.element, veilOf(state, isOpen));
    if (this.element.hidden) {
      this.element.remove();
      return;
    }
    const place = document.querySelector(IMAGES)?.getBoundingClientRect();
    if (place !== undefined) {
      Object.assign(this.element.style, {
        left: `${place.left}px`, top: `${place.top}px`, width: `${place.width}px`, height: `${place.height}px`,
      });
      document.body.append(this.element);
    }
  }
}
