import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cookieOf, nameIn } from '../../src/server/name.ts';
import { Server } from '../../src/server/server.ts';

test('a name is kept in a cookie of the whole site, and read from among others', () => {
  const cookie = cookieOf('  Jörg Ott; ');
  assert.match(cookie, /^activelabel_reader=J%C3%B6rg%20Ott%3B; path=\/; SameSite=Strict; max-age=31536000$/);
  assert.equal(nameIn(`a=1; ${cookie.split(';')[0] ?? ''}; b=2`), 'Jörg Ott;');
  assert.equal(nameIn('a=1; xactivelabel_reader=no'), '');
});

test('an empty name removes the cookie, and a long one is cut', () => {
  assert.match(cookieOf(' '), /^activelabel_reader=; .*max-age=0$/);
  assert.equal(nameIn(cookieOf('x'.repeat(500))).length, 0 + 'x'.repeat(100).length);
});

function asked(answers: Record<string, object>): Server {
  const ask = (address: string | URL) => {
    const path = address.toString().replace('http://host/', '');
    return Promise.resolve(new Response(JSON.stringify(answers[path]), { status: path in answers ? 200 : 404 }));
  };
  return new Server('http://host', ask as typeof fetch, () => 'ann');
}

test('without a login the reader is who they say, and may review', async () => {
  const server = asked({ 'auth/': { enabled: false } });
  assert.deepEqual(await server.reader(), { byLogin: false, name: 'ann', reviews: true });
});

test('with a login it says who the reader is, and whether they may review', async () => {
  const as = (role: string) =>
    asked({ 'auth/': { enabled: true }, 'auth/token/valid': { username: 'bob', roles: [role] } });
  assert.deepEqual(await as('annotator').reader(), { byLogin: true, name: 'bob', reviews: false });
  assert.deepEqual(await as('reviewer').reader(), { byLogin: true, name: 'bob', reviews: true });
  assert.deepEqual(await as('admin').reader(), { byLogin: true, name: 'bob', reviews: true });
});
