/** Requests as the server gets them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isAbsence } from '../../src/server/absence.ts';
import { Away, Refusal, Server } from '../../src/server/server.ts';

const ANN = { byLogin: true, name: 'Jörg@clinic', reviews: false };

function serverThat(answer: (init: RequestInit) => Promise<Response>): Server {
  return new Server('http://server', (_, init = {}) => answer(init));
}

test('whose work is sent stands in a header, and nothing where it is nobody’s', async () => {
  const sent: (string | null)[] = [];
  const server = serverThat(init => {
    sent.push(new Headers(init.headers).get('X-ActiveLabel-Reader'));
    return Promise.resolve(Response.json({}));
  });
  await server.of(ANN).skip('a', 'not now', '');
  await server.of({ ...ANN, name: '' }).active('a', 3);
  await server.of(undefined).release();
  await server.query();
  assert.deepEqual(sent, ['J%C3%B6rg%40clinic', '', null, null]);
});

test('once the project is known, each request says of which one it is', async () => {
  const sent: (string | null)[] = [];
  const server = serverThat(init => {
    sent.push(new Headers(init.headers).get('X-ActiveLabel-Project'));
    return Promise.resolve(Response.json({ project: 'p1', labels: ['ball'] }));
  });
  assert.deepEqual(await server.project(), { id: 'p1', labels: ['ball'] });
  await server.query();
  await server.of(ANN).release();
  await server.project();
  assert.deepEqual(sent, [null, 'p1', 'p1', 'p1']);
});

test('a server that was not started anew since an update has a project without an identity', async () => {
  const sent: (string | null)[] = [];
  const server = serverThat(init => {
    sent.push(new Headers(init.headers).get('X-ActiveLabel-Project'));
    return Promise.resolve(Response.json({ labels: ['ball'] }));
  });
  assert.deepEqual(await server.project(), { id: '', labels: ['ball'] });
  await server.project();
  assert.deepEqual(sent, [null, null]);
});

test('a server that takes the page for another reader is asked again after a while', async () => {
  const server = serverThat(() => Promise.resolve(Response.json({ detail: 'this is the work of ann' }, { status: 412 })));
  await assert.rejects(server.of(ANN).release(), error => {
    return error instanceof Refusal && error.message === 'this is the work of ann' && isAbsence(error);
  });
});

test('every request ends, and an answer that breaks off is none', async () => {
  const ends: boolean[] = [];
  const broken = () => new ReadableStream({ start: control => { control.error(new TypeError('network error')); } });
  const server = serverThat(init => {
    ends.push(init.signal instanceof AbortSignal);
    return Promise.resolve(new Response(broken(), { headers: { 'Content-Type': 'application/json' } }));
  });
  for (const ask of [() => server.query(), () => server.draft('a'), () => server.save('a', new Blob(), {})]) {
    await assert.rejects(ask, Away);
  }
  assert.deepEqual(ends, [true, true, true]);
});

test('what the server computes first is waited for as long as Slicer does', async context => {
  const limits: number[] = [];
  context.mock.method(AbortSignal, 'timeout', (limit: number) => {
    limits.push(limit);
    return new AbortController().signal;
  });
  const server = serverThat(() => Promise.resolve(new Response('mask')));
  await server.prediction('a');
  await server.uncertainty('a');
  await server.draft('a');
  assert.deepEqual(limits, [600_000, 600_000, 300_000]);
});
