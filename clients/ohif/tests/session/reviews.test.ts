import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Reviews } from '../../src/session/reviews.ts';
import { approvalOf, hintOf } from '../../src/panel/panel_review.ts';
import { Refusal, type Review } from '../../src/server/server.ts';
import { RESTS } from '../resting.ts';
import { type FakeDrawing, Site, queryOf } from '../site.ts';

const REVIEW: Review = { image: 'a', version: 2, annotator: 'ann', slices: null, plane: null, covered: [], readings: null };
const TWICE: Review = { ...REVIEW, readings: { first: 'ann', second: 'bob', agreement: 'liver Dice 0.61' } };

async function reviewing(review = REVIEW): Promise<[Site, Reviews<FakeDrawing>]> {
  const site = new Site();
  const reviews = new Reviews<FakeDrawing>(site.server, site.session, site.viewer);
  site.toReview = review;
  await reviews.take();
  await site.navigate();
  assert.equal(site.session.state.phase, 'reviewing');
  return [site, reviews];
}

test('a label is opened for review with who drew it, and approved as it is', async () => {
  const [site, reviews] = await reviewing();
  assert.deepEqual([site.session.state.name, site.session.state.from], ['a', 'Version 2, by ann.']);
  assert.equal(site.masks.at(-1)?.values[0], 1);
  const { drawing } = site.session;
  site.told();
  await reviews.approve('well done');
  assert.deepEqual(site.told(), ['approve a 2 well done']);
  assert.deepEqual([site.session.state.phase, site.session.state.message?.text], ['free', 'a: approved.']);
  assert.deepEqual([site.session.drawing, drawing?.removed], [undefined, true]);
});

test('what the reviewer corrects is saved first, and the new version is approved', async () => {
  const [site, reviews] = await reviewing();
  site.drawing().draw();
  site.told();
  site.toReview = { ...REVIEW, version: 3 };
  await reviews.approve('');
  const saved = 'save a {"label_info":[{"name":"ball","idx":1}],"finished":true,"confirmed":true}';
  assert.deepEqual(site.told(), [saved, 'review a', 'approve a 3 ']);
});

test('a label is returned with a note only', async () => {
  const [site, reviews] = await reviewing();
  site.told();
  await reviews.returnLabel('');
  assert.deepEqual(site.told(), []);
  assert.match(site.session.state.message?.text ?? '', /Write in the note/);
  await reviews.returnLabel('the tip is missing');
  assert.deepEqual(site.told(), ['return a 2 the tip is missing']);
});

test('right after a decision the panel shows what the project waits for then', async () => {
  const [site, reviews] = await reviewing();
  site.progress = { ...RESTS, waits_for: 'Nothing more.' };
  await reviews.returnLabel('the tip is missing');
  assert.equal(site.session.state.progress?.line, 'Nothing more.');
});

test('of two readings that differ, the shown one is taken', async () => {
  for (const reading of ['first', 'second'] as const) {
    const [site, reviews] = await reviewing(TWICE);
    assert.equal(site.session.state.reading, 'first');
    if (reading === 'second') {
      await reviews.show('second');
    }
    assert.equal(approvalOf(site.session.state), `Take the ${reading}`);
    site.told();
    await reviews.approve('better');
    assert.deepEqual(site.told(), [`adjudicate a ${reading} better`]);
  }
});

test('two readings that differ are merged, and the panel says how much they differ', async () => {
  const [site, reviews] = await reviewing(TWICE);
  assert.match(hintOf(site.session.state), /^Two readings differ: liver Dice 0\.61\./);
  site.told();
  await reviews.merge('');
  assert.deepEqual(site.told(), ['adjudicate a staple ']);
  assert.match(site.session.state.message?.text ?? '', /merged/);
});

test('a correction of one of two readings is saved and approved', async () => {
  const [site, reviews] = await reviewing(TWICE);
  await reviews.show('second');
  site.drawing().draw();
  assert.equal(approvalOf(site.session.state), 'Approve my correction');
  site.told();
  site.toReview = { ...REVIEW, version: 3 };
  await reviews.approve('');
  assert.deepEqual(site.told().map(line => line.split(' ')[0]), ['save', 'review', 'approve']);
});

test('a decision that gives up a correction is asked for twice', async () => {
  const decisions: [(reviews: Reviews<FakeDrawing>) => Promise<void>, string][] = [
    [reviews => reviews.merge(''), 'adjudicate a staple '],
    [reviews => reviews.returnLabel('cut'), 'return a 2 cut'],
    [reviews => reviews.release(), 'release'],
  ];
  for (const [decide, told] of decisions) {
    const [site, reviews] = await reviewing(TWICE);
    site.drawing().draw();
    site.told();
    await decide(reviews);
    assert.deepEqual([site.told(), site.session.state.phase], [[], 'reviewing']);
    assert.match(site.session.state.message?.text ?? '', /not kept by this/);
    await decide(reviews);
    assert.deepEqual(site.told(), [told]);
  }
});

test('the other reading replaces what the reviewer has drawn only when they have pressed twice', async () => {
  const [site, reviews] = await reviewing(TWICE);
  const drawing = site.drawing();
  drawing.draw();
  await reviews.show('second');
  assert.equal(site.session.drawing, drawing);
  assert.equal(site.session.state.reading, 'first');
  assert.match(site.session.state.message?.text ?? '', /not kept by this/);
  await reviews.show('second');
  assert.equal(site.session.state.reading, 'second');
});

test('while the other reading loads nothing else is begun, and a stroke that ends then is not lost', async () => {
  const [site, reviews] = await reviewing(TWICE);
  const mask = await site.server.label('a');
  let answer: (mask: ArrayBuffer) => void = () => undefined;
  site.server.label = () => new Promise(resolve => { answer = resolve; });
  const opened = site.masks.length;
  site.told();
  const loads = [reviews.show('second'), reviews.show('second'), reviews.approve('')];
  assert.equal(site.session.state.phase, 'opening');
  answer(mask);
  await Promise.all(loads);
  assert.deepEqual([site.told(), site.masks.length - opened], [[], 1]);
  assert.deepEqual([site.session.state.phase, site.session.state.reading], ['reviewing', 'second']);
  const back = reviews.show('first');
  const drawing = site.drawing();
  drawing.draw();
  answer(mask);
  await back;
  assert.deepEqual([drawing.removed, site.session.drawing, site.session.state.phase], [false, drawing, 'reviewing']);
  assert.match(site.session.state.message?.text ?? '', /not kept by this/);
});

test('a reading that cannot be had leaves the other one under review', async () => {
  const [site, reviews] = await reviewing(TWICE);
  site.failing = 'label';
  await reviews.show('second');
  assert.deepEqual([site.session.state.phase, site.session.state.reading], ['reviewing', 'first']);
  assert.equal(site.session.state.message?.text, 'a gateway has failed');
});

test('a stroke that was undone is no correction', async () => {
  const [site, reviews] = await reviewing(TWICE);
  site.drawing().draw();
  site.session.retrace('undo');
  assert.equal(approvalOf(site.session.state), 'Take the first');
  await reviews.show('second');
  assert.equal(site.session.state.reading, 'second');
  site.drawing().draw();
  site.session.retrace('undo');
  site.told();
  await reviews.approve('');
  assert.deepEqual(site.told(), ['adjudicate a second ']);
});

test('another case is not opened over a correction before the reviewer was asked', async () => {
  const [site, reviews] = await reviewing();
  site.session.set({ reader: site.reader });
  site.drawing().draw();
  site.toReview = { ...REVIEW, image: 'b' };
  site.told();
  await reviews.lookAt({ image: 'b', name: 'b', state: 'finished', who: ['ann'] });
  assert.deepEqual([site.told(), site.session.state.review?.image], [[], 'a']);
  assert.match(site.session.state.message?.text ?? '', /not kept by this/);
  await reviews.lookAt({ image: 'b', name: 'b', state: 'finished', who: ['ann'] });
  await site.navigate();
  assert.equal(site.session.state.review?.image, 'b');
});

test('a label may be let go of, and the review of a label that is none is none', async () => {
  const [site, reviews] = await reviewing();
  site.told();
  await reviews.release();
  assert.deepEqual(site.told(), ['release']);
  site.toReview = null;
  await reviews.take();
  assert.match(site.session.state.message?.text ?? '', /No label waits/);
  assert.equal(site.session.state.phase, 'free');
});

test('a decision is made also if nothing more can be asked after it', async () => {
  const [site, reviews] = await reviewing(TWICE);
  site.failing = 'query';
  await reviews.merge('');
  const { phase, review, reading } = site.session.state;
  assert.deepEqual([phase, review, reading], ['free', null, undefined]);
});

test('a case whose label cannot be taken has its name in the line of the server', async () => {
  const site = new Site();
  await site.session.enter();
  site.server.review = () => Promise.reject(new Refusal(409, "image '1.2' is being reviewed by somebody else, not image '3.4'"));
  await new Reviews<FakeDrawing>(site.server, site.session, site.viewer).lookAt({ image: '1.2', name: 'case_7', state: 'finished', who: ['ann'] });
  assert.equal(site.session.state.message?.text, "case_7 is being reviewed by somebody else, not image '3.4'");
});

test('a refused decision leaves the label open, with the line of the server', async () => {
  const [site, reviews] = await reviewing();
  site.server.approve = () => Promise.reject(new Refusal(409, 'a newer version has come'));
  await reviews.approve('');
  assert.deepEqual([site.session.state.phase, site.session.state.message?.text], ['reviewing', 'a newer version has come']);
});

test('a correction that was saved is approved by a second press if its approval has failed', async () => {
  for (const failing of ['approve', 'review'] as const) {
    const [site, reviews] = await reviewing({ ...TWICE, version: 1 });
    site.drawing().draw();
    site.toReview = { ...REVIEW, version: 2 };
    site.failing = failing;
    await reviews.approve('');
    assert.deepEqual([site.session.state.phase, site.session.state.message?.text], ['reviewing', 'a gateway has failed']);
    site.failing = undefined;
    site.told();
    await reviews.approve('');
    assert.equal(site.told().at(-1), 'approve a 2 ');
  }
});

test('what is drawn on a case is kept as a draft when a label is opened for review', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.told();
  site.toReview = { ...REVIEW, image: 'b' };
  await new Reviews<FakeDrawing>(site.server, site.session, site.viewer).take('b');
  await site.navigate();
  assert.ok(site.told().some(line => line.startsWith('draft a')));
  assert.equal(site.session.state.phase, 'reviewing');
});

test('a drawing of another case that still waits for the server is no correction of the label', async () => {
  const site = new Site();
  await site.ask();
  site.drawing().draw();
  site.refusal = 'no room left';
  site.toReview = { ...TWICE, image: 'b' };
  await new Reviews<FakeDrawing>(site.server, site.session, site.viewer).take('b');
  await site.navigate();
  assert.deepEqual([site.session.state.phase, site.session.state.waits], ['reviewing', true]);
  assert.equal(approvalOf(site.session.state), 'Take the first');
});

test('a case of the worklist opens for review if it can be reviewed, to be drawn if it is held, and else to be looked at', async () => {
  const site = new Site();
  const reviews = new Reviews<FakeDrawing>(site.server, site.session, site.viewer);
  site.held = queryOf('b');
  await site.session.enter();
  const look = async (image: string, state: string, who: string[] = []): Promise<string> => {
    await reviews.lookAt({ image, name: image, state, who });
    await site.navigate();
    return site.session.state.phase;
  };
  assert.equal(await look('b', 'leased'), 'drawing');
  assert.equal(await look('c', 'unseen'), 'free');
  assert.match(site.session.state.message?.text ?? '', /You look at c/);
  assert.equal(await look('c', 'finished', ['rev']), 'free'); // their own label
  site.toReview = { ...REVIEW, image: 'c' };
  assert.equal(await look('c', 'finished', ['ann']), 'reviewing');
  site.reader = { byLogin: false, name: '', reviews: true };
  await site.session.enter();
  assert.equal(await look('c', 'finished', ['127.0.0.1']), 'free');
  site.reader = { byLogin: true, name: 'bob', reviews: false };
  await site.session.enter();
  assert.equal(await look('c', 'finished', ['ann']), 'free');
});
