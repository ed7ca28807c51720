/** Nothing of a reader is sent as the work of another one, for whom the server takes the page meanwhile. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Reviews } from '../../src/session/reviews.ts';
import type { Review } from '../../src/server/server.ts';
import { type FakeDrawing, Site, queryOf } from '../site.ts';

const ANN = { byLogin: true, name: 'ann', reviews: true };
const BOB = { byLogin: true, name: 'bob', reviews: true };
const LINE = 'what this page holds is the work of ann, and bob has logged in: log in as ann';
const REVIEW: Review = { image: 'a', version: 2, annotator: 'eve', slices: null, plane: null, covered: [], readings: null };

/** A site on which ann has drawn on a case. */
async function drawn(): Promise<Site> {
  const site = new Site();
  site.reader = ANN;
  await site.session.enter();
  await site.ask();
  site.drawing().draw();
  site.told();
  return site;
}

function refused(site: Site): void {
  assert.deepEqual(site.told(), []);
  assert.deepEqual(site.session.state.message, { kind: 'bad', text: LINE, login: true });
}

test('a drawing that was left while nobody was logged in waits for its reader, whoever logs in before', async () => {
  for (const finished of [false, true]) {
    const site = await drawn();
    const { drawing } = site.session;
    if (finished) {
      await site.session.saveAndNext();
      drawing?.draw(); // late, so it belongs to the label
    }
    site.loginEnded = true;
    await site.session.leave();
    site.loginEnded = false;
    site.reader = BOB;
    site.held = queryOf('z');
    site.told();
    await site.session.tick();
    const text = finished ? /^The case is no longer yours/ : /^You are logged in as bob\. What ann drew here waits/;
    assert.match(site.session.state.message?.text ?? '', text);
    await site.session.tick();
    assert.deepEqual([site.told(), site.session.state.waits], [[], true]);
    site.reader = ANN;
    await site.session.tick();
    const kept = finished ? 'save a {"label_info":[{"name":"ball","idx":1}],"finished":true}' : 'draft a {"label_info":[{"name":"ball","idx":1}]}';
    assert.deepEqual([site.told(), site.session.state.waits, drawing?.changed], [[kept], false, false]);
  }
});

test('somebody else draws while a drawing waits for its reader, and their drafts are kept', async () => {
  const site = await drawn();
  site.reader = BOB;
  await site.session.leave();
  refused(site);
  await site.session.tick();
  await site.ask();
  assert.deepEqual([site.session.state.query?.image, site.session.state.reader], ['b', BOB]);
  site.drawing().draw();
  site.now = 30_000;
  site.told();
  await site.session.tick();
  assert.deepEqual(site.told(), ['draft b {"label_info":[{"name":"ball","idx":1}]}']);
  assert.equal(site.session.state.waits, true);
});

test('a draft that is due is not kept as that of somebody who has logged in unseen', async () => {
  const site = await drawn();
  site.reader = BOB;
  site.now = 30_000;
  await site.session.tick();
  refused(site);
  await site.session.tick();
  refused(site);
  site.reader = ANN;
  await site.session.tick();
  assert.equal(site.session.state.message?.text, 'You are logged in as ann. What is drawn here is still there.');
  site.now = 60_000;
  await site.session.tick();
  assert.deepEqual(site.told(), ['draft a {"label_info":[{"name":"ball","idx":1}]}']);
});

test('neither leaving a study nor marking a slice keeps a draft as that of somebody else', async () => {
  const left = await drawn();
  left.reader = BOB;
  await left.session.leave();
  refused(left);
  const marked = new Site();
  marked.reader = ANN;
  marked.held = queryOf('a', { slices: [{ index: 3, number: 4, ohif_number: 17, position_mm: 15 }] });
  await marked.session.enter();
  marked.drawing().draw();
  marked.told();
  marked.reader = BOB;
  marked.slices.mark();
  await marked.settled();
  refused(marked);
});

test('a case is neither saved nor skipped as the work of somebody else, however often the button is pressed', async () => {
  const site = await drawn();
  site.reader = BOB;
  site.held = null;
  for (let presses = 0; presses < 3; presses++) {
    await site.session.saveAndNext();
    refused(site);
    assert.deepEqual([site.session.state.phase, site.session.state.changed], ['drawing', true]);
  }
  await site.session.skip('not now', '');
  refused(site);
});

test('somebody who logs in between the question and the second press saves nothing', async () => {
  const site = await drawn();
  site.held = null;
  await site.session.saveAndNext();
  assert.match(site.session.state.message?.text ?? '', /no longer hold this case/);
  site.reader = BOB;
  await site.session.saveAndNext();
  refused(site);
});

test('time at work is not told as that of somebody else, and is told when its reader is back', async () => {
  const site = await drawn();
  site.reader = BOB;
  for (const seconds of [0, 10, 20]) {
    site.now = 1000 * seconds;
    site.session.noteInput();
  }
  await site.session.tick();
  refused(site);
  site.reader = ANN;
  await site.session.tick();
  await site.session.tick();
  assert.deepEqual(site.told(), ['active a 20']);
});

test('a label is decided about by the reviewer who has taken it alone', async () => {
  const decisions: ((reviews: Reviews<FakeDrawing>) => Promise<void>)[] = [
    reviews => reviews.approve(''),
    reviews => reviews.returnLabel('cut'),
    reviews => reviews.release(),
  ];
  for (const corrected of [false, true]) {
    for (const decide of decisions) {
      const site = new Site();
      const reviews = new Reviews<FakeDrawing>(site.server, site.session, site.viewer);
      site.reader = ANN;
      site.toReview = REVIEW;
      await reviews.take();
      await site.navigate();
      if (corrected) {
        site.drawing().draw();
        site.session.set({ asks: ['drop'] });
      }
      site.told();
      site.reader = BOB;
      await decide(reviews);
      refused(site);
      assert.equal(site.session.state.phase, 'reviewing');
    }
  }
});

test('where nobody logs in, a name that is changed in another tab changes nothing of who saves', async () => {
  const site = new Site();
  site.reader = { byLogin: false, name: 'ann', reviews: true };
  await site.session.enter();
  await site.ask();
  site.drawing().draw();
  site.told();
  site.reader = { byLogin: false, name: 'anne', reviews: true };
  await site.session.saveAndNext();
  assert.deepEqual(site.told(), []);
  const text = 'what this page holds was begun when the name was ann, and it is anne since: change it back in the tab in which it was changed';
  assert.deepEqual(site.session.state.message, { kind: 'bad', text });
  site.reader = { byLogin: false, name: 'ann', reviews: true };
  await site.session.tick();
  assert.equal(site.session.state.message.text, 'You are ann. What is drawn here is still there.');
  await site.session.saveAndNext();
  assert.match(site.told()[0] ?? '', /^save a/);
});

test('a case belongs to who was given it, also if the page has not heard of them before', async () => {
  const site = new Site();
  site.reader = ANN;
  await site.session.enter();
  site.reader = BOB;
  await site.ask();
  assert.equal(site.session.state.reader?.name, 'bob');
  site.drawing().draw();
  site.told();
  await site.session.saveAndNext();
  assert.match(site.told()[0] ?? '', /^save a/);
});
