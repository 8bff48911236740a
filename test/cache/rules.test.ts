import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Params } from '../support/ask.ts';
import { type CacheRig, expectSame, startCacheRig } from '../support/cache-rig.ts';
import { dataset } from '../support/dataset.ts';
import { startPrometheus, type TestServer } from '../support/prometheus.ts';
import { startRecorder } from '../support/recorder.ts';

/** The settings of the cache, and what a server's record says of it. Each environment has a server's record of its own. */
let prometheus: TestServer;
let rig: CacheRig;

const records: Readonly<Record<string, object>> = {
  plain: {},
  off: { enabled: false },
  brief: { max_age: '1ms' },
  patient: { recent_window: '100000d' },
  hasty: { recent_window: '0s' },
  ranges: { instant: false },
  nameless: { metadata_ttl: '0s' },
  'brief-names': { metadata_ttl: '1ms' },
  'long-names': { metadata_ttl: '1d' },
};

beforeAll(async () => {
  prometheus = await startPrometheus({ data: dataset.openMetrics });
  const upstream = await startRecorder(prometheus.url);
  rig = await startCacheRig({
    direct: prometheus.url,
    upstream,
    environments: Object.keys(records).map((name) => ({ name })),
    servers: Object.entries(records).map(([name, cache]) => ({ name, url: upstream.url, environment_scope: name, cache })),
  });
});

afterAll(async () => {
  await rig?.close();
  await prometheus?.stop();
});

const range: Params = [
  ['query', 'node_load1'],
  ['start', String(dataset.start)],
  ['end', String(dataset.start + 3600)],
  ['step', '60'],
];
const instant: Params = [
  ['query', 'node_load1'],
  ['time', String(dataset.start + 3600)],
];
const names: Params = [['match[]', 'up']];
const all = [
  ['query_range', range],
  ['query', instant],
  ['series', names],
] as const;

/** What the second of two equal questions is answered from; both answers must be the server's own. */
async function second(environment: string, api: string, params: Params): Promise<string> {
  const first = await rig.through(api, params, { environment });
  // Longer than the shortest time for which something is kept here.
  await delay(20);
  const seen = await rig.through(api, params, { environment });
  expect(seen.asked).toHaveLength(seen.cache === 'hit' ? 0 : 1);
  expectSame(seen, first);
  expectSame(seen, await rig.direct(api, params));
  return seen.cache;
}

describe('a server’s own rules', () => {
  it.each<[string, object]>([
    ['plain', { query_range: 'hit', query: 'hit', series: 'hit' }],
    ['off', { query_range: 'bypass', query: 'bypass', series: 'bypass' }],
    ['brief', { query_range: 'miss', query: 'miss', series: 'hit' }],
    ['patient', { query_range: 'bypass', query: 'bypass', series: 'hit' }],
    ['ranges', { query_range: 'hit', query: 'bypass', series: 'hit' }],
    ['nameless', { query_range: 'hit', query: 'hit', series: 'bypass' }],
    ['brief-names', { query_range: 'hit', query: 'hit', series: 'miss' }],
    ['long-names', { query_range: 'hit', query: 'hit', series: 'hit' }],
  ])('%s', async (environment, expected) => {
    const seen: Record<string, string> = {};
    // One after the other: the recorder is one for all.
    for (const [api, params] of all) seen[api] = await second(environment, api, params);
    expect(seen).toEqual(expected);
  });

  it('with a recent window of nothing, points up to this moment are kept', async () => {
    const now = Math.floor(Date.now() / 1000);
    const recent: Params = [
      ['query', 'vector(1)'],
      ['start', String(now - 60)],
      ['end', String(now - 1)],
      ['step', '1'],
    ];
    expect(await second('hasty', 'query_range', recent)).toBe('hit');
    expect(await second('plain', 'query_range', recent)).toBe('bypass');
  });
});

it('points inside the recent window are asked for each time, and those before it are not', async () => {
  const now = Math.floor(Date.now() / 60_000) * 60;
  const params: Params = [
    ['query', 'vector(2)'],
    ['start', String(now - 7200)],
    ['end', String(now)],
    ['step', '60'],
  ];
  expect(await rig.through('query_range', params, { environment: 'plain' })).toMatchObject({ cache: 'miss' });
  const seen = await rig.through('query_range', params, { environment: 'plain' });
  expectSame(seen, await rig.direct('query_range', params));
  expect(seen).toMatchObject({ cache: 'partial', asked: [{}] });
  const asked = new Map(seen.asked[0]?.params);
  // Five minutes and what has passed since; the test may be held up for a while.
  expect(Number(asked.get('end'))).toBe(now);
  expect(now - Number(asked.get('start'))).toBeGreaterThanOrEqual(180);
  expect(now - Number(asked.get('start'))).toBeLessThanOrEqual(300);
});

it('without memory nothing is kept, and all is answered', async () => {
  const upstream = await startRecorder(prometheus.url);
  const bare = await startCacheRig({ direct: prometheus.url, upstream, settings: { cache: { memory: 0 } } });
  for (const [api, params] of all) {
    for (let time = 0; time < 2; time++) {
      const seen = await bare.through(api, params);
      expect(seen).toMatchObject({ cache: 'bypass', asked: [{}] });
      expectSame(seen, await bare.direct(api, params));
    }
  }
  await bare.close();
});
