import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPasswords } from '../src/access/passwords.ts';
import { type ApiRig, apiOf } from './support/api.ts';
import { Browser } from './support/cookie-jar.ts';
import { startOidcProvider, type TestOidcProvider } from './support/oidc-provider.ts';
import { configured } from './support/oidc-rig.ts';
import { freePort } from './support/ports.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

let provider: TestOidcProvider;
let promgate: TestPromgate;
let api: ApiRig;

beforeAll(async () => {
  const port = await freePort();
  const externalUrl = `http://127.0.0.1:${port}`;
  provider = await startOidcProvider([`${externalUrl}/login/oidc/main/callback`]);
  promgate = await startTestPromgate({
    resources: 'groups: [{ path: acme }]',
    settings: {
      listen: { host: '127.0.0.1', port },
      externalUrl,
      oidc: {
        providers: [
          configured(provider, { rules: [{ claim: 'groups', value: 'dev', gives: { role: 'reporter', on: 'acme' } }] }),
        ],
      },
    },
  });
  api = await apiOf(promgate);
});
afterAll(async () => {
  await api.close();
  await promgate.close();
  await provider.stop();
});

test('an account at a provider is linked when the browser that asked for it comes back, with what its rules give, and unlinked', async () => {
  const user = await api.user({ passwordHash: await createPasswords().hash('correct horse battery') });
  const begun = await user.post('/user/identities', { provider: 'main' });
  expect(begun.status).toBe(200);
  expect(new URL(begun.body.location).origin).toBe(provider.issuer);
  expect((await user.get('/user/identities')).body.items).toEqual([]);

  // Pages go by what the process knows; the session was put into the database behind its back.
  const home = () => fetch(promgate.url, { headers: { cookie: user.cookie }, redirect: 'manual' });
  await expect.poll(async () => (await home()).status, { timeout: 20_000 }).toBe(200);
  const browser = new Browser();
  browser.keep(promgate.url, `${user.cookie}; Path=/`);
  for (const cookie of begun.headers.getSetCookie()) browser.keep(promgate.url, cookie);
  provider.signsIn({ sub: 'anna-1', claims: { preferred_username: 'anna', groups: ['dev'] } });
  const back = await browser.follow(begun.body.location, ({ url }) => url.includes('/callback?'));
  expect([back.status, back.location]).toEqual([303, `${promgate.url}/`]);

  const { items } = (await user.get('/user/identities')).body;
  expect(items).toMatchObject([{ provider: 'main', issuer: provider.issuer, subject: 'anna-1' }]);
  expect((await user.get('/user')).body.memberships).toMatchObject([{ on: 'acme', role: 'reporter', source: 'oidc:main' }]);

  expect((await user.delete(`/user/identities/${items[0].id}`)).status).toBe(204);
  const { body } = await user.get('/user');
  expect(body).toMatchObject({ username: user.username, memberships: [] });
});

test('a provider that is not configured is told by its pointer, with those that are', async () => {
  const user = await api.user();
  expect((await user.post('/user/identities', { provider: 'gitlab' })).body.errors).toEqual([
    { pointer: '#/provider', detail: 'there is no such provider: it must be one of main' },
  ]);
});

test('a link is not begun for a personal token, nor from another site', async () => {
  const user = await api.user();
  const token = await user.personalToken('account:read');
  expect((await token.post('/user/identities', { provider: 'main' })).status).toBe(403);
  const headers = { origin: 'https://evil.example' };
  const answer = await user.post('/user/identities', { provider: 'main' }, { headers });
  expect([answer.status, answer.headers.get('set-cookie')]).toEqual([403, null]);
});
