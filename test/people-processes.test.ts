/** Two processes on one PostgreSQL: whatever is ended, taken away or given at one of them is so at both within a second. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPromgate } from '../src/app.ts';
import { type ApiAnswer, type ApiClient, type ApiRig, type ApiUser, apiOf, clientWith } from './support/api.ts';
import { ask } from './support/ask.ts';
import { honest } from './support/made-up.ts';
import { freePort } from './support/ports.ts';
import { answers200, type RunningProcess, startProcess } from './support/process.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';
import { type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

const shop = 'acme/shop:production';
const personalToken = { name: 'test', scopes: ['account:read'] };

let upstream: StrictUpstream;
let promgate: TestPromgate;
let running: RunningProcess;
/** Of the other process. */
let second: { readonly url: string };
let api: ApiRig;
let admin: ApiUser;
/** Of both. */
let origins: string[];

beforeAll(async () => {
  upstream = await startStrictUpstream(honest());
  promgate = await startTestPromgate({
    resources: JSON.stringify({
      groups: [{ path: 'acme' }],
      projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers: [{ name: 'main', url: upstream.url }] }],
    }),
    database: 'postgres',
  });
  const [port, opsPort] = [await freePort(), await freePort()];
  second = { url: `http://127.0.0.1:${port}` };
  const { databaseUrl, dataDir, externalUrl } = promgate.settings;
  running = await startProcess('bin/promgate', ['serve'], {
    env: {
      PROMGATE_LISTEN: `127.0.0.1:${port}`,
      PROMGATE_OPS_LISTEN: `127.0.0.1:${opsPort}`,
      PROMGATE_EXTERNAL_URL: externalUrl,
      PROMGATE_DATABASE_URL: databaseUrl,
      // Where the key is that both have.
      PROMGATE_DATA_DIR: dataDir,
    },
    ready: () => answers200(`http://127.0.0.1:${opsPort}/-/ready`),
  });
  origins = [promgate.url, second.url];
  api = await apiOf(promgate);
  admin = await api.user({ admin: true });
});

afterAll(async () => {
  await api?.close();
  await running?.stop();
  await promgate?.close();
  await upstream?.stop();
});

/** What the endpoint answers at both. */
function atEndpoints(headers: Record<string, string>): Promise<number[]> {
  const { pathname } = new URL(promgate.endpoint(shop));
  const asked = origins.map((origin) => ask(`${origin}${pathname}/api/v1/query?query=up`, { headers }));
  return Promise.all(asked.map(async (answer) => (await answer).status));
}

/** What the control API answers at both. */
function atApis(path: string, headers: Record<string, string>): Promise<number[]> {
  return Promise.all(origins.map(async (origin) => (await at(origin, headers).get(path)).status));
}

function at(origin: string, headers: Record<string, string>): ApiClient {
  return clientWith(`${origin}/-/api/v1`, headers);
}

/** From the answer to a change on, until all know it: a second is the promise, and a busy machine gets more. */
function within(ask: () => Promise<unknown>) {
  return expect.poll(ask, { timeout: 20_000, interval: 20 });
}

function done({ status, text }: ApiAnswer, expected: number): void {
  expect([status, text]).toEqual([expected, expected === 204 ? '' : expect.any(String)]);
}

/** A reporter of the project, known at both. */
async function reporter(): Promise<{ user: ApiUser; cookie: string; member: number }> {
  const user = await api.user();
  const made = await admin.post('/members', { of: 'acme/shop', user: user.username, role: 'reporter' });
  done(made, 201);
  const { cookie } = user;
  await within(() => atEndpoints({ cookie })).toEqual([200, 200]);
  return { user, cookie, member: made.body.id };
}

describe('within a second it is so at both processes that', { timeout: 60_000 }, () => {
  it('a session that began at one is good', async () => {
    const { user, cookie } = await reporter();
    expect(await atApis('/user', { cookie })).toEqual([200, 200]);
    // Its CSRF token, too.
    const { csrf } = user;
    for (const origin of origins)
      done(await at(origin, { cookie, 'x-csrf-token': csrf }).post('/user/personal_tokens', personalToken), 201);
  });

  it.each([0, 1])('a token made at one is good, and revoked at the other it is not', async (one) => {
    const { cookie, csrf } = admin;
    const [maker, revoker] = [one, 1 - one].map((index) => at(origins[index] ?? '', { cookie, 'x-csrf-token': csrf }));
    const made = await maker?.post('/tokens', { of: shop, name: 'test' });
    const headers = { authorization: `Bearer ${made?.body.token}` };
    await within(() => atEndpoints(headers)).toEqual([200, 200]);
    await revoker?.delete(`/tokens/${made?.body.id}`);
    await within(() => atEndpoints(headers)).toEqual([401, 401]);
  });

  it('a rotated token is good with its new text alone', async () => {
    const { body: made } = await admin.post('/tokens', { of: shop, name: 'test' });
    await within(() => atEndpoints({ authorization: `Bearer ${made.token}` })).toEqual([200, 200]);
    const { body: rotated } = await admin.post(`/tokens/${made.id}/rotate`, {});
    await within(() => atEndpoints({ authorization: `Bearer ${rotated.token}` })).toEqual([200, 200]);
    expect(await atEndpoints({ authorization: `Bearer ${made.token}` })).toEqual([401, 401]);
  });

  it('a session that was signed out at one is no good', async () => {
    const { user, cookie } = await reporter();
    const other = at(second.url, { cookie, 'x-csrf-token': user.csrf });
    done(await other.delete('/session'), 204);
    await within(() => atEndpoints({ cookie })).toEqual([401, 401]);
    expect(await atApis('/user', { cookie })).toEqual([401, 401]);
  });

  it('somebody who signed out everywhere is signed out everywhere', async () => {
    const { user, cookie } = await reporter();
    const again = await user.again();
    await within(() => atEndpoints({ cookie: again.cookie })).toEqual([200, 200]);
    done(await at(second.url, { cookie, 'x-csrf-token': user.csrf }).delete('/user/sessions'), 204);
    await within(() => atEndpoints({ cookie })).toEqual([401, 401]);
    await within(() => atEndpoints({ cookie: again.cookie })).toEqual([401, 401]);
  });

  it('a removed member reads nothing', async () => {
    const { cookie, member } = await reporter();
    done(await admin.delete(`/members/${member}`), 204);
    await within(() => atEndpoints({ cookie })).toEqual([404, 404]);
    expect(await atApis('/projects/acme%2Fshop', { cookie })).toEqual([404, 404]);
  });

  it('a lowered role opens no more than it should, and a raised one does', async () => {
    const { cookie, member } = await reporter();
    done(await admin.patch(`/members/${member}`, { role: 'guest' }), 200);
    await within(() => atEndpoints({ cookie })).toEqual([404, 404]);
    expect(await atApis('/resolve?of=acme/shop:production', { cookie })).toEqual([404, 404]);
    done(await admin.patch(`/members/${member}`, { role: 'developer' }), 200);
    await within(() => atEndpoints({ cookie })).toEqual([200, 200]);
  });

  it('a blocked user is out, personal tokens too, and stays out after being let in again', async () => {
    const { user, cookie } = await reporter();
    const { text } = await user.personalToken('account:read');
    const personal = { authorization: `Bearer ${text}` };
    expect(await atApis('/user', personal)).toEqual([200, 200]);
    done(await admin.patch(`/users/${user.id}`, { state: 'blocked' }), 200);
    await within(() => atEndpoints({ cookie })).toEqual([401, 401]);
    await within(() => atApis('/user', personal)).toEqual([401, 401]);
    expect(await atApis('/user', { cookie })).toEqual([401, 401]);
    done(await admin.patch(`/users/${user.id}`, { state: 'active' }), 200);
    await within(() => atApis('/user', personal)).toEqual([200, 200]);
    expect(await atEndpoints({ cookie })).toEqual([401, 401]);
  });

  it('somebody who is no administrator any more is none', async () => {
    const former = await api.user({ admin: true });
    const { cookie } = former;
    await within(() => atEndpoints({ cookie })).toEqual([200, 200]);
    done(await admin.patch(`/users/${former.id}`, { admin: false }), 200);
    await within(() => atEndpoints({ cookie })).toEqual([404, 404]);
    expect(await atApis('/users', { cookie })).toEqual([404, 404]);
  });

  it('a removed user is nobody', async () => {
    const { user, cookie } = await reporter();
    done(await admin.delete(`/users/${user.id}`), 204);
    await within(() => atEndpoints({ cookie })).toEqual([401, 401]);
    expect(await atApis('/user', { cookie })).toEqual([401, 401]);
  });

  it('a personal token made at one is good, and revoked at the other it is not', async () => {
    const user = await api.user();
    const { cookie, csrf } = user;
    const made = await user.post('/user/personal_tokens', personalToken);
    const headers = { authorization: `Bearer ${made.body.token}` };
    await within(() => atApis('/user', headers)).toEqual([200, 200]);
    const other = at(second.url, { cookie, 'x-csrf-token': csrf });
    done(await other.delete(`/user/personal_tokens/${made.body.id}`), 204);
    await within(() => atApis('/user', headers)).toEqual([401, 401]);
  });

  it('a removed environment is gone', async () => {
    const { body: made } = await admin.post('/environments', { project: 'acme/shop', name: 'review/login' });
    const { pathname } = new URL(made.endpoint_url);
    const both = () =>
      Promise.all(
        origins.map(
          async (origin) => (await ask(`${origin}${pathname}/api/v1/labels`, { headers: { cookie: admin.cookie } })).status,
        ),
      );
    await within(both).toEqual([200, 200]);
    done(await admin.delete(`/environments/${made.id}`), 204);
    await within(both).toEqual([404, 404]);
  });
});

describe('a session that nobody uses', () => {
  it('ends at all alike, and one that is used at one process alone goes on at the others', { timeout: 120_000 }, async () => {
    const { user, cookie } = await reporter();
    const unused = await user.again();
    const hour = 3_600_000;
    const began = { created_at: Date.now() - hour };
    await api.database.write((trx) => trx.updateTable('sessions').set(began).where('user_id', '=', user.id).execute());
    const { settings } = promgate;
    const third = await startPromgate({ ...settings, sessions: { ...settings.sessions, idle: hour / 2 } });
    const status = async (cookie: string) => (await at(third.url, { cookie }).get('/user')).status;
    try {
      expect(await status(unused.cookie)).toBe(401);
      // Processes tell one another every ten seconds.
      await expect.poll(() => status(cookie), { timeout: 60_000, interval: 250 }).toBe(200);
      expect(await status(unused.cookie)).toBe(401);
    } finally {
      await third.close();
    }
  });
});
