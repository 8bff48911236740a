import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { hashToken } from '../src/access/token-text.ts';
import { createToken, revokeToken, rotateToken } from '../src/access/tokens.ts';
import { type Promgate, startPromgate } from '../src/app.ts';
import { applyResources } from '../src/directory/apply.ts';
import { watchDirectory } from '../src/directory/watch.ts';
import { createLog } from '../src/ops/log.ts';
import { openKeyring } from '../src/storage/crypto.ts';
import { openDatabase } from '../src/storage/database.ts';
import { tester } from './support/actor.ts';
import { ask } from './support/ask.ts';
import { createTestDatabase, dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';
import { type Served, startServed } from './support/served.ts';
import { answers, type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

/** The product's promise. */
const SECOND = 1_000;
/** Milliseconds for which a change is awaited: this machine may be busy with other tests. */
const PATIENCE = 20_000;

let one: StrictUpstream;
let two: StrictUpstream;

beforeAll(async () => {
  const body = (name: string) => `{"status":"success","data":"${name}"}`;
  [one, two] = await Promise.all([startStrictUpstream(answers(body('one'))), startStrictUpstream(answers(body('two')))]);
});

afterAll(() => Promise.all([one?.stop(), two?.stop()]));

const resources = (url: string, environments = ['production']) => ({
  projects: [{ path: 'acme/shop', environments: environments.map((name) => ({ name })), servers: [{ name: 'main', url }] }],
});

const endpoint = (url: string, environment = 'production') =>
  `${url}/acme/shop/-/environments/${environment}/prometheus/api/v1/query?query=up`;

async function look(url: string, authorization: string): Promise<{ status: number; data?: string }> {
  const { status, body } = await ask(url, { headers: { authorization } });
  return status === 200 ? { status, data: JSON.parse(body).data } : { status };
}

/** Looks again and again until it is so. */
async function expectSoon(see: () => Promise<{ status: number; data?: string }>, expected: object): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  let seen = await see();
  while (performance.now() < deadline && JSON.stringify(seen) !== JSON.stringify(expected)) {
    await delay(20);
    seen = await see();
  }
  expect(seen).toEqual(expected);
}

describe('a change on the command line reaches a running bin/promgate serve', { timeout: 120_000 }, () => {
  let served: Served;
  beforeAll(async () => {
    served = await startServed(resources(one.url));
  });
  afterAll(() => served?.remove());

  it('revoking a token', async () => {
    const { id, authorization } = await served.token('acme/shop:production');
    expect((await look(endpoint(served.url), authorization)).status).toBe(200);
    await served.run('token', 'revoke', String(id));
    await expectSoon(() => look(endpoint(served.url), authorization), { status: 401 });
  });

  it('rotating it, with a grace period that ends by itself', async () => {
    const { id, authorization } = await served.token('acme/shop:production');
    const rotated = JSON.parse(await served.run('token', 'rotate', String(id), '--grace', '8s', '-o', 'json'));
    await expectSoon(() => look(endpoint(served.url), `Bearer ${rotated.token}`), { status: 200, data: 'one' });
    expect((await look(endpoint(served.url), authorization)).status).toBe(200);
    await expect.poll(async () => (await look(endpoint(served.url), authorization)).status, { timeout: 30_000 }).toBe(401);
    expect((await look(endpoint(served.url), `Bearer ${rotated.token}`)).status).toBe(200);
  });

  it('applying another server, and more environments', async () => {
    const { authorization } = await served.token('acme/shop:production');
    expect(await look(endpoint(served.url), authorization)).toEqual({ status: 200, data: 'one' });
    await served.apply(resources(two.url, ['production', 'staging']));
    await expectSoon(() => look(endpoint(served.url), authorization), { status: 200, data: 'two' });
    expect((await look(endpoint(served.url, 'staging'), authorization)).status).toBe(404);
    const staging = await served.token('acme/shop:staging');
    expect(await look(endpoint(served.url, 'staging'), staging.authorization)).toEqual({ status: 200, data: 'two' });
  });

  it('a token’s use is known at the latest when the process has stopped', async () => {
    const { id, authorization } = await served.token('acme/shop:production');
    const before = Date.now();
    await look(endpoint(served.url), authorization);
    served.signal('SIGTERM');
    expect(await served.exited).toBe(0);
    const list: { id: number; last_used_at: string | null }[] = JSON.parse(await served.run('token', 'list', '-o', 'json'));
    const used = list.find((entry) => entry.id === id)?.last_used_at;
    expect(Date.parse(used ?? '')).toBeGreaterThanOrEqual(Math.floor(before / 1000) * 1000);
  });
});

describe.each(dialects)('what is written to the database (%s)', (dialect) => {
  it('is known within a second of the clock', async () => {
    const home = await createTestDatabase(dialect);
    const keyring = openKeyring({ dataDir: home.settings.dataDir, secretKey: null });
    const options = { fileName: 'test.yml', dryRun: false, prune: false, env: {}, actor: tester };
    await applyResources(home.database, keyring, JSON.stringify(resources(one.url)), options);
    const target = { level: 'environment', path: 'acme/shop:production' } as const;
    const { id, token } = await createToken(home.database, target, { name: 'test' }, tester);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let changed = Promise.withResolvers<void>();
    const watch = await watchDirectory(home.database, keyring, createLog('error'), () => changed.resolve());
    try {
      expect(watch.current().tokenByHash(hashToken(token))).toBeDefined();
      changed = Promise.withResolvers();
      await revokeToken(home.database, id, tester);
      vi.advanceTimersByTime(SECOND);
      await changed.promise;
      expect(watch.current().tokenByHash(hashToken(token))).toBeUndefined();
    } finally {
      vi.useRealTimers();
      await watch.close();
      await home.remove();
    }
  });
});

describe.each(dialects)('with two running processes on one database (%s)', (dialect) => {
  let first: TestPromgate;
  let second: Promgate;
  let token: TestToken;

  beforeAll(async () => {
    first = await startTestPromgate({ resources: JSON.stringify(resources(one.url)), database: dialect });
    second = await startPromgate(first.settings);
  });
  afterAll(async () => {
    await second?.close();
    await first?.close();
  });

  const everywhere = (authorization: string, expected: object) =>
    Promise.all([first.url, second.url].map((url) => expectSoon(() => look(endpoint(url), authorization), expected)));

  it('a new token is good in both', async () => {
    token = await first.token('acme/shop:production');
    await everywhere(token.basic, { status: 200, data: 'one' });
  });

  it('another server is asked by both', async () => {
    await first.apply(JSON.stringify(resources(two.url)));
    await everywhere(token.basic, { status: 200, data: 'two' });
  });

  it('a rotated token’s old secret dies in both, without grace at once', async () => {
    const database = await openDatabase(first.settings);
    const rotated = await rotateToken(database, token.id, 0, tester);
    await everywhere(token.basic, { status: 401 });
    await everywhere(`Bearer ${rotated.token}`, { status: 200, data: 'two' });
    await revokeToken(database, token.id, tester);
    await everywhere(`Bearer ${rotated.token}`, { status: 401 });
    await database.close();
  });

  it('what an apply with prune removes is gone in both', async () => {
    const project = await first.token('acme/shop');
    await everywhere(project.basic, { status: 200, data: 'two' });
    await first.apply(JSON.stringify({ projects: [{ path: 'acme/shop', environments: [{ name: 'other' }] }] }), { prune: true });
    await everywhere(project.basic, { status: 404 });
  });
});
