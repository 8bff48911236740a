import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Params } from '../support/ask.ts';
import { type CacheRig, startCacheRig } from '../support/cache-rig.ts';
import { startPrometheus, type TestServer } from '../support/prometheus.ts';
import { startRecorder } from '../support/recorder.ts';
import { type Look, looker } from './live-look.ts';
import { type LiveTargets, startLiveTargets } from './live-page.ts';

/**
 * Data that comes in while it is looked at. What comes through is what the server said before or after: point by point, because
 * a point within the last seconds may change between any two looks.
 */
const recentWindow = 5_000;
let targets: LiveTargets;
let prometheus: TestServer;
let rig: CacheRig;
let look: Look;

beforeAll(async () => {
  targets = await startLiveTargets();
  // Most staleness and lookback happens within seconds then.
  const flags = ['--query.lookback-delta=4s'];
  prometheus = await startPrometheus({ scrapeConfigs: targets.scrapeConfigs, flags });
  rig = await startCacheRig({
    direct: prometheus.url,
    upstream: await startRecorder(prometheus.url),
    settings: { cache: { recentWindow } },
  });
  look = looker(rig, recentWindow);
});

afterAll(async () => {
  await rig?.close();
  await prometheus?.stop();
  await targets?.stop();
});

const kept = [
  'live_total',
  'rate(live_total[3s])',
  'increase(live_total[10s])',
  'resets(live_total[20s])',
  'sum by (job) (live_total)',
  'live_level',
  'max_over_time(live_level[4s])',
  'live_guest',
  'count(live_guest)',
  'absent(live_guest{guest="2"})',
  'absent_over_time(live_guest{guest="2"}[2s])',
  'up',
  'up offset 3s',
  'live_guest offset -2s',
  'changes(up[10s])',
  'timestamp(live_guest)',
  'histogram_quantile(0.9, rate(live_seconds_bucket[5s]))',
  'sum_over_time(up[10s:1s])',
  'max_over_time(rate(live_total[3s])[10s:500ms])',
  'count_over_time(live_guest[6s:])',
  'time()',
  'vector(1)',
  'scalar(up{job="steady"})',
  '1',
  '0 / 0',
  'vector(1 / 0)',
  'nothing_of_this_name',
  'topk(2, live_total)',
  'live_total / ignoring(code) group_left up',
  '-live_guest',
  'live_guest or up',
];

const notKept = ['live_guest @ start()', 'up - up @ end()', 'rate(live_total[5s] @ end())', 'limitk(1, up)', 'up['];

describe('windows that end now', () => {
  it('give what the server gives, while targets fail and come back, counters begin anew and series come and go', async () => {
    const counts = new Map<string, number>();
    const seconds = () => Math.floor(Date.now() / 1000);
    const begin = seconds();
    // Long enough for points to leave the recent window.
    const partial = () => counts.get('partial') ?? 0;
    for (let round = 0; seconds() < begin + 20 || partial() <= 50; round++) {
      targets.fail('fickle', Math.floor(round / 3) % 2 === 1);
      for (const [index, query] of kept.entries()) {
        const step = index % 3 === 0 ? 0.5 : 1;
        const end = index % 2 === 0 ? seconds() : seconds() + 0.25;
        const cache = await look(query, begin - 5 + (index % 4), end, step);
        counts.set(cache, (counts.get(cache) ?? 0) + 1);
      }
      await delay(200);
    }
    expect(partial()).toBeGreaterThan(50);
  }, 120_000);

  it('are asked whole each time where the query hangs on them', async () => {
    const now = Math.floor(Date.now() / 1000);
    for (const query of notKept) {
      for (const end of [now - 10, now]) {
        for (let time = 0; time < 2; time++) expect(await look(query, now - 30, end, 1), query).toBe('bypass');
      }
    }
  });
});

/** Unix seconds. */
const present = () => Math.floor(Date.now() / 1000);

it('what has left the recent window comes from the cache, and what is inside never does', async () => {
  const now = present();
  expect(await look('live_total + 1', now - 20, now, 1)).toBe('miss');
  expect(await look('live_total + 1', now - 20, now, 1)).toBe('partial');
  expect(await look('live_total + 1', now - 20, now - 10, 1)).toBe('hit');
  const recent = present();
  for (let time = 0; time < 2; time++) expect(await look('live_total + 1', recent, recent + 2, 1)).toBe('bypass');
});

it('a negative offset makes more of a window recent', async () => {
  for (let time = 0; time < 2; time++) {
    const recent = present();
    expect(await look('up offset -10s', recent - 12, recent - 8, 1)).toBe('bypass');
  }
  const now = present();
  expect(await look('up offset -10s', now - 30, now - 8, 1)).toBe('miss');
  expect(await look('up offset -10s', now - 30, now - 8, 1)).toBe('partial');
  expect(await look('up offset -10s', now - 30, now - 16, 1)).toBe('hit');
});

it('an @ that was inside the recent window is kept once it has left it', async () => {
  const moment = Math.floor(Date.now() / 1000);
  expect(await look(`live_total @ ${moment}`, moment - 10, moment + 30, 1)).toBe('bypass');
  await delay(recentWindow + 1_000);
  expect(await look(`live_total @ ${moment}`, moment - 10, moment + 30, 1)).toBe('miss');
  expect(await look(`live_total @ ${moment}`, moment - 10, moment, 1)).toBe('hit');
});

it('instant queries are kept once their time has left the recent window', async () => {
  const moment = Math.floor(Date.now() / 1000);
  const params: Params = [
    ['query', 'sum(live_total)'],
    ['time', String(moment)],
  ];
  for (let time = 0; time < 2; time++) expect((await rig.through('query', params)).cache).toBe('bypass');
  await delay(recentWindow + 1_000);
  expect((await rig.through('query', params)).cache).toBe('miss');
  const seen = await rig.through('query', params);
  expect(seen.cache).toBe('hit');
  expect(seen.body).toBe((await rig.direct('query', params)).body);
});
