/** Attempts to learn which credentials exist, to have others' browsers do something, and to ask what cannot be read. */
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { hashToken, newPersonalTokenText, newTokenText } from '../src/access/token-text.ts';
import { type IssuedToken, revokeToken } from '../src/access/tokens.ts';
import type { Operation } from '../src/api/operation.ts';
import { operations } from '../src/api/operations/index.ts';
import { tester } from './support/actor.ts';
import { type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { honest } from './support/made-up.ts';
import { basicAuth, startTestPromgate, type TestPromgate } from './support/promgate.ts';
import { type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

const shop = 'acme/shop:production';

let upstream: StrictUpstream;
let promgate: TestPromgate;
let api: ApiRig;

beforeAll(async () => {
  upstream = await startStrictUpstream(honest());
  const servers = [{ name: 'main', url: upstream.url }];
  const environments = [{ name: 'production' }];
  promgate = await startTestPromgate({
    resources: JSON.stringify({ projects: ['acme/shop', 'other/secret'].map((path) => ({ path, environments, servers })) }),
  });
  api = await apiOf(promgate);
});
afterEach(() => vi.restoreAllMocks());
afterAll(async () => {
  await api?.close();
  await promgate?.close();
  await upstream?.stop();
});

/** All that a client sees but for the time, under an id of its choice. */
async function told(url: string, headers: Record<string, string>): Promise<object> {
  const response = await fetch(url, { headers: { ...headers, 'x-request-id': 'same' } });
  const { date: _, ...rest } = Object.fromEntries(response.headers);
  return { status: response.status, headers: rest, body: await response.text() };
}

/** The look-ups of credentials and of whose they are that the database is asked for meanwhile. */
async function lookUps(work: () => Promise<unknown>): Promise<string[]> {
  const prepare = vi.spyOn(DatabaseSync.prototype, 'prepare');
  await work();
  const all = prepare.mock.calls.map(([text]) => text);
  prepare.mockRestore();
  return all.filter((text) => /"hash" (=|in)|from "users" where "id" =/.test(text));
}

describe('tokens of endpoints', () => {
  const url = () => `${promgate.endpoint(shop)}/api/v1/query?query=up`;

  /** Texts that open nothing, by why. The last of them were never issued. */
  async function badTokens(): Promise<Record<string, string>> {
    const soon = Date.now() + 60_000;
    const [good, revoked, expired] = [
      await promgate.token(shop),
      await promgate.token(shop),
      await promgate.token(shop, { expiresAt: soon }),
    ] as [IssuedToken, IssuedToken, IssuedToken];
    await revokeToken(api.database, revoked.id, tester);
    await api.database.write((trx) =>
      trx
        .updateTable('tokens')
        .set({ expires_at: Date.now() - 1 })
        .where('id', '=', expired.id)
        .execute(),
    );
    await expect
      .poll(async () => (await fetch(url(), { headers: { authorization: `Bearer ${expired.token}` } })).status, {
        timeout: 20_000,
        interval: 20,
      })
      .toBe(401);
    return {
      revoked: revoked.token,
      expired: expired.token,
      unknown: newTokenText(),
      'of another checksum': `${good.token.slice(0, -1)}${good.token.endsWith('x') ? 'y' : 'x'}`,
      'too short': good.token.slice(0, -1),
      'its hash': hashToken(good.token),
      'a personal one': newPersonalTokenText(),
      empty: '',
    };
  }

  it('that are no good are told apart by nothing, and no database is asked for them', async () => {
    const bad = await badTokens();
    const first = await told(url(), { authorization: `Bearer ${bad.unknown}` });
    expect(first).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Basic realm="promgate"' } });
    const asked = await lookUps(async () => {
      for (const [why, text] of Object.entries(bad)) {
        expect([why, await told(url(), { authorization: `Bearer ${text}` })]).toEqual([why, first]);
        expect([why, await told(url(), { authorization: basicAuth('token-1', text) })]).toEqual([why, first]);
      }
    });
    expect(asked).toEqual([]);
  });

  it('of somebody else see in every endpoint that exists what they see in one that does not', async () => {
    const { basic } = await promgate.token('other/secret:production');
    const missing = await told(url().replace('acme/shop', 'acme/none'), { authorization: basic });
    expect(missing).toMatchObject({ status: 404 });
    for (const target of [shop, 'acme/shop', 'groups/acme', 'acme/shop:none', 'groups/none', 'other/secret'])
      expect(await told(`${promgate.endpoint(target)}/api/v1/query?query=up`, { authorization: basic })).toEqual(missing);
  });

  it('are refused by the control API alike, whether they exist or not, and are not even looked for', async () => {
    const { revoked = '', unknown = '' } = await badTokens();
    const good = await promgate.token(shop);
    const groups = `${promgate.url}/-/api/v1/groups`;
    const first = await told(groups, { authorization: `Bearer ${unknown}` });
    expect(first).toMatchObject({ status: 401 });
    const asked = await lookUps(async () => {
      for (const text of [good.token, revoked]) expect(await told(groups, { authorization: `Bearer ${text}` })).toEqual(first);
    });
    expect(asked).toEqual([]);
  });
});

describe('personal tokens', () => {
  const account = () => `${promgate.url}/-/api/v1/user`;

  it('that are no good are told apart by nothing, and cost the same look-ups', async () => {
    const user = await api.user();
    const [good, revoked, expired] = [
      await user.personalToken('account:read'),
      await user.personalToken('account:read'),
      await user.personalToken('account:read'),
    ];
    const set = (text: string, change: { revoked_at?: number; expires_at?: number }) =>
      api.database.write((trx) => trx.updateTable('personal_tokens').set(change).where('hash', '=', hashToken(text)).execute());
    await set(revoked.text, { revoked_at: Date.now() });
    await set(expired.text, { expires_at: Date.now() - 1 });
    expect(await told(account(), { authorization: `Bearer ${good.text}` })).toMatchObject({ status: 200 });

    const ask = (text: string) => told(account(), { authorization: `Bearer ${text}` });
    const unknown = newPersonalTokenText();
    const first = await ask(unknown);
    expect(first).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer realm="promgate"' } });
    const cost = await lookUps(() => ask(unknown));
    expect(cost.length).toBeGreaterThan(0);
    for (const text of [revoked.text, expired.text]) {
      let answer: object = {};
      const asked = await lookUps(async () => {
        answer = await ask(text);
      });
      expect([answer, asked]).toEqual([first, cost]);
    }
    expect(await ask(`${good.text.slice(0, -1)}${good.text.endsWith('x') ? 'y' : 'x'}`)).toEqual(first);

    await api.database.write((trx) => trx.updateTable('users').set({ state: 'blocked' }).where('id', '=', user.id).execute());
    expect(await ask(good.text)).toEqual(first);
  });
});

describe('sessions', () => {
  it('that are no good are told apart by nothing', async () => {
    const [ended, expired, blocked] = [await api.user(), await api.user(), await api.user()];
    const write = api.database.write;
    await write((trx) => trx.deleteFrom('sessions').where('user_id', '=', ended.id).execute());
    await write((trx) => trx.updateTable('sessions').set({ expires_at: 1 }).where('user_id', '=', expired.id).execute());
    await write((trx) => trx.updateTable('users').set({ state: 'blocked' }).where('id', '=', blocked.id).execute());
    const ask = (cookie: string) => told(`${promgate.url}/-/api/v1/user`, { cookie });
    const first = await ask(`promgate_session=${'a'.repeat(43)}`);
    expect(first).toMatchObject({ status: 401 });
    for (const { cookie } of [ended, expired, blocked]) expect(await ask(cookie)).toEqual(first);
  });
});

describe('links that set a password', () => {
  it('are told apart by nothing once they are no good', async () => {
    const admin = await api.user({ admin: true });
    const linkOf = async ({ id }: ApiUser): Promise<string> => {
      const { body } = await admin.post(`/users/${id}/one_time_link`, undefined);
      return new URL(body.one_time_link).searchParams.get('token') ?? '';
    };
    const [replaced, expired, blocked, good] = [await api.user(), await api.user(), await api.user(), await api.user()];
    const links = [await linkOf(replaced), await linkOf(expired), await linkOf(blocked)];
    await linkOf(replaced);
    const write = api.database.write;
    await write((trx) => trx.updateTable('one_time_links').set({ expires_at: 1 }).where('user_id', '=', expired.id).execute());
    await write((trx) => trx.updateTable('users').set({ state: 'blocked' }).where('id', '=', blocked.id).execute());
    const page = (token: string) => told(`${promgate.url}/-/setup?token=${token}`, {});
    expect(await page(await linkOf(good))).toMatchObject({ status: 200 });
    const first = await page('a'.repeat(43));
    expect(first).toMatchObject({ status: 404 });
    for (const link of links) expect(await page(link)).toEqual(first);
  });
});

describe('what another site’s page has the browser of an administrator ask', () => {
  const changing = operations.filter(({ method }) => method !== 'GET');
  let user: ApiUser;
  let stranger: ApiUser;
  beforeAll(async () => {
    user = await api.user({ admin: true });
    stranger = await api.user();
  });
  const ask = ({ id, method, path }: Operation, headers: Record<string, string | undefined>, body: unknown = undefined) =>
    user.ask(method, path.replaceAll(/\{\w+\}/g, '1'), {
      body: body ?? (id === 'signIn' ? { username: 'ada', password: 'not this one' } : {}),
      ifMatch: '*',
      headers,
    });

  it.each(changing.filter(({ permission }) => permission !== null))(
    '$id is refused without the session’s own CSRF token',
    async (operation) => {
      for (const csrf of [undefined, '', user.csrf.slice(1), stranger.csrf])
        expect((await ask(operation, { 'x-csrf-token': csrf })).status).toBe(403);
    },
  );

  it.each(changing)('$id is refused even with it', async (operation) => {
    expect((await ask(operation, { origin: 'https://evil.example' })).status).toBe(403);
    expect((await ask(operation, { origin: 'null' })).status).toBe(403);
    expect((await ask(operation, { 'sec-fetch-site': 'same-site' })).status).toBe(403);
    // From such a page the cookie is not even looked at.
    const refused = operation.permission === null ? 403 : 401;
    expect((await ask(operation, { 'sec-fetch-site': 'cross-site' })).status).toBe(refused);
  });

  it.each(changing)('$id is not read from a form', async (operation) => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'])
      expect((await ask(operation, { 'content-type': type }, '{}')).status).toBe(415);
  });
});

it('nothing is changed by a GET', () => {
  expect(operations.filter(({ method, transaction }) => method === 'GET' && transaction !== 'read')).toEqual([]);
});
