/** Keys of the panel. They are taken before OHIF's own, which use the letters alone. */

import type { Actions } from './panel.ts';

/** What a key does; nothing if it is not one of the panel's. */
export function meaningOf(
  event: Pick<KeyboardEvent, 'key' | 'code' | 'ctrlKey' | 'metaKey' | 'shiftKey' | 'altKey'>,
  actions: Actions
): (() => void) | undefined {
  if (event.ctrlKey || event.metaKey) {
    return ofControl(event.key.toLowerCase(), event.shiftKey, actions);
  }
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
  if (event.altKey) {
    return digit === undefined ? undefined : () => { actions.choose(Number(digit)); };
  }
  if (event.key === '[' || event.key === ']') {
    return () => { actions.step(event.key === ']' ? 1 : -1); };
  }
  return event.shiftKey && event.code === 'KeyD' ? () => { actions.mark(); } : undefined;
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

function writesText(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement && target.type !== 'range';
}

export function listenForKeys(actions: Actions): void {
  window.addEventListener(
    'keydown',
    event => {
      const act = writesText(event.target) ? undefined : meaningOf(event, actions);
      if (act !== undefined) {
        event.preventDefault();
        event.stopPropagation();
        act();
      }
    },
    true
  );
}
