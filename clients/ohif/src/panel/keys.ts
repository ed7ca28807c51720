/** Keys of the panel. They are taken before OHIF's own, which use the letters alone. */

import type { Actions } from './panel.ts';

/** What a key does; nothing if it is not one of the panel's. */
export function meaningOf(
  event: Pick<KeyboardEvent, 'key' | 'code' | 'ctrlKey' | 'metaKey' | 'shiftKey' | 'altKey'>,
  actions: Actions
): (() => void) | undefined {
  const step = stepOf(event);
  if (step !== undefined) {
    return () => { actions.step(step); };
  }
  if (event.ctrlKey || event.metaKey) {
    return ofControl(event.key.toLowerCase(), event.shiftKey, actions);
  }
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
  if (event.altKey) {
    return digit === undefined ? undefined : () => { actions.choose(Number(digit)); };
  }
  return event.shiftKey && event.code === 'KeyD' ? () => { actions.mark(); } : undefined;
}

/** Which way a bracket steps. Many keyboards have them behind AltGr, which Windows reports as Ctrl and Alt, and macOS as Alt. */
function stepOf({ key, ctrlKey, metaKey, altKey }: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey'>): number | undefined {
  const isLetter = altKey || (!ctrlKey && !metaKey);
  return isLetter ? { '[': -1, ']': 1 }[key] : undefined;
}

function ofControl(key: string, shift: boolean, actions: Actions): (() => void) | undefined {
  if (key === 'enter') {
    return () => { actions.saveAndNext(); };
  }
  if (key === 'y' || (key === 'z' && shift)) {
    return () => { actions.redo(); };
  }
  return key === 'z' ? () => { actions.undo(); } : undefined;
}

/** Fields in which keys write. */
const WRITING = 'input:not([type=range], [type=checkbox], [type=radio], [type=button]), textarea, select, [contenteditable]:not([contenteditable=false])';
const PRESSING = new Set([' ', 'Enter']);
const SLIDING = new Set(['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'PageUp', 'PageDown']);

/**
 * Whether a key is for the control of the panel that was reached by keys. OHIF has a use for some of them too: the space bar puts its view
 * back. The slider has the focus after a press of the mouse too, but then the keys are meant for the image.
 */
export function isForControl(focused: Pick<Element, 'matches'>, { key }: Pick<KeyboardEvent, 'key'>): boolean {
  const control = PRESSING.has(key) ? 'button, a' : SLIDING.has(key) ? '[type=range]' : undefined;
  return control !== undefined && focused.matches(`.activelabel :is(${control}):focus-visible`);
}

export function listenForKeys(actions: Actions): void {
  window.addEventListener(
    'keydown',
    event => {
      const { target } = event;
      if (target instanceof Element && target.matches(WRITING)) {
        return;
      }
      const act = meaningOf(event, actions);
      if (act !== undefined) {
        event.preventDefault();
        event.stopPropagation();
        act();
      } else if (target instanceof Element && isForControl(target, event)) {
        event.stopPropagation();
      }
    },
    true
  );
}
