import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { revokeToken } from '../src/access/tokens.ts';
import { startPromgate } from '../src/app.ts';
import { createLog } from '../src/ops/log.ts';
import { openDatabase } from '../src/storage/database.ts';
import { tester } from './support/actor.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate } from './support/promgate.ts';
import { environments, type PurgeRig, purgeResources, startPurgeRig } from './support/purge-rig.ts';
import { startRedis, type TestRedis } from './support/redis.ts';
import { type Served, startServed } from './support/served.ts';

/** Until something has come that must come. */
const soon = { timeout: 20_000 };

// Most of the time is that of the commands, which are processes of their own.
describe.each(dialects)('with two running processes on %s', { timeout: 120_000 }, (dialect) => {
  let rig: PurgeRig;
  beforeAll(async () => {
    rig = await startPurgeRig(dialect);
  });
  afterAll(() => rig?.close());

  it('a purge with a token renews what its environment is shown, and those that are shown the same', async () => {
    await rig.renews(['one', 'same'], async () => {
      expect(await rig.byToken({ environment: 'acme/shop:one' })).toMatchObject({
        status: 200,
        body: { purged: { environment: 'acme/shop:one', server: 'main' } },
      });
    });
    await rig.renews(['alone'], () => rig.byToken({ environment: 'acme/shop:alone' }));
  });

  it('an operator’s purge renews everything, a server, or an environment', async () => {
    const purge = (asked: object, purged: object) => async () =>
      expect(await rig.byOperator(asked)).toMatchObject({ status: 200, body: { purged } });
    await rig.renews(environments, purge({ all: true }, { all: true }));
    const main = { server: 'main', of: 'acme/shop' };
    await rig.renews(['one', 'same', 'other'], purge(main, main));
    await rig.renews(['alone'], purge({ server: 'open' }, { server: 'open', of: 'acme/shop' }));
    const other = { environment: 'acme/shop:other' };
    await rig.renews(['other'], purge(other, { ...other, server: 'main' }));
  });

  it('a purge on the command line does the same', async () => {
    const purge = (args: string[], purged: object) => async () => {
      const { code, stdout } = await rig.run(...args, '-o', 'json');
      const { dataDir, databaseUrl } = rig.promgate.settings;
      const where = databaseUrl === '' ? join(dataDir, 'promgate.db') : 'PostgreSQL';
      expect([code, JSON.parse(stdout)]).toEqual([0, { purged, database: where }]);
    };
    await rig.renews(environments, purge(['--all'], { all: true }));
    const main = ['--server', 'main', '--of', 'acme/shop'];
    await rig.renews(['one', 'same', 'other'], purge(main, { server: 'main', of: 'acme/shop' }));
    const other = purge(['--environment', 'acme/shop:other'], { environment: 'acme/shop:other', server: 'main' });
    await rig.renews(['other'], other);
    await rig.renews([], purge(['--group', 'acme'], { group: 'acme', server: 'group' }));
  });

  it('a change of a server’s record renews what it answers, and applying the same again nothing', async () => {
    const apply = (more: object) => () => rig.promgate.apply(purgeResources(rig.upstream, more));
    await rig.renews(['one', 'same', 'other'], apply({ limits: { timeout: '30s' } }));
    await rig.renews([], apply({ limits: { timeout: '30s' } }));
    await rig.renews(['one', 'same', 'other'], apply({ limits: { timeout: '30s' }, headers: { 'X-A': 'b' } }));
  });
});

describe('with a shared cache', { timeout: 120_000 }, () => {
  let redis: TestRedis;
  let rig: PurgeRig;
  beforeAll(async () => {
    redis = await startRedis();
    rig = await startPurgeRig('sqlite', redis.url);
  });
  afterAll(async () => {
    await rig?.close();
    await redis?.stop();
  });

  it('nothing that was purged comes back out of it', async () => {
    await rig.renews(['one', 'same'], () => rig.byToken({ environment: 'acme/shop:one' }));
    await rig.renews(['alone'], () => rig.run('--server', 'open'));
    await rig.renews(environments, () => rig.byOperator({ all: true }));
  });

  it('and nothing from before a change of a server’s record', async () => {
    await rig.renews(['one', 'same', 'other'], () => rig.promgate.apply(purgeResources(rig.upstream, { kind: 'prometheus' })));
    await rig.renews(['one', 'same', 'other'], () => rig.promgate.apply(purgeResources(rig.upstream)));
  });

  it('which lends what it holds to a process that starts later', async () => {
    await rig.fate(rig.promgate.url, 'one');
    await expect.poll(async () => Number(await redis.ask('DBSIZE')), soon).toBeGreaterThan(0);
    const lent = async () => {
      const late = await startPromgate(rig.promgate.settings);
      // It connects in the background; on a busy machine a reply may still come too late to be waited for.
      await rig.fate(late.url, 'alone');
      const fate = await rig.fate(late.url, 'one');
      await late.close();
      return fate;
    };
    await expect.poll(lent, soon).toBe('hit');
  });
});

describe('with bin/promgate serve', { timeout: 120_000 }, () => {
  let served: Served;
  let rig: PurgeRig;
  beforeAll(async () => {
    rig = await startPurgeRig('sqlite');
    served = await startServed(JSON.parse(purgeResources(rig.upstream)));
  });
  afterAll(async () => {
    await served?.remove();
    await rig?.close();
  });

  it('a purge on the command line is known to the running process', async () => {
    const { authorization } = await served.token('acme/shop:one');
    const fate = () => rig.fate(served.url, 'one', authorization);
    expect([await fate(), await fate()]).toEqual(['miss', 'hit']);
    expect(await served.run('cache', 'purge', '--environment', 'acme/shop:other')).toContain('Purged');
    expect(await fate()).toBe('hit');
    expect(await served.run('cache', 'purge', '--environment', 'acme/shop:same')).toContain('Purged');
    // The command waits for as long as that takes a process that is not kept from it.
    await expect.poll(fate, { ...soon, interval: 20 }).toBe('miss');
    expect(await fate()).toBe('hit');
  });

  it('rules that are changed by SIGHUP are in force', async () => {
    const { authorization } = await served.token('acme/shop:alone');
    const fate = () => rig.fate(served.url, 'alone', authorization);
    expect([await fate(), await fate()]).toEqual(['miss', 'hit']);
    // Beyond the range: nothing of it may be kept then.
    await served.configure('cache: { recent_window: 20y }');
    served.signal('SIGHUP');
    await expect.poll(() => served.logs(), soon).toContain('the configuration was read again');
    expect([await fate(), await fate()]).toEqual(['bypass', 'bypass']);
  });
});

describe('on the command line', { timeout: 120_000 }, () => {
  let rig: PurgeRig;
  beforeAll(async () => {
    rig = await startPurgeRig('sqlite');
  });
  afterAll(() => rig?.close());

  it('it says what was purged', async () => {
    const said = async (...args: string[]) => (await rig.run(...args)).stdout;
    const where = join(rig.promgate.settings.dataDir, 'promgate.db');
    expect(await said('--all')).toBe(`Purged everything, in ${where}.\n`);
    expect(await said('--server', 'open')).toBe(`Purged all of server open (acme/shop), in ${where}.\n`);
    expect(await said('--environment', 'acme/shop:one')).toBe(
      `Purged what environment acme/shop:one is shown by server main, and all that are shown the same, in ${where}.\n`,
    );
  });

  it.each([[['--all']], [['--server', 'main']]])('%j makes no database where there is none', async (args) => {
    const empty = join(rig.promgate.settings.dataDir, 'nothing-here');
    expect(await rig.run(...args, '--data-dir', empty)).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining(`There is no database ${join(empty, 'promgate.db')}`),
    });
    expect(existsSync(empty)).toBe(false);
  });

  it.each([
    [[], 2, 'say what to purge, one of --environment, --project, --group, --server and --all'],
    [['--all', '--server', 'main'], 2, 'give only one of'],
    [['--environment', 'acme/shop:one', '--group', 'acme'], 2, 'give only one of'],
    [['--environment', 'acme/shop:one', '--environment', 'acme/shop:two'], 2, 'each option can be given once'],
    [['--environment', 'acme/shop:one', '--of', 'acme'], 2, '--of goes only with --server'],
    [['--all', 'acme'], 2, 'too many arguments'],
    [['--server', 'main'], 1, 'Several servers are called "main". Say which one it is of: instance, acme/shop.'],
    [['--server', 'main', '--of', 'acme'], 1, 'There is no server "main" of acme. Say which one it is of: instance, acme/shop.'],
    [['--server', 'man'], 1, 'There is no server "man".'],
    [['--environment', 'acme/shop:nothing'], 1, 'There is no environment acme/shop:nothing.'],
    [['--environment', 'acme/shop'], 1, 'There is no environment acme/shop; write it as acme/shop:production.'],
    [['--project', 'acme'], 1, 'There is no project acme.'],
    [['--group', 'acme/shop'], 1, 'There is no group acme/shop.'],
    [['--project', 'acme/nothing'], 3, 'acme/nothing: No prometheus server found; see promgate resolve acme/nothing'],
    [['--project', 'acme/shop'], 3, 'confines by the label "namespace", which has no value here'],
  ])('%j ends with %i and says why', async (args, code, message) => {
    expect(await rig.run(...args)).toEqual({ code, stdout: '', stderr: expect.stringContaining(message) });
  });
});

describe('POST /-/api/v1/cache/purge', () => {
  let rig: PurgeRig;
  beforeAll(async () => {
    rig = await startPurgeRig('sqlite');
  });
  afterAll(() => rig?.close());
  const one = { environment: 'acme/shop:one' };

  it('is for those that may ask the environment; what is not theirs, and what does not exist, are the same 404', async () => {
    const own = (await rig.promgate.token('acme/shop:other')).basic;
    const told = [];
    for (const environment of ['acme/shop:one', 'acme/shop', 'acme', 'other/secret:one', 'acme/shop:nothing', ':', '']) {
      told.push(await rig.byToken({ environment }, { authorization: own }));
    }
    expect(told[0]).toMatchObject({
      status: 404,
      headers: { 'content-type': 'application/problem+json' },
      body: { title: 'Not Found' },
    });
    for (const { status, body } of told) expect([status, body]).toEqual([404, told[0]?.body]);
    expect(await rig.byToken({ environment: 'acme/shop:other' }, { authorization: own })).toMatchObject({ status: 200 });
  });

  it('is nothing without a token, with another’s text, or a revoked one', async () => {
    const token = await rig.promgate.token('acme/shop:one');
    const database = await openDatabase(rig.promgate.settings);
    await revokeToken(database, token.id, tester);
    await database.close();
    const status = async (authorization: string) => (await rig.byToken(one, { authorization })).status;
    await expect.poll(() => status(token.basic), soon).toBe(401);
    expect([await status('Bearer x'), await status('')]).toEqual([401, 401]);
  });

  it('can be done once in a second for each environment, and sooner is 429 with Retry-After', async () => {
    const both = await Promise.all([
      rig.byToken({ environment: 'acme/shop:same' }),
      rig.byToken({ environment: 'acme/shop:same' }),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 429]);
    const refused = both.find(({ status }) => status === 429);
    expect(refused).toMatchObject({ headers: { 'retry-after': '1' }, body: { detail: expect.stringContaining('purged') } });
    // Not one that another test has just purged.
    const others = ['one', 'alone'].map((name) => rig.byToken({ environment: `acme/shop:${name}` }));
    expect((await Promise.all(others)).map(({ status }) => status)).toEqual([200, 200]);
    const again = async () => (await rig.byToken({ environment: 'acme/shop:same' })).status;
    await expect.poll(again, { ...soon, interval: 200 }).toBe(200);
  });

  it('can be done for five environments in a second with one token, and more is 429 with Retry-After', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const environments = names.map((name) => ({ name }));
    const servers = [{ name: 'main', url: rig.upstream }];
    const promgate = await startTestPromgate({
      resources: JSON.stringify({ projects: [{ path: 'acme/many', environments, servers }] }),
    });
    const [token, another] = [await promgate.token('acme/many'), await promgate.token('acme/many')];
    const send = (name: string, authorization: string) =>
      fetch(`${promgate.url}/-/api/v1/cache/purge`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify({ environment: `acme/many:${name}` }),
      });
    const all = await Promise.all(names.map((name) => send(name, token.basic)));
    expect(all.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 429]);
    const refused = all.findIndex(({ status }) => status === 429);
    expect(all[refused]?.headers.get('retry-after')).toBe('1');
    expect(await all[refused]?.text()).toContain('this caller purged 5 times');
    // What was refused did not count for the environment, nor for whoever else asks.
    expect((await send(names[refused] ?? '', another.basic)).status).toBe(200);
    const again = async () => (await send('a', token.basic)).status;
    await expect.poll(again, { ...soon, interval: 200 }).toBe(200);
    await promgate.close();
  });

  it('is refused where no server answers, or it has nothing to confine by', async () => {
    const group = (await rig.promgate.token('groups/acme')).basic;
    for (const environment of ['acme/nothing', 'acme/shop']) {
      expect(await rig.byToken({ environment }, { authorization: group })).toMatchObject({
        status: 503,
        headers: { 'content-type': 'application/problem+json' },
      });
    }
  });

  it.each([
    ['{}', 400, '#/environment'],
    ['{"environment":7}', 400, '#/environment'],
    ['{"environment":"acme/shop:one","all":true}', 400, '#/all'],
    ['{"all":true}', 400, '#/all'],
    ['{"server":"main"}', 400, '#/server'],
    ['[]', 400, '#'],
    ['nonsense', 400, undefined],
    [`{"environment":"${'x'.repeat(20_000)}"}`, 413, undefined],
  ])('the body %.40j is %i', async (body, status, pointer) => {
    const told = await rig.byToken(body);
    expect(told).toMatchObject({ status, headers: { 'content-type': 'application/problem+json' } });
    const errors = (told.body.errors ?? []) as { pointer: string }[];
    expect(errors.some((error) => error.pointer === pointer)).toBe(pointer !== undefined);
  });

  it('takes JSON by POST alone', async () => {
    expect(await rig.byToken(one, { 'content-type': 'text/plain' })).toMatchObject({ status: 415 });
    const get = await fetch(`${rig.promgate.url}/-/api/v1/cache/purge`, { headers: { authorization: rig.token.basic } });
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST']);
  });

  it('counts as a request of the token, and in the metrics', async () => {
    const limited = await startTestPromgate({
      resources: purgeResources(rig.upstream),
      settings: { limits: { tokenRate: 0.01 } },
    });
    const [a, b] = [await limited.token('acme/shop:one'), await limited.token('acme/shop:one')];
    const send = (authorization: string, environment: string) =>
      fetch(`${limited.url}/-/api/v1/cache/purge`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify({ environment }),
      });
    expect((await send(a.basic, 'acme/shop:one')).status).toBe(200);
    const refused = await send(a.basic, 'acme/shop:one');
    expect([refused.status, Number(refused.headers.get('retry-after')) > 1]).toEqual([429, true]);
    expect(await refused.text()).toContain('limit token_rate');
    // Not of the environment: another token may still ask it at once.
    const query = `${limited.endpoint('acme/shop:one')}/api/v1/query?query=up`;
    expect((await fetch(query, { headers: { authorization: b.basic } })).status).toBe(200);
    const metrics = await (await fetch(`${limited.opsUrl}/metrics`)).text();
    expect(metrics).toContain('promgate_http_requests_total{endpoint="cache_purge",code="200"} 1');
    expect(metrics).toContain('promgate_http_requests_total{endpoint="cache_purge",code="429"} 1');
    await limited.close();
  });
});

it('each purge over HTTP is a line in the log: what, and by whom', async () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLog('info', (line) => lines.push(JSON.parse(line)));
  const promgate = await startTestPromgate({ resources: purgeResources('http://127.0.0.1:1'), log });
  const { id, basic } = await promgate.token('acme/shop:one');
  const purge = async (url: string, body: object, headers: Record<string, string> = {}) => {
    const init = { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } };
    expect((await fetch(url, init)).status).toBe(200);
  };
  const one = { environment: 'acme/shop:one' };
  await purge(`${promgate.url}/-/api/v1/cache/purge`, one, { authorization: basic, 'x-request-id': 'mine' });
  for (const body of [one, { server: 'open' }, { all: true }]) await purge(`${promgate.opsUrl}/-/cache/purge`, body);
  await promgate.close();
  const told = lines.filter(({ msg }) => msg === 'the cache was purged').map(({ time: _, ...fields }) => fields);
  const line = { level: 'info', msg: 'the cache was purged' };
  const endpoint = { ...line, purged: 'endpoint', target: 'acme/shop:one', server: 'main' };
  expect(told).toEqual([
    { ...endpoint, requestId: 'mine', tokenId: id },
    endpoint,
    { ...line, purged: 'server', server: 'open', of: 'acme/shop' },
    { ...line, purged: 'all' },
  ]);
});

describe('POST /-/cache/purge of the operators’ listener', () => {
  let rig: PurgeRig;
  beforeAll(async () => {
    rig = await startPurgeRig('sqlite');
  });
  afterAll(() => rig?.close());

  it('cannot be sent by a web page', async () => {
    const all = { all: true };
    expect(await rig.byOperator(all, { origin: 'https://evil.example' })).toMatchObject({ status: 400 });
    expect(await rig.byOperator(all, { origin: rig.opsUrl })).toMatchObject({ status: 400 });
    expect(await rig.byOperator(all, { origin: 'null' })).toMatchObject({ status: 400 });
    // What a page may send without asking first, were there no origin.
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', '']) {
      expect(await rig.byOperator(all, { 'content-type': type })).toMatchObject({ status: 415 });
    }
    const get = await fetch(`${rig.opsUrl}/-/cache/purge?all=true`);
    expect(get.status).toBe(404);
    const preflight = await fetch(`${rig.opsUrl}/-/cache/purge`, { method: 'OPTIONS' });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([404, null]);
  });

  it('is not there on the gateway', async () => {
    expect((await fetch(`${rig.promgate.url}/-/cache/purge`, { method: 'POST' })).status).toBe(404);
  });

  it.each([
    ['{}', 400, 'must hold one of \\"all\\", \\"server\\" and \\"environment\\"'],
    ['{"all":false}', 400, 'must be true'],
    ['{"all":true,"server":"open"}', 400, 'must hold one of'],
    ['{"environment":"acme/shop:one","of":"acme"}', 400, 'goes only with \\"server\\"'],
    ['{"everything":true}', 400, '#/everything'],
    ['[]', 400, 'must be a JSON object'],
    ['', 400, 'not valid JSON'],
    ['{"server":"main"}', 400, 'Several servers are called \\"main\\". Say which one it is of: instance, acme/shop.'],
    ['{"server":"man"}', 404, 'There is no server \\"man\\".'],
    ['{"environment":"acme/shop:nothing"}', 404, 'There is no environment, project or group acme/shop:nothing.'],
    ['{"environment":"acme/nothing"}', 503, 'No prometheus server found'],
  ])('%s is %i, in words', async (body, status, words) => {
    const told = await rig.byOperator(body);
    expect(told).toMatchObject({ status, headers: { 'content-type': 'application/problem+json' } });
    expect(JSON.stringify(told.body)).toContain(words);
  });
});
