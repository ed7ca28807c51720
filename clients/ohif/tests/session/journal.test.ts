/** What is drawn is there again after the page or the browser has ended, until the server has it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Away } from '../../src/server/server.ts';
import { Reviews } from '../../src/session/reviews.ts';
import { Session } from '../../src/session/session.ts';
import { type FakeDrawing, Site, queryOf } from '../site.ts';

const AGAIN = 'What you drew last, before the page ended, is there again; Undo takes it back.';

async function drawn(strokes = 2): Promise<Site> {
  const site = new Site();
  await site.session.enter();
  await site.ask();
  for (let stroke = 0; stroke < strokes; stroke++) {
    site.drawing().draw();
  }
  await site.settled();
  return site;
}

/** The case opens with a draft of this value. */
function opensWithDraft(site: Site, value: number): void {
  site.held = queryOf('a', { draft: true });
  site.content = value;
}

/** The page is loaded anew, and the case that is held opens. */
async function loadedAnew(site: Site): Promise<FakeDrawing> {
  site.session = site.newSession();
  await site.session.enter();
  return site.drawing();
}

test('strokes that no draft has kept are there again, as one step that can be undone, and become a draft', async () => {
  const site = await drawn();
  site.told();
  const drawing = await loadedAnew(site);
  assert.deepEqual([drawing.value(), drawing.changed, site.session.state.canUndo], [2, true, true]);
  assert.ok(site.session.state.from.endsWith(AGAIN));
  site.now = 30_000;
  await site.session.tick();
  assert.match(site.told().at(-1) ?? '', /^draft a/);
  assert.equal(site.shelf.kept.size, 0);
});

test('a stroke after the latest draft is not lost', async () => {
  const site = await drawn(1);
  site.now = 30_000;
  await site.session.tick();
  assert.equal(site.shelf.kept.size, 0);
  site.drawing().draw();
  opensWithDraft(site, 1);
  const drawing = await loadedAnew(site);
  assert.deepEqual([drawing.value(), drawing.canUndo], [2, true]);
});

test('a draft that has come, and whose answer was lost, takes nothing from the strokes before and after it', async () => {
  const site = await drawn(1);
  site.away = true;
  site.now = 30_000;
  await site.session.tick();
  site.away = false;
  site.drawing().draw();
  opensWithDraft(site, 1);
  assert.equal((await loadedAnew(site)).value(), 2);
});

test('strokes that were drawn on something older are offered, and neither drawn nor lost unseen', async () => {
  for (const [decide, value, left] of [['take', 2, 1], ['drop', 7, 0]] as const) {
    const site = await drawn();
    opensWithDraft(site, 7); // as it was drawn on another computer meanwhile
    const drawing = await loadedAnew(site);
    const { older, from, changed } = site.session.state;
    assert.match(older?.text ?? '', /^Older strokes of yours are kept on this computer, of .+, drawn on another drawing than the one that has opened\.$/);
    assert.deepEqual([drawing.value(), changed, older?.fits, from.includes(AGAIN), site.shelf.kept.size], [7, false, true, false, 1]);
    site.now += 60_000;
    await site.session.tick();
    assert.equal(site.told().some(line => line.startsWith('draft')), false);
    site.session.older[decide]();
    assert.deepEqual([drawing.value(), site.session.state.older, site.shelf.kept.size], [value, undefined, left]);
    site.session.retrace('undo');
    assert.equal(drawing.value(), 7);
  }
});

test('strokes with other structures, as those of another project, are never drawn', async () => {
  const site = await drawn();
  site.labels = ['heart', 'aorta'];
  const drawing = await loadedAnew(site);
  const { older } = site.session.state;
  assert.match(older?.text ?? '', /drawn for other structures \(ball\)\.$/);
  assert.deepEqual([drawing.value(), older?.fits, site.shelf.kept.size], [0, false, 1]);
});

test('strokes on the same series in another project at the same address are neither drawn nor offered nor removed', async () => {
  const site = await drawn();
  site.project = 'p2';
  const drawing = await loadedAnew(site);
  assert.deepEqual([drawing.value(), site.session.state.older, site.shelf.kept.size], [0, undefined, 1]);
  await site.session.skip('not now', '');
  assert.equal(site.shelf.kept.size, 1);
  site.project = 'p1';
  site.held = queryOf('a');
  site.shownSeries = 'a';
  assert.equal((await loadedAnew(site)).value(), 2);
});

test('strokes that were kept while the project was not known are offered in one that is, and never drawn unseen', async () => {
  for (const [decide, value] of [['take', 2], ['drop', 0]] as const) {
    const site = new Site();
    site.project = '';
    await site.session.enter();
    await site.ask();
    site.drawing().draw();
    site.drawing().draw();
    site.project = 'p1';
    const drawing = await loadedAnew(site);
    const { older } = site.session.state;
    assert.match(older?.text ?? '', /drawn before this page told projects apart: they may be of another project\.$/);
    assert.deepEqual([drawing.value(), older?.fits, site.shelf.kept.size], [0, true, 1]);
    site.session.older[decide]();
    assert.deepEqual([drawing.value(), site.session.state.older], [value, undefined]);
    assert.deepEqual([...site.shelf.kept.values()].map(({ place }) => place[0]), [decide === 'take' ? 'p1' : '']);
  }
});

test('strokes that may be of another project stay for it when they are dropped, and are not offered again where they were', async () => {
  const site = new Site();
  site.project = '';
  await site.session.enter();
  await site.ask();
  site.drawing().draw();
  for (const project of ['p2', 'p3']) {
    site.project = project;
    await loadedAnew(site);
    assert.match(site.session.state.older?.dropped ?? '', /not offered in this project again/);
    site.session.older.drop();
    await loadedAnew(site);
    assert.equal(site.session.state.older, undefined);
  }
  site.project = 'p1';
  site.labels = ['heart', 'aorta'];
  const drawing = await loadedAnew(site);
  assert.match(site.session.state.older?.text ?? '', /drawn for other structures \(ball\) before .+: they may be of another project\.$/);
  site.labels = ['ball'];
  assert.equal(drawing.value(), 0);
  const again = await loadedAnew(site);
  site.session.older.take();
  assert.deepEqual([again.value(), [...site.shelf.kept.values()].map(({ place }) => place[0])], [1, ['p1']]);
});

test('a skip gives up strokes that the page has kept before it knew the project', async () => {
  const site = new Site();
  site.project = '';
  await site.session.enter();
  await site.ask();
  site.drawing().draw();
  site.refusal = 'the disk is full';
  await site.session.leave();
  site.project = 'p1';
  await site.session.enter();
  assert.equal(site.shelf.kept.size, 1);
  await site.session.skip('not now', '');
  assert.equal(site.shelf.kept.size, 0);
});

test('each page has strokes of its own: those of a page that is open are neither drawn nor removed by another', async () => {
  const site = await drawn();
  site.openPages.add('page 1');
  const drawing = await loadedAnew(site);
  assert.deepEqual([drawing.value(), site.session.state.older], [0, undefined]);
  drawing.draw();
  assert.equal(site.shelf.kept.size, 2);
  await site.session.saveAndNext();
  assert.deepEqual([...site.shelf.kept.values()].map(({ place }) => place[3]), ['page 1']);
});

test('a browser that does not answer holds up no case, and one that was given up meanwhile stays so', async () => {
  const site = await drawn();
  const { shelf } = site;
  site.shelf = { kept: shelf.kept, put: () => new Promise(() => undefined), of: () => new Promise(() => undefined), remove: () => Promise.resolve(), decline: () => Promise.resolve() };
  const texts: string[] = [];
  const opened = (longestMs: number) => {
    const journal = site.newJournal(text => { texts.push(text); }, longestMs);
    return new Session(site.server, site.viewer, () => undefined, site.marks, journal, () => site.now);
  };
  site.session = opened(1);
  await site.session.enter();
  assert.equal(site.session.state.phase, 'drawing');
  assert.deepEqual(texts, ['Whether strokes of before lie in this browser is not known (Error: no answer within 0.001 s): they stay there.']);
  site.drawing().draw();
  site.now += 30_000;
  await site.session.tick();
  assert.match(site.told().at(-1) ?? '', /^draft a/);
  site.session = opened(20);
  const entered = site.session.enter();
  while (site.session.drawing === undefined) {
    await site.settled();
  }
  await site.session.leave();
  await entered;
  assert.notEqual(site.session.state.phase, 'drawing');
});

test('what the server has is not drawn again', async () => {
  const site = await drawn();
  await site.session.saveAndNext();
  assert.equal(site.shelf.kept.size, 0);
  const undone = await drawn(1);
  undone.session.retrace('undo');
  const drawing = await loadedAnew(undone);
  assert.deepEqual([drawing.changed, undone.session.state.from.includes(AGAIN)], [false, false]);
});

test('a drawing that the server refuses or does not hear stays', async () => {
  for (const fault of ['away', 'refusal'] as const) {
    const site = await drawn();
    if (fault === 'away') { site.away = true; } else { site.refusal = 'the disk is full'; }
    await site.session.leave();
    site.away = false;
    site.refusal = undefined;
    assert.equal((await loadedAnew(site)).value(), 2);
  }
});

test('a skip gives it up, and what one reader has drawn is not drawn by another', async () => {
  const site = await drawn();
  site.reader = { byLogin: true, name: 'bob', reviews: false };
  const drawing = await loadedAnew(site);
  assert.equal(drawing.value(), 0);
  for (const elsewhere of [false, true]) {
    const skipped = await drawn();
    if (elsewhere) { // the viewer shows another study
      skipped.refusal = 'the disk is full';
      await skipped.session.leave();
    }
    assert.equal(skipped.shelf.kept.size, 1);
    await skipped.session.skip('not now', '');
    assert.equal(skipped.shelf.kept.size, 0);
  }
});

test('a correction of a label under review is no drawing of its case', async () => {
  const site = new Site();
  const reviews = new Reviews<FakeDrawing>(site.server, site.session, site.viewer);
  site.toReview = { image: 'a', version: 2, annotator: 'eve', slices: null, plane: null, covered: [], readings: null };
  await reviews.take();
  await site.navigate();
  site.drawing().draw();
  assert.equal(site.shelf.kept.size, 0);
});

test('a label whose answer was lost is saved again without a question, and that of somebody else is asked about', async () => {
  for (const [who, question] of [['rev', false], ['bob', true], [undefined, true]] as const) {
    const site = await drawn();
    site.onSave = () => { throw new Away(); };
    await site.session.saveAndNext();
    assert.equal(site.session.state.message?.text, 'the server does not answer: is it running?');
    site.onSave = undefined;
    site.held = null; // it had come there
    site.labelledBy = who;
    await site.session.tick();
    site.told();
    await site.session.saveAndNext();
    assert.equal(site.told().some(line => line.startsWith('save a')), !question);
    assert.equal(site.session.state.asks.includes('elsewhere'), question);
  }
});

test('while a server is silent, it is asked once at a time', async () => {
  const site = await drawn();
  site.session.tries.away = 'server';
  let answer: () => void = () => undefined;
  site.server.reader = () => {
    site.log.push('asked');
    return new Promise(resolve => { answer = () => { resolve(site.reader); }; });
  };
  const first = site.session.tick();
  await site.session.tick();
  await site.session.tick();
  assert.equal(site.log.filter(line => line === 'asked').length, 1);
  answer();
  await first;
  assert.equal(site.session.state.message?.text, 'The server answers again. What is drawn here is still there.');
});
