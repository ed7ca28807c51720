/** The panel beside the image: a page part of its own, which is made once and shows a state. */

import { button, make, tell, textField } from './elements.ts';
import { MessagePart } from './panel_message.ts';
import type { Query, SkipKind } from '../server/server.ts';
import { type Phase, type State, walkOf } from '../session/state.ts';

/** What the buttons do. */
export interface Actions {
  next(): void;
  saveAndNext(): void;
  skip(kind: SkipKind, reason: string): void;
  undo(): void;
  redo(): void;
  step(by: number): void;
  mark(): void;
  choose(structure: number): void;
  setOpacity(opacity: number): void;
}

/** A part of the panel that has a file of its own. */
export interface Part {
  element: HTMLElement;
  show?(state: State): void;
}

/** The other parts: beside the name of the case, below what it began with, above its buttons and among them, beside *Next case*, and below all. */
export interface Parts {
  reader: Part;
  older: Part;
  review: Part & { buttons: HTMLElement[] };
  take: Part;
  folded: Part;
}

const SKIPS: [SkipKind, string][] = [
  ['not now', 'Not now: later, or somebody else'],
  ['cannot be annotated', 'Cannot be annotated: nobody is asked for it'],
];

export class Panel {
  readonly element: HTMLElement;
  private readonly title = make('h2');
  private readonly reason = make('p', { class: 'al-reason' });
  private readonly begun = make('p', { class: 'al-quiet' });
  private readonly slices = make('div', { class: 'al-row al-slices' });
  private readonly message = new MessagePart();
  private readonly progress = make('p', { class: 'al-quiet al-progress' });
  private readonly bar = make('progress', { max: '1', 'aria-label': 'Training or scoring' });
  private readonly done = make('p', { class: 'al-quiet' });
  private readonly kept = make('p', { class: 'al-quiet al-kept' });
  private readonly slider = make('input', { type: 'range', min: '0', max: '1', step: '0.05', 'aria-label': 'Uncertainty' });
  private readonly overlay: HTMLElement;
  private readonly overlayText = make('span', { class: 'al-quiet' });
  private readonly skipForm: HTMLElement;
  private readonly skipWarning = make('p', { class: 'al-message al-bad' }, 'What is drawn since the latest draft is lost.');
  private readonly buttons: Record<'next' | 'save' | 'undo' | 'redo' | 'skip', HTMLButtonElement>;

  constructor(
    private readonly actions: Actions,
    private readonly parts: Parts
  ) {
    this.buttons = {
      next: button('Next case', () => { actions.next(); }, { class: 'al-main' }),
      save: button('Save and next', () => { actions.saveAndNext(); }, { class: 'al-main', title: 'Ctrl+Enter' }),
      undo: button('↶', () => { actions.undo(); }, { title: 'Undo: Ctrl+Z', 'aria-label': 'Undo' }),
      redo: button('↷', () => { actions.redo(); }, { title: 'Redo: Ctrl+Y', 'aria-label': 'Redo' }),
      skip: button('Skip…', () => { this.openSkip(this.skipForm.hidden); }, { 'aria-expanded': 'false' }),
    };
    this.skipForm = this.makeSkipForm();
    this.overlay = make('label', { class: 'al-row' }, 'Uncertainty', this.slider, this.overlayText);
    this.slider.addEventListener('input', () => {
      actions.setOpacity(Number(this.slider.value));
    });
    const { next, save, undo, redo, skip } = this.buttons;
    this.element = make(
      'section',
      { class: 'activelabel', 'aria-label': 'activelabel' },
      make('div', { class: 'al-row al-head' }, this.title, parts.reader.element),
      this.reason,
      this.begun,
      parts.older.element,
      this.slices,
      parts.review.element,
      make('div', { class: 'al-row al-acts' }, next, save, parts.take.element, ...parts.review.buttons, make('div', { class: 'al-retrace' }, undo, redo), skip),
      this.skipForm,
      this.message.element,
      this.overlay,
      this.kept,
      this.done,
      this.bar,
      this.progress,
      parts.folded.element
    );
  }

  show(state: State): void {
    const { phase } = state;
    this.title.textContent = titleOf(state);
    this.reason.title = reasonOf(state);
    tell(this.reason, reasonOf(state));
    this.reason.classList.toggle('al-whole', isReadWhole(state));
    tell(this.begun, phase === 'drawing' || phase === 'reviewing' ? state.from : '');
    this.message.show(state);
    tell(this.kept, keptOf(state));
    this.showProgress(state);
    this.showButtons(state);
    this.showSmallButtons(state);
    this.showSlices(state);
    this.overlay.hidden = phase !== 'drawing';
    this.slider.value = String(state.opacity);
    this.overlayText.textContent = state.overlay === 'loading' ? 'computing …' : '';
    Object.values(this.parts).forEach((part: Part) => { part.show?.(state); });
  }

  private showProgress({ phase, progress }: State): void {
    // While a case is open, only what runs is shown: what the project waits for stands with the learning curve.
    tell(this.progress, progress !== undefined && (phase === 'free' || progress.runs) ? progress.line : '');
    tell(this.done, progress?.done ?? '');
    this.bar.hidden = progress?.share === undefined;
    this.bar.value = progress?.share ?? 0;
  }

  private showButtons({ phase, query, review }: State): void {
    const { next, save } = this.buttons;
    const open = review === null && (phase === 'drawing' || phase === 'sending');
    next.hidden = open || review !== null;
    next.disabled = phase === 'opening';
    next.textContent = nextOf(phase, query);
    save.hidden = !open;
    save.disabled = phase !== 'drawing';
  }

  private showSmallButtons({ phase, query, review, canUndo, canRedo, changed }: State): void {
    const { undo, redo, skip } = this.buttons;
    const busy = phase === 'opening' || phase === 'sending';
    undo.disabled = busy || !canUndo;
    redo.disabled = busy || !canRedo;
    undo.hidden = redo.hidden = phase === 'free' || phase === 'opening';
    skip.hidden = query === null || review !== null;
    skip.disabled = skip.hidden || busy;
    if (skip.disabled && !this.skipForm.hidden) {
      this.openSkip(false);
    }
    this.skipWarning.hidden = !changed;
  }

  private showSlices(state: State): void {
    const { phase, slice, done } = state;
    const { plane, slices: asked } = walkOf(state) ?? { plane: null, slices: [] };
    const current = asked[slice];
    this.slices.hidden = !['drawing', 'reviewing'].includes(phase) || current === undefined;
    if (current === undefined) {
      return;
    }
    const back = button('◀', () => { this.actions.step(-1); }, { title: 'Previous asked slice: [', 'aria-label': 'Previous slice' });
    const on = button('▶', () => { this.actions.step(1); }, { title: 'Next asked slice: ]', 'aria-label': 'Next slice' });
    back.disabled = slice === 0;
    on.disabled = slice === asked.length - 1;
    const count = done.length > 0 ? ` · ${done.length} done` : '';
    const place = make(
      'span',
      { class: 'al-place' },
      `${plane ?? ''} (${current.ohif_number})`,
      make('span', { class: 'al-quiet' }, `${slice + 1} of ${asked.length}${count}`)
    );
    const pressed = String(done.includes(slice));
    const mark = button(`Slice done${done.includes(slice) ? ' ✓' : ''}`, () => { this.actions.mark(); }, { title: 'Shift+D', 'aria-pressed': pressed });
    const focused = [...this.slices.children].indexOf(document.activeElement ?? this.slices);
    this.slices.replaceChildren(back, place, on, ...(phase === 'drawing' ? [mark] : []));
    if (focused >= 0) {
      (this.slices.children[focused] as HTMLElement).focus(); // who goes by keys is still at the same button
    }
  }

  private openSkip(open: boolean): void {
    this.skipForm.hidden = !open;
    this.buttons.skip.setAttribute('aria-expanded', String(open));
    if (open) {
      this.skipForm.querySelector('input')?.focus();
    }
  }

  private makeSkipForm(): HTMLElement {
    const why = textField({ placeholder: 'why, in one line', 'aria-label': 'Reason' });
    const choices = SKIPS.map(([kind, text]) =>
      button(text, () => {
        this.openSkip(false);
        this.actions.skip(kind, why.value.trim());
        why.value = '';
      })
    );
    const form = make('div', { class: 'al-skip' }, this.skipWarning, why, ...choices);
    form.hidden = true;
    form.addEventListener('keydown', event => {
      if (event.key === 'Escape') {
        this.openSkip(false);
        this.buttons.skip.focus();
      }
    });
    return form;
  }
}

function nextOf(phase: Phase, query: Query | null): string {
  return query !== null && phase === 'free' ? 'Open it' : 'Next case';
}

function titleOf({ phase, comes, query, review, name, message }: State): string {
  if (phase === 'opening' && comes === 'case') {
    return name ? `Opening ${name} …` : 'Asking for a case …';
  }
  if (phase === 'free') {
    return query === null ? (message === undefined ? 'Ask for a case' : 'No case is open') : 'You have a case open';
  }
  if (review !== null) {
    return `${name} (review)`;
  }
  return query?.role === 'validation' ? `${name} (validation)` : name;
}

/** Why the reader has the case. */
export function reasonOf({ query, review }: Pick<State, 'query' | 'review'>): string {
  if (query === null || review !== null) {
    return '';
  }
  return query.returned === null ? query.reason : `Returned by ${query.returned.reviewer}: ${query.returned.note}`;
}

/** A note, and why a label became a draft, are there to be read to the end, without a mouse too. */
export function isReadWhole({ query }: Pick<State, 'query'>): boolean {
  return query !== null && (query.draft || query.returned !== null);
}

function keptOf({ phase, kept, changed }: State): string {
  if (phase === 'sending') {
    return 'Saving …';
  }
  if (phase !== 'drawing') {
    return '';
  }
  if (kept === undefined) {
    return changed ? 'Not saved yet: a draft is kept every half minute.' : '';
  }
  return `Draft kept at ${kept}.${changed ? ' What was drawn since follows within half a minute.' : ''}`;
}
