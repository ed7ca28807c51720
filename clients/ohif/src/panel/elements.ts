/** Parts of a page. */

type Attributes = Record<string, string>;

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => {
    element.setAttribute(name, value);
  });
  element.append(...children);
  return element;
}

export function button(text: string, press: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const element = make('button', { type: 'button', ...attributes }, text);
  element.addEventListener('click', event => {
    press();
    if (event.detail > 0) {
      element.blur(); // so that keys go to the image again; who presses it by a key goes on from here
    }
  });
  return element;
}

/** A field for one line. */
export function textField(attributes: Attributes): HTMLInputElement {
  const field = make('input', { type: 'text', maxlength: '200', ...attributes });
  field.addEventListener('keydown', event => {
    if (event.key !== 'Escape') { // which closes what the field stands in
      event.stopPropagation(); // a letter is no command of the viewer here
    }
  });
  return field;
}

/** Show a text, or nothing if it is empty. */
export function tell(element: HTMLElement, text: string): void {
  element.textContent = text;
  element.hidden = text === '';
}
