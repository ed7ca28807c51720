/** A reader says which of the slices that are asked for are done. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Marks } from '../../src/session/marks.ts';
import { Site, queryOf } from '../site.ts';

const SLICES = [3, 8, 12].map(index => ({ index, number: index + 1, ohif_number: 20 - index, position_mm: 5 * index }));

async function asked(): Promise<Site> {
  const site = new Site();
  site.held = queryOf('a', { kind: 'slices', plane: 'axial', slices: SLICES });
  await site.session.enter();
  assert.deepEqual(site.told(), ['jump to 17']);
  return site;
}

test('a slice that is done is marked, and the next one that is not is shown', async () => {
  const site = await asked();
  site.slices.mark();
  assert.deepEqual([site.session.state.done, site.session.state.slice, site.told()], [[0], 1, ['jump to 12']]);
  site.shownPlace = 2; // the reader has scrolled
  site.slices.mark();
  assert.deepEqual([site.session.state.done, site.told()], [[0, 2], ['jump to 12']]);
  site.shownPlace = 2;
  site.slices.mark();
  assert.deepEqual([site.session.state.done, site.told()], [[0], []]);
});

test('marked slices are what the label covers, and some of them are asked about first', async () => {
  const site = await asked();
  site.slices.mark();
  site.shownPlace = 2;
  site.slices.mark();
  site.drawing().draw();
  site.told();
  await site.session.saveAndNext();
  assert.match(site.session.state.message?.text ?? '', /2 of the 3 slices .* Press again to save only these/);
  assert.deepEqual(site.told(), []);
  await site.session.saveAndNext();
  assert.match(site.told()[0] ?? '', /^save a .*"finished":true,"annotated_slices":\[3,12\]/);
});

test('marks are there again in a page that was loaded anew, until the label is saved', async () => {
  const site = await asked();
  site.slices.mark();
  await site.session.leave();
  await site.session.enter();
  assert.deepEqual([site.session.state.done, site.session.state.slice], [[0], 1]);
  assert.equal(site.told().at(-1), 'jump to 12');
  await site.session.saveAndNext();
  await site.session.saveAndNext();
  site.held = queryOf('a', { kind: 'slices', plane: 'axial', slices: SLICES });
  await site.session.enter();
  assert.deepEqual(site.session.state.done, []);
});

test('marks are those of one reader, and end with a case that cannot be annotated', async () => {
  const site = await asked();
  site.slices.mark();
  await site.session.leave();
  site.reader = { ...site.reader, name: 'bob' };
  await site.session.enter();
  assert.deepEqual(site.session.state.done, []);
  site.slices.mark();
  await site.session.skip('not now', '');
  assert.deepEqual(site.marks.of(queryOf('a', { slices: SLICES }), 'bob'), [0]);
  const again = await asked();
  again.slices.mark();
  await again.session.skip('cannot be annotated', '');
  assert.deepEqual(again.marks.of(queryOf('a', { slices: SLICES }), 'rev'), []);
});

test('marks of a project are not those of another one at the same address', async () => {
  const site = await asked();
  site.slices.mark();
  await site.session.leave();
  site.project = 'p2';
  await site.session.enter();
  assert.deepEqual([site.session.state.phase, site.session.state.done], ['drawing', []]);
});

test('marks that were made before the tab was told of a project are those of the first one', () => {
  for (const told of [undefined, '']) { // by a page of before, or by a server that was not started anew since
    const kept = new Map<string, string>();
    const marks = new Marks({ getItem: key => kept.get(key) ?? null, setItem: (key, value) => { kept.set(key, value); } });
    const query = queryOf('a', { slices: SLICES });
    if (told !== undefined) { marks.belongTo(told); }
    marks.keep(query, 'rev', [1]);
    marks.belongTo('p1');
    assert.deepEqual(marks.of(query, 'rev'), [1]);
    marks.belongTo('p1');
    assert.deepEqual(marks.of(query, 'rev'), [1]);
    marks.belongTo('p2');
    assert.deepEqual(marks.of(query, 'rev'), []);
  }
});

test('a mark is kept with a draft of what was drawn, and not without one', async () => {
  const site = await asked();
  site.drawing().draw();
  site.refusal = 'no room left';
  site.slices.mark();
  await site.settled();
  assert.equal(site.session.state.message?.text, 'no room left');
  assert.deepEqual(site.marks.of(queryOf('a', { slices: SLICES }), 'rev'), []);
  site.refusal = undefined;
  site.shownPlace = 1;
  site.told();
  site.slices.mark();
  await site.settled();
  assert.ok(site.told().some(line => line.startsWith('draft a')));
  assert.deepEqual(site.marks.of(queryOf('a', { slices: SLICES }), 'rev'), [0, 1]);
});

test('a slice that is marked while a draft is being sent stays marked', async () => {
  const site = await asked();
  site.drawing().draw();
  site.server.saveDraft = () => {
    site.shownPlace = 1;
    site.slices.mark();
    return Promise.resolve({ state: 'draft' });
  };
  site.slices.mark();
  await site.settled();
  assert.deepEqual(site.marks.of(queryOf('a', { slices: SLICES }), 'rev'), [0, 1]);
});

test('if all are marked, or none, nothing is asked', async () => {
  const site = await asked();
  for (const place of [0, 1, 2]) {
    site.shownPlace = place;
    site.slices.mark();
  }
  site.told();
  await site.session.saveAndNext();
  assert.match(site.told()[0] ?? '', /"annotated_slices":\[3,8,12\]/);
  const other = await asked();
  await other.session.saveAndNext();
  assert.doesNotMatch(other.told()[0] ?? '', /annotated_slices/);
});

test('a slice that is not asked for is not marked', async () => {
  const site = await asked();
  site.shownPlace = undefined;
  site.slices.mark();
  assert.deepEqual(site.session.state.done, []);
  assert.match(site.session.state.message?.text ?? '', /not asked for/);
});
