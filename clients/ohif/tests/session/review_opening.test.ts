import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Grid } from '../../src/volumes/grid.ts';
import { writeMask } from '../../src/volumes/nifti.ts';
import { Reviews } from '../../src/session/reviews.ts';
import type { Review } from '../../src/server/server.ts';
import { type FakeDrawing, Site, queryOf } from '../site.ts';

const REVIEW: Review = { image: 'a', version: 2, annotator: 'ann', slices: null, plane: null, covered: [], readings: null };
const TWICE: Review = { ...REVIEW, readings: { first: 'ann', second: 'bob', agreement: 'liver Dice 0.61' } };

test('a label of slices opens at these, which can be gone through, and is corrected on them', async () => {
  const site = new Site();
  const reviews = new Reviews<FakeDrawing>(site.server, site.session, site.viewer);
  const covered = [4, 9].map(index => ({ index, number: index + 1, ohif_number: 16 - index, position_mm: 3 * index }));
  site.toReview = { ...REVIEW, slices: [4, 9], plane: 'axial', covered };
  await reviews.take('a');
  await site.navigate();
  assert.deepEqual(site.told().filter(line => line.startsWith('jump')), ['jump to 12']);
  site.slices.step(1);
  site.slices.step(1);
  assert.deepEqual([site.told(), site.session.state.slice], [['jump to 7'], 1]);
  site.drawing().draw();
  await reviews.approve('');
  assert.ok(site.told().some(line => line.startsWith('save a') && line.includes('"annotated_slices":[4,9]')));
});

test('a label of a whole volume opens where most is drawn, and two readings where they differ most', async () => {
  const opensAt = async (review: Review, second: number[]): Promise<string[]> => {
    const site = new Site();
    const grid: Grid = { shape: [2, 1, 3], affine: [[2, 0, 0, 10], [0, 1, 0, 0], [0, 0, 5, 100]] };
    const [first, other] = await Promise.all(
      [[1, 1, 0, 1, 0, 0], second].map(async values => (await writeMask({ grid, values: Uint8Array.from(values) })).arrayBuffer())
    );
    site.server.label = (_, tag) => Promise.resolve((tag === 'reading_2' ? other : first) ?? new ArrayBuffer());
    site.toReview = review;
    await new Reviews<FakeDrawing>(site.server, site.session, site.viewer).take();
    await site.navigate();
    return site.told().filter(line => line.startsWith('look'));
  };
  assert.deepEqual(await opensAt(REVIEW, []), ['look at a 11 0 100']); // between both voxels of the first slice
  assert.deepEqual(await opensAt(TWICE, [1, 1, 0, 1, 0, 2]), ['look at a 12 0 110']); // on the last slice
  assert.deepEqual(await opensAt(TWICE, [1, 1, 2, 2, 1, 0]), ['look at a 11 0 105']); // other structures differ too
  assert.deepEqual(await opensAt(TWICE, [1, 1, 0, 1, 0, 0]), []);
});

test('a reviewer may look again at what they have decided, or have before them', async () => {
  for (const state of ['approved', 'in review']) {
    const site = new Site();
    const reviews = new Reviews<FakeDrawing>(site.server, site.session, site.viewer);
    await site.session.enter();
    site.toReview = REVIEW;
    await reviews.lookAt({ image: 'a', name: 'a', state, who: [site.reader.name] });
    await site.navigate();
    assert.equal(site.session.state.phase, 'reviewing');
  }
});

test('after a second reading, the next case is announced by its name again', async () => {
  const site = new Site();
  const reviews = new Reviews<FakeDrawing>(site.server, site.session, site.viewer);
  site.toReview = TWICE;
  await reviews.take();
  await site.navigate();
  await reviews.show('second');
  await reviews.release();
  site.held = queryOf('a');
  site.onChange = ({ phase, comes }) => { site.log.push(`${phase} ${comes}`); };
  await site.session.enter();
  assert.ok(site.told().includes('opening case'));
});
