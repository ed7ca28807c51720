import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Colour, colourOf } from '../../src/drawing/colours.ts';

const COLOURS = Array.from({ length: 10 }, (_, index) => colourOf(index + 1));

/** Relative luminance by the sRGB formula of WCAG. */
function luminance([red, green, blue]: Colour): number {
  const linear = (value: number): number => {
    const share = value / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

test('every colour is bright beside the grey of soft tissue, and is no grey itself', () => {
  const grey = luminance([105, 105, 105, 255]);
  for (const colour of COLOURS) {
    assert.ok((luminance(colour) + 0.05) / (grey + 0.05) > 1.8, String(colour));
    assert.ok(Math.max(...colour.slice(0, 3)) - Math.min(...colour.slice(0, 3)) > 80, String(colour));
  }
});

test('ten structures have ten colours, and then they begin again', () => {
  assert.equal(new Set(COLOURS.map(String)).size, 10);
  assert.deepEqual(colourOf(11), colourOf(1));
});
