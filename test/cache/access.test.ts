import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { revokeToken, rotateToken } from '../../src/access/tokens.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { tester } from '../support/actor.ts';
import type { Params } from '../support/ask.ts';
import { type CacheRig, type CacheRigOptions, resourcesOf, startCacheRig } from '../support/cache-rig.ts';
import { dataset } from '../support/dataset.ts';
import { startPrometheus, type TestServer } from '../support/prometheus.ts';
import { basicAuth, type TestToken } from '../support/promgate.ts';
import { type Recorder, startRecorder } from '../support/recorder.ts';

/**
 * Access comes before the cache: nothing that was kept is given to whom it may not be given any more, and nobody gets what was
 * kept for others. Changes arrive in order, so one is known as soon as a token is known that was made after it.
 */
let prometheus: TestServer;
let other: TestServer;
let upstream: Recorder;
let otherUpstream: Recorder;
let rig: CacheRig;
let database: Database;
let count = 0;

const environments = [
  { name: 'production', kube_namespace: 'shop-prod' },
  { name: 'twin', kube_namespace: 'shop-prod' },
  { name: 'staging', kube_namespace: 'shop-staging' },
];
const options = (server: Record<string, unknown>, from = environments): CacheRigOptions => ({
  direct: prometheus.url,
  upstream,
  environments: from,
  server: { enforce: { namespace: '{{kube_namespace}}' }, ...server },
});

beforeAll(async () => {
  const fewer = dataset.openMetrics.replaceAll(/^up\{/gm, 'up{moved="yes",');
  [prometheus, other] = await Promise.all([startPrometheus({ data: dataset.openMetrics }), startPrometheus({ data: fewer })]);
  upstream = await startRecorder(prometheus.url);
  otherUpstream = await startRecorder(other.url);
  // What is kept for a short time only is to be there at the end of a test, too.
  rig = await startCacheRig({ ...options({}), settings: { cache: { metadataTtl: 3_600_000 } } });
  database = await openDatabase(rig.promgate.settings);
});

afterAll(async () => {
  await database?.close();
  await rig?.close();
  await otherUpstream?.stop();
  await Promise.all([prometheus?.stop(), other?.stop()]);
});

const end = dataset.start + 3600;
/** Of each kind that is kept, about `up`; `unlike` makes them questions that nobody asked before. */
const questions = (unlike: number): [api: string, params: Params][] => [
  [
    'query_range',
    [
      ['query', `up != ${unlike}`],
      ['start', String(dataset.start)],
      ['end', String(end)],
      ['step', '60'],
    ],
  ],
  [
    'query',
    [
      ['query', `up != ${unlike}`],
      ['time', String(end)],
    ],
  ],
  [
    'series',
    [
      ['match[]', `up{x!="${unlike}"}`],
      ['start', String(dataset.start)],
      ['end', String(end)],
    ],
  ],
  [
    'label/namespace/values',
    [
      ['match[]', `up{x!="${unlike}"}`],
      ['start', String(dataset.start)],
      ['end', String(end)],
    ],
  ],
];

let asked: [api: string, params: Params][] = [];
beforeEach(() => {
  count += 2;
  asked = questions(count);
});

/** Asks everything twice, so that the second time all comes from the cache. */
async function warm(authorization = rig.token.basic, environment = 'production'): Promise<void> {
  for (const [api, params] of asked) {
    await rig.through(api, params, { authorization, environment });
    expect(await rig.through(api, params, { authorization, environment })).toMatchObject({ status: 200, cache: 'hit' });
  }
}

async function statuses(authorization: string, environment = 'production'): Promise<number[]> {
  const seen: number[] = [];
  for (const [api, params] of asked) seen.push((await rig.through(api, params, { authorization, environment })).status);
  return seen;
}

const refused = [401, 401, 401, 401];
const answered = [200, 200, 200, 200];

/** Resolves when all changes so far are known. */
const known = (): Promise<TestToken> => rig.promgate.token('acme/shop');

describe('a token that is no good any more gets nothing of what it was given before', () => {
  let token: TestToken;
  beforeEach(async () => {
    token = await rig.promgate.token('acme/shop:production');
  });

  it('revoked', async () => {
    await warm(token.basic);
    await revokeToken(database, token.id, tester);
    await known();
    expect(await statuses(token.basic)).toEqual(refused);
    expect(await statuses(rig.token.basic)).toEqual(answered);
  });

  it('rotated without grace, while its new secret gets it', async () => {
    await warm(token.basic);
    const rotated = await rotateToken(database, token.id, 0, tester);
    await known();
    expect(await statuses(token.basic)).toEqual(refused);
    for (const [api, params] of asked) {
      const authorization = basicAuth(rotated.username, rotated.token);
      expect(await rig.through(api, params, { authorization })).toMatchObject({ status: 200, cache: 'hit' });
    }
  });

  it('expired', async () => {
    await warm();
    // A busy machine may take longer to ask at all.
    for (let life = 2_000; ; life *= 2) {
      const expiresAt = Date.now() + life;
      const brief = await rig.promgate.token('acme/shop:production', { expiresAt });
      const seen = await rig.through('query', questions(count)[1]?.[1] ?? [], { authorization: brief.basic });
      const inTime = Date.now() < expiresAt;
      if (inTime) expect(seen).toMatchObject({ status: 200, cache: 'hit' });
      await delay(Math.max(0, expiresAt - Date.now()) + 1);
      expect(await statuses(brief.basic)).toEqual(refused);
      if (inTime) break;
    }
  }, 120_000);

  it('for another environment, or none', async () => {
    await warm();
    expect(await statuses(token.basic, 'staging')).toEqual([404, 404, 404, 404]);
    expect(await statuses('Bearer promgate_nothing')).toEqual(refused);
  });
});

describe('who shares what', () => {
  it('tokens of one environment, of its project, and environments with one scope on one server', async () => {
    await warm();
    const token = await rig.promgate.token('acme/shop:twin');
    for (const [api, params] of asked) {
      expect(await rig.through(api, params, { authorization: token.basic, environment: 'twin' })).toMatchObject({
        status: 200,
        cache: 'hit',
        asked: [],
      });
    }
  });

  it('environments with different scopes never do', async () => {
    await warm();
    for (const [api, params] of asked) {
      const seen = await rig.through(api, params, { environment: 'staging' });
      expect(seen).toMatchObject({ status: 200, cache: 'miss' });
      expect(seen.body).toContain('shop-staging');
      expect(seen.body).not.toContain('shop-prod');
    }
  });
});

describe('a change of a server’s record ends what was kept under it', () => {
  /** `has` stands in every answer after the change, `hasNot` in none. */
  async function expectChanged(resources: string, has: string, hasNot: string): Promise<void> {
    await warm();
    for (const [api, params] of asked) expect((await rig.through(api, params)).body).toContain(hasNot);
    await rig.promgate.apply(resources);
    await known();
    for (const [api, params] of asked) {
      const seen = await rig.through(api, params);
      expect(seen).toMatchObject({ status: 200, cache: 'miss' });
      if (api !== 'label/namespace/values' || has.startsWith('shop')) expect(seen.body).toContain(has);
      if (hasNot !== '') expect(seen.body).not.toContain(hasNot);
      expect(await rig.through(api, params)).toMatchObject({ cache: 'hit', body: seen.body });
    }
    await rig.promgate.apply(resourcesOf(options({})));
    await known();
  }

  it('enforce', async () => {
    await expectChanged(resourcesOf(options({ enforce: { namespace: 'shop-staging' } })), 'shop-staging', 'shop-prod');
  });

  it('an environment’s namespace', async () => {
    const moved = environments.map((one) => (one.name === 'production' ? { ...one, kube_namespace: 'shop-staging' } : one));
    await expectChanged(resourcesOf(options({}, moved)), 'shop-staging', 'shop-prod');
  });

  it('its URL', async () => {
    await expectChanged(resourcesOf(options({ url: otherUpstream.url })), 'moved', '');
  });

  it('its headers, though the data behind it may be the same', async () => {
    await expectChanged(resourcesOf(options({ headers: { 'X-Scope-OrgID': 'another' } })), 'shop-prod', '');
  });

  it('and of an environment that is gone nothing comes', async () => {
    await warm(rig.token.basic, 'twin');
    const fewer = environments.filter(({ name }) => name !== 'twin');
    await rig.promgate.apply(resourcesOf(options({}, fewer)), { prune: true });
    await known();
    expect(await statuses(rig.token.basic, 'twin')).toEqual([404, 404, 404, 404]);
    await rig.promgate.apply(resourcesOf(options({})));
    await known();
  });
});
