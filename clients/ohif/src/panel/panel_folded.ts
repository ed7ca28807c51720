/** Parts of the panel that are seldom looked at: a row of buttons, each of which opens one of them over what stands below. */

import { button, make } from './elements.ts';
import type { Part } from './panel.ts';
import type { State } from '../session/state.ts';

/** The least height at which an open part is of use. */
const LEAST_PX = 180;
const MARGIN_PX = 10;

export interface FoldedPart extends Part {
  title: string;
  /** It has just been opened. */
  opened?(): void;
}

export class Folded implements Part {
  readonly element: HTMLElement;
  private readonly body = make('div', { class: 'al-folded' });
  private readonly heads: HTMLButtonElement[];

  constructor(private readonly parts: FoldedPart[]) {
    this.heads = parts.map(part => button(part.title, () => { this.open(part.element.hidden ? part : undefined); }, { 'aria-expanded': 'false' }));
    const row = make('div', { class: 'al-row al-heads' }, ...this.heads);
    this.body.append(...parts.map(({ element }) => element));
    this.element = make('div', { class: 'al-folds' }, row, this.body);
    this.element.addEventListener('keydown', event => {
      if (event.key === 'Escape') {
        const opened = this.heads.find(head => head.getAttribute('aria-expanded') === 'true');
        this.open(undefined);
        opened?.focus(); // what had the focus may be hidden now
      }
    });
    this.open(undefined);
  }

  show(state: State): void {
    this.parts.forEach(part => { part.show?.(state); });
  }

  private open(chosen: FoldedPart | undefined): void {
    this.parts.forEach((part, place) => {
      part.element.hidden = part !== chosen;
      this.heads[place]?.setAttribute('aria-expanded', String(part === chosen));
    });
    this.body.hidden = chosen === undefined;
    if (chosen !== undefined) {
      const below = window.innerHeight - this.element.getBoundingClientRect().bottom - MARGIN_PX;
      this.body.style.maxHeight = `${Math.max(LEAST_PX, below)}px`;
      chosen.opened?.();
    }
  }
}
