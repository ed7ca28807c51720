/** What is drawn while a case is saved and the next one comes is never lost. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { veilOf } from '../../src/panel/veil.ts';
import { Away } from '../../src/server/server.ts';
import { Site, queryOf } from '../site.ts';

test('what is drawn while the drawing is being saved is saved too', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.told();
  const { drawing } = site.session;
  site.onSave = () => {
    site.onSave = undefined;
    drawing?.draw();
  };
  await site.session.saveAndNext();
  const saves = site.told().filter(line => line.startsWith('save a'));
  assert.equal(saves.length, 2);
  assert.equal(drawing?.changed, false);
});

test('what is drawn after the saving, before the next case arrives, is saved with its case', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.told();
  const { drawing } = site.session;
  site.onNext = () => drawing?.draw(); // while the server chooses the next case
  await site.session.saveAndNext();
  drawing?.draw(); // the viewer still shows the case
  await site.navigate();
  const save = 'save a {"label_info":[{"name":"ball","idx":1}],"finished":true}';
  assert.deepEqual(site.told(), [save, 'next', save]);
  assert.equal(drawing?.changed, false);
  assert.equal(site.session.state.query?.image, 'b');
  assert.equal(site.session.state.changed, false);
});

test('a late stroke that the server does not get is saved with its case when it answers again', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  const { drawing } = site.session;
  await site.session.saveAndNext();
  site.told();
  drawing?.draw();
  site.away = true;
  await site.navigate();
  assert.equal(site.session.state.waits, true);
  site.away = false;
  site.told();
  await site.session.tick();
  assert.match(site.told()[0] ?? '', /^save a .*"finished":true/);
  assert.equal(drawing?.changed, false);
});

test('a case that is saved is not saved again when only the next one could not be had', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.onSave = () => (site.away = true);
  await site.session.saveAndNext();
  assert.match(site.session.state.message?.text ?? '', /does not answer/);
  assert.equal(site.session.state.phase, 'drawing');
  site.away = false;
  site.told();
  await site.session.saveAndNext();
  await site.navigate();
  assert.deepEqual(site.told(), ['next']);
  assert.equal(site.session.state.query?.image, 'b');
});

test('a label that had come though its answer was lost gets no draft beside it, but what is drawn on', async () => {
  for (const drawsOn of [false, true]) {
    const site = new Site();
    await site.ask();
    const drawing = site.drawing();
    drawing.draw();
    site.onSave = () => { throw new Away(); };
    await site.session.saveAndNext();
    site.onSave = undefined;
    site.held = null;
    site.labelledBy = 'rev';
    if (drawsOn) { drawing.draw(); }
    await site.session.tick();
    site.now = 60_000;
    site.told();
    await site.session.tick();
    await site.session.leave();
    assert.deepEqual(site.told().filter(line => /^(save|draft)/.test(line)), ['save a {"label_info":[{"name":"ball","idx":1}],"finished":true}']);
    assert.equal(drawing.changed, false);
  }
});

test('a draft that a label overtakes says that its answer was not heard, and is no draft then', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.onSave = () => { throw new Away(); };
  await site.session.saveAndNext();
  site.onSave = undefined;
  site.hadCome = true; // after the page has asked whether it holds the case
  await site.session.tick();
  site.now = 60_000;
  site.told();
  await site.session.tick();
  assert.deepEqual(site.told().filter(line => /^(save|draft)/.test(line)), ['draft a {"label_info":[{"name":"ball","idx":1}],"unanswered":true}']);
  site.drawing().draw();
  await site.session.leave();
  assert.deepEqual(site.told().filter(line => /^(save|draft)/.test(line)), ['save a {"label_info":[{"name":"ball","idx":1}],"finished":true}']);
});

test('a skip gives up what waits of its case, so that it does not come back as a draft', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.refusal = 'the disk is full';
  await site.session.leave();
  await site.session.enter(); // the case opens again, with what the server has
  assert.equal(site.session.state.waits, true);
  site.refusal = undefined;
  site.told();
  await site.session.skip('not now', '');
  assert.equal(site.session.state.waits, false);
  site.away = true;
  await site.session.tick();
  site.away = false;
  await site.session.tick();
  assert.deepEqual(site.told().filter(line => /^(draft|skip)/.test(line)), ['skip a not now ']);
});

test('a draft that was begun before a skip, and asks first whether the label had come, does not bring the case back', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.onSave = () => { throw new Away(); };
  await site.session.saveAndNext();
  await site.session.tick(); // the server answers again
  let answer: () => void = () => undefined;
  site.server.query = () => {
    site.server.query = () => Promise.resolve(site.held);
    return new Promise(resolve => { answer = () => { resolve(site.held); }; });
  };
  site.now = 60_000;
  site.told();
  const draft = site.session.tick();
  await site.settled();
  await site.session.skip('not now', '');
  answer();
  await draft;
  assert.deepEqual(site.told().filter(line => /^(draft|skip)/.test(line)), ['skip a not now ']);
});

test('nothing is undone while a drawing is being saved', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  const { drawing } = site.session;
  site.onSave = () => { site.session.retrace('undo'); };
  await site.session.saveAndNext();
  assert.equal(drawing?.canUndo, true);
});

test('when no case is left, nothing can be drawn on that nobody would keep', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.cases.length = 0;
  const { drawing } = site.session;
  site.onNext = () => drawing?.draw();
  await site.session.saveAndNext();
  assert.deepEqual([drawing?.changed, drawing?.closed, drawing?.removed], [false, true, true]);
  assert.equal(site.session.drawing, undefined);
});

test('each question is asked once, as long as nothing is drawn', async () => {
  const site = new Site();
  await site.ask();
  site.held = queryOf('b');
  site.told();
  await site.session.saveAndNext();
  assert.match(site.session.state.message?.text ?? '', /Nothing is drawn/);
  await site.session.saveAndNext();
  assert.match(site.session.state.message?.text ?? '', /no longer hold this case/);
  site.drawing().draw();
  site.session.retrace('undo');
  await site.session.saveAndNext();
  assert.match(site.session.state.message?.text ?? '', /Nothing is drawn/);
  await site.session.saveAndNext();
  assert.deepEqual(site.told(), []);
  await site.session.saveAndNext();
  assert.match(site.told()[0] ?? '', /^save a/);
});

test('what the model draws on the next case is asked for once, before the viewer shows it', async () => {
  const site = new Site();
  site.hasModel = true;
  await site.session.next();
  const begun = site.log.filter(line => /^(predict|show)/.test(line));
  assert.deepEqual(begun, ['predict a', 'show a']);
  await site.navigate();
  assert.equal(site.session.state.phase, 'drawing');
  assert.ok(site.masks.at(-1));
  assert.equal(site.log.filter(line => line.startsWith('predict')).length, 1);
});

test('what the model draws is asked for again if it could not be had ahead', async () => {
  const site = new Site();
  site.hasModel = true;
  site.failing = 'predict';
  await site.session.next();
  await site.settled();
  site.failing = undefined;
  await site.navigate();
  assert.deepEqual([site.session.state.phase, site.session.state.message], ['drawing', undefined]);
  assert.equal(site.masks.at(-1)?.values[0], 1);
});

test('while a case is saved, a look at the server that fails leaves the veil where it is', async () => {
  const site = new Site();
  await site.ask();
  const drawing = site.drawing();
  drawing.draw();
  site.away = true;
  await site.session.saveAndNext(); // so that the page looks for the server
  site.away = false;
  let answer: () => void = () => undefined;
  site.server.save = () => new Promise(resolve => { answer = () => { resolve({ state: 'finished' }); }; });
  const saving = site.session.saveAndNext();
  await site.settled();
  site.away = true;
  await site.session.tick();
  assert.equal(site.session.state.phase, 'sending');
  site.away = false;
  answer();
  await saving;
  assert.equal(site.session.state.phase, 'opening');
});

test('nothing can be drawn on a case that is being saved, until the next one has come', () => {
  const comes = 'case';
  assert.equal(veilOf({ phase: 'sending', comes }, true), 'Saving …');
  assert.equal(veilOf({ phase: 'opening', comes }, true), 'The next case comes …');
  assert.equal(veilOf({ phase: 'opening', comes: 'reading' }, true), 'The other reading comes …');
  assert.equal(veilOf({ phase: 'opening', comes }, false), ''); // the image may be looked at
  assert.equal(veilOf({ phase: 'drawing', comes }, true), '');
  assert.equal(veilOf({ phase: 'reviewing', comes }, true), '');
});
