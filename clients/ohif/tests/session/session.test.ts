import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Away, Refusal, Server } from '../../src/server/server.ts';
import { Site, queryOf } from '../site.ts';

const HALF_A_MINUTE = 30_000;

test('a case is asked for, opened where it lies, saved, and the next one follows', async () => {
  const site = new Site();
  await site.session.enter();
  assert.equal(site.session.state.phase, 'free');
  await site.ask();
  assert.equal(site.session.state.phase, 'drawing');
  assert.deepEqual([site.session.state.name, site.session.state.query?.reason], ['a', 'why a']);
  site.drawing().draw();
  await site.session.saveAndNext();
  await site.navigate();
  assert.equal(site.session.state.query?.image, 'b');
  assert.equal(site.session.state.changed, false);
  assert.deepEqual(site.told(), ['next', 'save a {"label_info":[{"name":"ball","idx":1}],"finished":true}', 'next']);
});

test('an empty drawing of a volume is saved when it is asked for twice', async () => {
  const site = new Site();
  await site.ask();
  site.told();
  await site.session.saveAndNext();
  assert.match(site.session.state.message?.text ?? '', /Nothing is drawn/);
  assert.deepEqual(site.told(), []);
  await site.session.saveAndNext();
  assert.match(site.told()[0] ?? '', /^save a .*"finished":true/);
});

test('an empty drawing of slices that were asked for is an answer', async () => {
  const site = new Site();
  site.held = queryOf('a', {
    kind: 'slices',
    plane: 'axial',
    slices: [3, 8].map(index => ({ index, number: index + 1, ohif_number: 20 - index, position_mm: 5 * index })),
  });
  await site.session.enter();
  assert.deepEqual(site.told(), ['jump to 17']);
  site.slices.step(1);
  site.slices.step(1);
  site.slices.step(-1);
  site.slices.step(-1);
  assert.deepEqual(site.told(), ['jump to 12', 'jump to 17']);
  await site.session.saveAndNext();
  assert.match(site.told()[0] ?? '', /^save a/);
});

test('what the server takes for a draft is confirmed by pressing again', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.saved = { state: 'draft', message: 'exactly what model 1 drew: look it over.' };
  await site.session.saveAndNext();
  assert.equal(site.session.state.phase, 'drawing');
  assert.match(site.session.state.message?.text ?? '', /look it over\. Press again/);
  site.told();
  site.saved = { state: 'finished' };
  await site.session.saveAndNext();
  assert.match(site.told()[0] ?? '', /"finished":true,"confirmed":true/);
});

test('a refused drawing stays open and unsaved, with the line of the server', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.refusal = "'lump' is not a label of this app";
  await site.session.saveAndNext();
  const { phase, message } = site.session.state;
  assert.deepEqual([phase, message], ['drawing', { kind: 'bad', text: site.refusal }]);
  assert.equal(site.drawing().changed, true);
});

test('a page in the stead of an answer keeps the drawing open, and says what it may be', async () => {
  const ask = () => Promise.resolve(new Response('<html>log in</html>', { status: 200 }));
  const server = new Server('http://host', ask);
  await assert.rejects(server.save('a', new Blob(['mask']), {}), /is no answer of activelabel: log in again/);
  await assert.rejects(server.query(), /is no answer of activelabel/);
  const odd = new Server('http://host', () => Promise.resolve(new Response('{}', { status: 200 })));
  await assert.rejects(odd.save('a', new Blob(['mask']), {}), /is no answer of activelabel/);
});

test('a draft is kept half a minute after a change, once', async () => {
  const site = new Site();
  await site.ask();
  site.told();
  site.now = 1000;
  site.drawing().draw();
  site.now += HALF_A_MINUTE - 1;
  await site.session.tick();
  assert.deepEqual(site.told(), []);
  site.now += 1;
  await site.session.tick();
  await site.session.tick();
  assert.deepEqual(site.told(), ['draft a {"label_info":[{"name":"ball","idx":1}]}']);
  assert.equal(site.session.state.changed, false);
});

test('a draft that could not be kept is tried again', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.now += HALF_A_MINUTE;
  site.refusal = 'no room left';
  await site.session.tick();
  assert.equal(site.session.state.message?.text, 'no room left');
  site.refusal = undefined;
  site.told();
  site.now += HALF_A_MINUTE;
  await site.session.tick();
  assert.match(site.told()[0] ?? '', /^draft a/);
  assert.equal(site.session.state.message, undefined); // what was wrong is no longer true
});

test('what is not saved is kept as a draft when the study is left', async () => {
  const site = new Site();
  await site.ask();
  const drawing = site.drawing();
  drawing.draw();
  site.told();
  await site.session.leave();
  assert.deepEqual(site.told(), ['draft a {"label_info":[{"name":"ball","idx":1}]}']);
  assert.equal(drawing.closed, true);
});

test('a draft that could not be kept when the study was left is sent when the server answers', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.away = true;
  await site.session.leave();
  assert.equal(site.session.state.waits, true); // so that the browser asks before the page is closed
  site.told();
  site.away = false;
  await site.session.tick();
  assert.deepEqual(site.told(), ['draft a {"label_info":[{"name":"ball","idx":1}]}']);
  assert.equal(site.session.state.waits, false);
});

test('a case that is opened while the draft of the one before is sent stays open', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.told();
  const leaving = site.session.leave();
  await site.session.enter();
  await leaving;
  assert.equal(site.session.state.phase, 'drawing');
  assert.equal(site.drawing().closed, false);
  assert.deepEqual(site.told(), ['draft a {"label_info":[{"name":"ball","idx":1}]}']);
});

test('the case that a reader holds is opened again with the draft, and only in its own study', async () => {
  const site = new Site();
  site.held = queryOf('b', { draft: true });
  await site.session.enter();
  assert.equal(site.session.state.phase, 'free');
  assert.equal(site.session.state.query?.image, 'b');
  site.shownSeries = 'b';
  await site.session.enter();
  assert.equal(site.session.state.phase, 'drawing');
  assert.match(site.session.state.from, /your draft/);
  assert.ok(site.masks[0]);
});

test('a drawing begins with the returned label, what the model draws, or nothing', async () => {
  const site = new Site();
  site.held = queryOf('a', { returned: { reviewer: 'rev', note: 'the tip is missing' } });
  await site.session.enter();
  assert.match(site.session.state.from, /returned/);
  site.held = queryOf('a');
  await site.session.enter();
  assert.match(site.session.state.from, /no model yet/);
  site.hasModel = true;
  await site.session.enter();
  assert.match(site.session.state.from, /what the model draws/);
  assert.deepEqual(site.masks.map(mask => mask?.values[0]), [1, undefined, 1]);
});

test('a skip is told with its reason, and the next case follows', async () => {
  const site = new Site();
  await site.ask();
  site.told();
  await site.session.skip('cannot be annotated', 'blurred');
  await site.navigate();
  assert.deepEqual(site.told(), ['skip a cannot be annotated blurred', 'next']);
  assert.equal(site.session.state.query?.image, 'b');
});

test('when no case is left, the panel says so', async () => {
  const site = new Site();
  site.cases.length = 0;
  await site.session.next();
  assert.deepEqual(site.session.state.message, { kind: 'good', text: 'No case is left to annotate.' });
  assert.equal(site.session.state.phase, 'free');
});

test('a server that was gone is found again, and the drawing is still there', async () => {
  const site = new Site();
  await site.ask();
  const drawing = site.drawing();
  drawing.draw();
  site.away = true;
  await site.session.saveAndNext();
  assert.match(site.session.state.message?.text ?? '', /does not answer/);
  assert.equal(site.session.state.phase, 'drawing');
  await site.session.tick();
  assert.match(site.session.state.message?.text ?? '', /does not answer/);
  site.away = false;
  await site.session.tick();
  assert.match(site.session.state.message?.text ?? '', /answers again/);
  assert.equal(site.session.drawing, drawing);
  await site.session.saveAndNext();
  await site.navigate();
  assert.equal(site.session.state.query?.image, 'b');
});

test('a page that was opened while the server was gone goes on by itself', async () => {
  const site = new Site();
  site.held = queryOf('a');
  site.away = true;
  await site.session.enter();
  assert.equal(site.session.state.phase, 'free');
  site.away = false;
  await site.session.tick();
  assert.equal(site.session.state.phase, 'drawing');
});

test('time at work is told in steps, and before the case is saved', async () => {
  const site = new Site();
  await site.ask();
  site.told();
  for (const seconds of [0, 10, 14]) {
    site.now = 1000 * seconds;
    site.session.noteInput();
  }
  await site.session.tick();
  assert.deepEqual(site.told(), []);
  site.now = 16_000;
  site.session.noteInput();
  await site.session.tick();
  assert.deepEqual(site.told(), ['active a 16']);
  site.now = 20_000;
  site.session.noteInput();
  site.drawing().draw();
  await site.session.saveAndNext();
  assert.deepEqual(site.told().slice(0, 2).map(line => line.split(' ').slice(0, 2).join(' ')), ['active a', 'save a']);
});

test('a case that was given to somebody else meanwhile is not opened', async () => {
  const site = new Site();
  await site.session.next();
  site.held = queryOf('z');
  await site.session.enter();
  assert.equal(site.session.state.phase, 'free');
  assert.match(site.session.state.message?.text ?? '', /no longer yours/);
});

test('a case that was saved in another tab meanwhile is saved again only when that is asked for twice', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.held = queryOf('b');
  site.server.active = () => Promise.reject(new Refusal(409, 'no query of it to work on'));
  site.now = 5000;
  site.session.noteInput();
  site.now = 9000;
  site.session.noteInput();
  site.told();
  await site.session.saveAndNext();
  assert.deepEqual([site.told(), site.session.state.phase], [[], 'drawing']);
  assert.match(site.session.state.message?.text ?? '', /no longer hold this case/);
  await site.session.saveAndNext();
  assert.match(site.told()[0] ?? '', /^save a/);
});

test('a proxy that answers for a server that is gone is no refusal', async () => {
  const answer = (status: number, type: string) => new Server('http://host', () =>
    Promise.resolve(new Response('{"detail":"the PACS is down"}', { status, headers: { 'Content-Type': type } })));
  await assert.rejects(answer(502, 'text/html').query(), Away);
  await assert.rejects(answer(503, 'text/html').query(), Away);
  await assert.rejects(answer(503, 'application/json').query(), /the PACS is down/);
});

test('a login that has ended is said with what to do', async () => {
  const ask = () => Promise.resolve(new Response('{"detail":"log in first"}', { status: 401 }));
  const server = new Server('http://host', ask);
  await assert.rejects(server.query(), { message: 'your login has ended: nothing drawn here is lost' });
});
