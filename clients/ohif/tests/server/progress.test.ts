import assert from 'node:assert/strict';
import { test } from 'node:test';

import { shownProgress } from '../../src/server/progress.ts';
import { RESTS } from '../resting.ts';

test('what the project waits for is shown where nothing runs', () => {
  assert.deepEqual(shownProgress(RESTS), {
    line: RESTS.waits_for,
    runs: false,
    done: '5 of 12 cases annotated',
    share: undefined,
    curve: { unit: 'volumes', learning_curve: [], forecast: null },
    ahead: 'Go on.',
  });
});

test('what comes is said once', () => {
  const forecast = { at: 12, expected: null, low: null, high: null, sentence: 'It is too early.' };
  assert.equal(shownProgress({ ...RESTS, forecast, advice: 'It is too early.' }).ahead, 'It is too early.');
  assert.equal(shownProgress({ ...RESTS, forecast }).ahead, 'It is too early. Go on.');
});

test('a training shows its epoch and the time that is left', () => {
  const training = { running: true, model: 'segmentation', epoch: 5, epochs: 20, seconds_left: 200 };
  const { line, share } = shownProgress({ ...RESTS, training });
  assert.equal(line, 'A model is being trained: epoch 5 of 20, about 3 min left.');
  assert.equal(share, 0.25);
  const queued = shownProgress({ ...RESTS, training: { ...RESTS.training, running: true } });
  assert.deepEqual([queued.line, queued.share], ['A model is being trained.', undefined]);
});

test('a scoring shows how many are done', () => {
  const scoring = { running: true, unit: 'images', done: 2, all: 8, seconds_left: 42 };
  const { line, done, share } = shownProgress({ ...RESTS, partly_annotated: 1, scoring });
  assert.equal(line, 'Cases are being scored: 2 of 8 images, about 42 s left.');
  assert.equal(done, '5 of 12 cases annotated, 1 in part');
  assert.equal(share, 0.25);
});
