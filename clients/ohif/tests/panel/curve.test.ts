import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type CurvePoint, type LearningCurve, drawn, plotOf } from '../../src/panel/curve.ts';

const point = (model_version: number, volumes: number, dice: number | null): CurvePoint => ({
  model_version, in_use: model_version === 2, volumes, slices: 10 * volumes, dice, dice_low: null, dice_high: null,
});

const CURVE: LearningCurve = {
  unit: 'volumes',
  learning_curve: [point(1, 5, 0.5), point(2, 10, 0.75), point(3, 12, null)],
  forecast: { at: 20, expected: 0.9, low: 0.8, high: 1, sentence: 'more' },
};

test('models lie at their effort and Dice, the forecast at its own', () => {
  // The drawing is 260 × 110: efforts from 30 to 250 for 0 to 20 volumes, Dice from 90 down to 8 for .5 to 1.
  const plot = plotOf(CURVE);
  assert.ok(plot?.forecast);
  assert.deepEqual([plot.lowest, plot.last], [0.5, 20]);
  assert.deepEqual(plot.models.map(({ x, y }) => [x, y]), [[85, 90], [140, 49]]);
  assert.deepEqual(plot.models.map(({ inUse }) => inUse), [false, true]);
  assert.equal(plot.forecast.x, 250);
  assert.ok(Math.abs(plot.forecast.y - (90 - 82 * 0.8)) < 1e-9);
  assert.ok(Math.abs(plot.forecast.low - (90 - 82 * 0.6)) < 1e-9);
  assert.equal(plot.forecast.high, 8);
});

test('effort counts slices where the project does', () => {
  const plot = plotOf({ ...CURVE, unit: 'slices', forecast: null });
  assert.deepEqual([plot?.last, plot?.models[1]?.x], [100, 250]);
});

test('nothing is drawn before a model was judged, and a perfect one is drawn at the top', () => {
  assert.equal(plotOf({ ...CURVE, learning_curve: [point(1, 5, null)] }), undefined);
  const perfect = plotOf({ ...CURVE, learning_curve: [point(1, 5, 1)], forecast: null });
  assert.equal(perfect?.models[0]?.y, 8);
});

test('the drawing has a dot for each model, and a hollow one for the forecast', () => {
  const plot = plotOf(CURVE);
  assert.ok(plot);
  const svg = drawn(plot, 'volumes');
  assert.equal(svg.match(/class="al-model"/g)?.length, 2);
  assert.equal(svg.match(/class="al-expected"/g)?.length, 1);
  assert.match(svg, /20 volumes/);
});
