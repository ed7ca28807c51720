import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Activity } from '../../src/session/activity.ts';
import { Site } from '../site.ts';
import { Session } from '../../src/session/session.ts';

test('the time between inputs counts, and a coffee does not', () => {
  const activity = new Activity();
  activity.note(1_000);
  assert.equal(activity.seconds, 0);
  activity.note(6_000);
  activity.note(31_000);
  assert.equal(activity.seconds, 30);
  activity.note(31_000 + 600_000);
  activity.note(31_000 + 601_000);
  assert.equal(activity.take(), 31);
  assert.equal(activity.seconds, 0);
});

test('nothing is asked of the server while nobody is there', async () => {
  const site = new Site();
  await site.ask();
  site.log.length = 0;
  for (let minute = 1; minute <= 30; minute++) {
    site.now = 60_000 * minute;
    await site.session.tick();
  }
  assert.deepEqual(site.log, []);
});

test('a reader at work hears that their login has ended, and the drawing stays', async () => {
  const site = new Site();
  site.reader = { byLogin: true, name: 'rev', reviews: false };
  await site.ask();
  const drawing = site.drawing();
  site.loginEnded = true;
  for (const seconds of [0, 8, 16]) {
    site.now = 1000 * seconds;
    site.session.noteInput();
  }
  await site.session.tick();
  const { phase, message } = site.session.state;
  assert.deepEqual([phase, message], ['drawing', { kind: 'bad', text: 'the login has ended', login: true }]);
  assert.equal(site.session.drawing, drawing);
  await site.session.tick();
  assert.equal(site.session.state.message?.login, true);
  site.loginEnded = false;
  await site.session.tick();
  assert.equal(site.session.drawing, drawing);
  assert.deepEqual(site.session.state.message, { kind: 'good', text: 'You are logged in as rev. What is drawn here is still there.' });
});

test('what a reader has drawn is not kept as that of another one who logs in after them', async () => {
  const site = new Site();
  await site.session.enter();
  await site.ask();
  site.drawing().draw();
  site.loginEnded = true;
  await site.session.saveAndNext();
  site.loginEnded = false;
  site.reader = { byLogin: true, name: 'bob', reviews: false };
  site.now = 60_000;
  site.log.length = 0;
  await site.session.tick();
  await site.session.tick();
  assert.deepEqual(site.log, ['reader', 'reader']);
  assert.match(site.session.state.message?.text ?? '', /is the work of rev, and bob has logged in: log in as rev/);
  site.reader = { byLogin: true, name: 'rev', reviews: false };
  await site.session.tick();
  await site.session.tick();
  assert.ok(site.told().some(line => line.startsWith('draft a')));
});

test('time at work is not lost while the server is gone, and belongs to its case alone', async () => {
  const site = new Site();
  await site.ask();
  site.away = true;
  for (const seconds of [0, 10, 20]) {
    site.now = 1000 * seconds;
    site.session.noteInput();
  }
  site.drawing().draw();
  await site.session.saveAndNext();
  site.away = false;
  await site.session.tick();
  site.told();
  await site.session.tick();
  assert.deepEqual(site.told(), ['active a 20']);
  site.now = 25_000;
  site.session.noteInput();
  await site.session.skip('not now', 'late');
  await site.navigate();
  assert.equal(site.session.state.query?.image, 'b');
  site.told();
  site.now = 40_000;
  site.session.noteInput();
  await site.session.tick();
  assert.deepEqual(site.told(), ['active b 15']);
});

test('a clock of the computer that is set back holds up no draft, and takes nothing from the time at work', async context => {
  let [now, timeOfDay] = [0, 3_600_000];
  context.mock.method(performance, 'now', () => now);
  context.mock.method(Date, 'now', () => timeOfDay);
  const site = new Site();
  const journal = site.newJournal();
  site.session = new Session(site.server, site.viewer, () => undefined, site.marks, journal);
  await site.session.enter();
  await site.ask();
  site.session.noteInput();
  site.drawing().draw();
  site.told();
  [now, timeOfDay] = [30_000, 0];
  site.session.noteInput();
  await site.session.tick();
  assert.deepEqual(site.told().map(line => line.split(' ').slice(0, 2).join(' ')), ['draft a', 'active a']);
});
