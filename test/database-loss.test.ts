import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { revokeToken } from '../src/access/tokens.ts';
import { type Promgate, startPromgate } from '../src/app.ts';
import { createLog } from '../src/ops/log.ts';
import { openDatabase } from '../src/storage/database.ts';
import { tester } from './support/actor.ts';
import { apiOf } from './support/api.ts';
import { ask } from './support/ask.ts';
import { type FlakyLink, startFlakyLink } from './support/flaky-link.ts';
import { askPage } from './support/person.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';
import { answers, type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

/** `owner` reaches PostgreSQL directly, `promgate` over a link that fails. */
let upstream: StrictUpstream;
let owner: TestPromgate;
let link: FlakyLink;
let promgate: Promgate;
let token: TestToken;
const logs: string[] = [];
// What fails is tried for some seconds, and again after some.
vi.setConfig({ testTimeout: 120_000 });
const soon = { timeout: 30_000 };

beforeAll(async () => {
  upstream = await startStrictUpstream(answers());
  const servers = [{ name: 'main', url: upstream.url }];
  const resources = JSON.stringify({ projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers }] });
  owner = await startTestPromgate({ resources, database: 'postgres' });
  token = await owner.token('acme/shop');
  const url = new URL(owner.settings.databaseUrl);
  link = await startFlakyLink({ host: url.hostname, port: Number(url.port) });
  url.port = String(link.port);
  const log = createLog('info', (line) => logs.push(line));
  promgate = await startPromgate({ ...owner.settings, databaseUrl: url.href }, { log });
});

afterAll(async () => {
  await link?.close();
  await owner?.close();
  await upstream?.stop();
});

const query = async ({ basic }: TestToken) =>
  (await ask(`${promgate.url}/acme/shop/-/prometheus/api/v1/query?query=up`, { headers: { authorization: basic } })).status;
const ready = async () => (await ask(`${promgate.opsUrl}/-/ready`)).status;
const logged = (level: string) => logs.map((line) => JSON.parse(line)).filter((entry) => entry.level === level);

/** Not ready in the end, and not one question unanswered until then. */
async function expectNotReady(): Promise<void> {
  await expect.poll(async () => ((await query(token)) === 200 ? ready() : 'no answer'), { ...soon, interval: 100 }).toBe(503);
  expect(await query(token)).toBe(200);
  expect((await ask(`${promgate.opsUrl}/-/healthy`)).status).toBe(200);
  expect((await ask(`${promgate.opsUrl}/metrics`)).body).toMatch(/^promgate_ready 0$/m);
}

describe('when the database', () => {
  it('is gone, answers go on and the process is not ready; when it is back, so are its changes', async () => {
    const other = await owner.token('acme/shop');
    await expect.poll(() => query(other), soon).toBe(200);
    expect(await ready()).toBe(200);
    await link.cut();
    const database = await openDatabase(owner.settings);
    await revokeToken(database, other.id, tester);
    await database.close();
    await expectNotReady();
    // Once, not four times a second.
    expect(logged('error').map((entry) => entry.msg)).toEqual([
      'changes of the directory cannot be read; what is known stays in force',
    ]);
    expect(await query(other)).toBe(200);
    await link.mend();
    await expect.poll(ready, soon).toBe(200);
    expect(await query(other)).toBe(401);
    expect(await query(token)).toBe(200);
  });

  it('was gone at a reload, what a removed OpenID provider gave is taken away once it is back', async () => {
    const api = await apiOf(owner);
    const { id, cookie } = await api.user({ admin: true });
    const endpoint = `${promgate.url}/acme/shop/-/prometheus/api/v1/query?query=up`;
    const status = async () => (await ask(endpoint, { headers: { cookie } })).status;
    await expect.poll(status, soon).toBe(200);
    await api.database.write((trx) =>
      trx.updateTable('sessions').set({ provider: 'removed' }).where('user_id', '=', id).execute(),
    );
    await link.cut();
    promgate.reload({ ...owner.settings, logLevel: 'info' });
    await expect.poll(() => logs.join(''), soon).toContain('could not be taken away');
    expect(await status()).toBe(200);
    await link.mend();
    await expect.poll(status, soon).toBe(401);
    await api.close();
  });

  it('is gone, the API and the pages say so, and when to come again', async () => {
    const api = await apiOf(owner);
    const { cookie } = await api.user({ admin: true, username: 'ada' });
    const list = () => askPage(`${promgate.url}/-/api/v1/projects`, { cookie });
    const signIn = () => askPage(`${promgate.url}/login`, { form: { username: 'nobody', password: 'whatever it is' } });
    const purge = async () => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${promgate.opsUrl}/-/cache/purge`, { method: 'POST', headers, body: '{"all":true}' });
      return { status: answer.status, headers: answer.headers, body: await answer.text() };
    };
    await expect.poll(async () => (await list()).status, soon).toBe(200);
    await link.cut();
    for (const [answer, type] of [
      [await list(), 'application/problem+json'],
      [await purge(), 'application/problem+json'],
      [await signIn(), 'text/html; charset=utf-8'],
    ] as const) {
      expect(answer.status).toBe(503);
      expect([answer.headers.get('content-type'), answer.headers.get('retry-after')]).toEqual([type, '5']);
      expect(answer.body).toContain('atabase cannot be reached at the moment');
      expect(answer.body).not.toMatch(/ECONN|127\.0\.0\.1/);
    }
    expect(logs.join('')).toContain('the database cannot be used: ');
    await link.mend();
    await expect.poll(async () => (await list()).status, soon).toBe(200);
    expect((await signIn()).status).toBe(401);
    await api.close();
  });

  it('is silent, answers go on and the process is not ready; a stop does not wait for it', async () => {
    link.mute();
    await expectNotReady();
    await promgate.close();
    expect(logged('info').at(-1)?.msg).toBe('stopped');
  });
});
