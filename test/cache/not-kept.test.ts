import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Params } from '../support/ask.ts';
import { type CacheRig, expectSame, startCacheRig } from '../support/cache-rig.ts';
import { dataset } from '../support/dataset.ts';
import { startPrometheus, type TestServer } from '../support/prometheus.ts';
import { startRecorder } from '../support/recorder.ts';
import { startVictoriaMetrics } from '../support/victoria-metrics.ts';
import { type Manner, startTableServer, type TableServer } from './table-server.ts';

/** What is never given from the cache: each entry of the list in the design. All is asked of the server each time. */
const hour = 3600;
const start = dataset.start;
const text = (seconds: number): string => String(seconds);
const range = (query: string, more: Params = [], times = { start, end: start + hour, step: 60 }): Params => [
  ['query', query],
  ...Object.entries(times).map(([name, value]) => [name, text(value)] as const),
  ...more,
];
const instant = (query: string, time: number, more: Params = []): Params => [['query', query], ['time', text(time)], ...more];

/** Asked three times, it reaches the server three times, and the answers are the server's own. */
async function expectAsked(rig: CacheRig, api: string, params: Params, cache = 'bypass'): Promise<void> {
  for (let time = 0; time < 3; time++) {
    const seen = await rig.through(api, params);
    expect({ cache: seen.cache, asked: seen.asked.length }).toEqual({ cache, asked: 1 });
    expectSame(seen, await rig.direct(api, params));
  }
}

describe('as the server’s answer says', () => {
  let server: TableServer;
  let rig: CacheRig;
  let count = 0;
  beforeAll(async () => {
    server = await startTableServer([{ metric: { a: '1' }, at: (ms) => String(ms / 1000) }]);
    rig = await startCacheRig({ direct: server.url, upstream: server });
  });
  afterAll(() => rig?.close());

  const manners: [string, Manner][] = [
    ['warnings', { envelope: { warnings: ['PromQL warning: something is odd'] } }],
    ['remarks', { envelope: { infos: ['PromQL info: metric might not be a counter'] } }],
    ['warnings and remarks', { envelope: { infos: ['one'], warnings: ['two'] } }],
    ['data that is not whole', { envelope: { isPartial: true } }],
    ['Cache-Control: no-store', { headers: ['Cache-Control: no-store'] }],
    ['Cache-Control: no-store among others', { headers: ['Cache-Control: max-age=0, No-Store'] }],
    ['500', { status: '500 Internal Server Error' }],
    ['422', { status: '422 Unprocessable Entity' }],
    ['503', { status: '503 Service Unavailable' }],
    ['503 with remarks', { status: '503 Service Unavailable', envelope: { infos: ['one'] } }],
  ];
  describe.each(manners)('%s', (_, manner) => {
    it.each(['query_range', 'query', 'series'])('%s is asked of the server each time, and comes as it is', async (api) => {
      const query = `answer_${count++}`;
      const params: Params =
        api === 'query_range' ? range(query) : api === 'query' ? instant(query, start) : [['match[]', query]];
      server.behave(manner);
      for (let time = 0; time < 3; time++) {
        const seen = await rig.through(api, params);
        expect(seen.asked).toHaveLength(1);
        expect(seen.cache).not.toBe('hit');
        expectSame(seen, await rig.direct(api, params));
        if (seen.status === 200) expect(seen.body).toBe((await rig.direct(api, params)).body);
      }
      server.behave({});
      // It was the answer, and nothing else, that kept it away.
      expect(await rig.through(api, params)).toMatchObject({ cache: 'miss', asked: [{}] });
      expect(await rig.through(api, params)).toMatchObject({ cache: 'hit', asked: [] });
    });

    it('in what is new of a range, the whole answer is as the server gives it, and what was there stays', async () => {
      const query = `answer_${count++}`;
      const first = range(query);
      const later = range(query, [], { start: start + 120, end: start + hour + 120, step: 60 });
      server.behave({});
      await rig.through('query_range', first);
      server.behave(manner);
      for (let time = 0; time < 3; time++) {
        const seen = await rig.through('query_range', later);
        expect(seen.asked.length).toBeGreaterThan(0);
        expectSame(seen, await rig.direct('query_range', later));
      }
      server.behave({});
      expect(await rig.through('query_range', first)).toMatchObject({ cache: 'hit', asked: [] });
      const seen = await rig.through('query_range', later);
      expect(seen.cache).toBe('partial');
      expectSame(seen, await rig.direct('query_range', later));
    });
  });
});

describe('as the question says', () => {
  let prometheus: TestServer;
  let rig: CacheRig;
  beforeAll(async () => {
    prometheus = await startPrometheus({ data: dataset.openMetrics });
    rig = await startCacheRig({ direct: prometheus.url, upstream: await startRecorder(prometheus.url) });
  });
  afterAll(async () => {
    await rig?.close();
    await prometheus?.stop();
  });

  const now = Math.floor(Date.now() / 1000);
  const moment = start + 1800;
  const beyond = start + hour + 600;
  it.each<[string, Params]>([
    ['limit', range('up', [['limit', '2']])],
    ['start()', range('up @ start()')],
    ['end()', range('up - up @ end()')],
    ['start() in a subquery', range('max_over_time(up[5m:1m] @ start())')],
    ['@ beyond the end', range(`up @ ${beyond}`)],
    ['@ beyond the end because of a negative offset', range(`up @ ${start + hour - 60} offset -10m`)],
    ['@ inside the recent window', range(`up @ ${now - 60}`, [], { start, end: now, step: 1e6 })],
    [
      '@ inside the recent window because of a negative offset',
      range(`up @ ${now - 400} offset -6m`, [], { start, end: now, step: 1e6 }),
    ],
    ['@ in the parameter of an aggregation', range(`topk(scalar(count(up @ ${moment})), up)`)],
    ['a parameter of an aggregation that changes', range('topk(scalar(count(up == 1)) - 1, up)')],
    ['@ beside an argument that changes', range(`quantile_over_time(time() % 2, http_requests_total[5m] @ ${moment})`)],
    ['@ in what predict_linear reads', range(`predict_linear(http_requests_total[20m] @ ${moment}, 60)`)],
    ['a start so late that all is inside the recent window', range('up', [], { start: now - 45, end: now, step: 15 })],
    [
      'a negative offset so long that all is inside it',
      range('up offset -1h', [], { start: now - hour, end: now - 1800, step: 60 }),
    ],
    [
      'no query at all',
      [
        ['start', text(start)],
        ['end', text(start + hour)],
        ['step', '60'],
      ],
    ],
    ['a query that does not parse', range('up{')],
    ['a step of zero', range('up', [], { start, end: start + hour, step: 0 })],
    ['an end before the start', range('up', [], { start, end: start - 60, step: 60 })],
    ['times with parts of milliseconds', range('up', [], { start: start + 0.0001, end: start + hour, step: 60 })],
  ])('%s: range queries', (_, params) => expectAsked(rig, 'query_range', params));

  it.each<[string, Params]>([
    ['limit', instant('up', moment, [['limit', '2']])],
    ['no time', [['query', 'up']]],
    ['a time inside the recent window', instant('up', now - 60)],
    ['a time in the future', instant('up', now + hour)],
    ['a negative offset into the recent window', instant('up offset -1h', now - hour)],
    ['@ beyond the time', instant(`up @ ${beyond}`, moment)],
    ['@ inside the recent window', instant(`up @ ${now - 30}`, now - hour)],
    ['a query that does not parse', instant('up{', moment)],
  ])('%s: instant queries', (_, params) => expectAsked(rig, 'query', params));

  it('stats, which tells how long it took', async () => {
    for (const [api, params] of [
      ['query_range', range('up', [['stats', 'all']])],
      ['query', instant('up', moment, [['stats', 'all']])],
    ] as const) {
      for (let time = 0; time < 3; time++) {
        const seen = await rig.through(api, params);
        expect(seen).toMatchObject({ status: 200, cache: 'bypass', asked: [{}] });
        expect(JSON.parse(seen.body).data.stats.timings).toBeDefined();
      }
    }
  });

  it('exemplars, rules and alerts', async () => {
    await expectAsked(rig, 'query_exemplars', [
      ['query', 'up'],
      ['start', text(start)],
      ['end', text(start + hour)],
    ]);
    await expectAsked(rig, 'rules', []);
    await expectAsked(rig, 'alerts', []);
  });

  it('limitk and limit_ratio, which Prometheus 2.42 refuses', () => expectAsked(rig, 'query_range', range('limitk(1, up)')));

  it('an answer that is given each time is no worse where most of it was there before', async () => {
    const query = 'up + 0';
    await rig.through('query_range', range(query));
    await expectAsked(rig, 'query_range', range(query, [['limit', '2']]));
    expect(await rig.through('query_range', range(query))).toMatchObject({ cache: 'hit' });
  });
});

describe('MetricsQL on VictoriaMetrics', () => {
  let victoria: TestServer;
  let rig: CacheRig;
  beforeAll(async () => {
    victoria = await startVictoriaMetrics({ data: dataset.exposition });
    rig = await startCacheRig({ direct: victoria.url, upstream: await startRecorder(victoria.url) });
  });
  afterAll(async () => {
    await rig?.close();
    await victoria?.stop();
  });

  it.each([
    'up default 0',
    'rate(http_requests_total)',
    'WITH (x = up) x + x',
    'range_max(node_load1)',
    'running_sum(up)',
    'running_avg(node_load1)',
    'share_eq_over_time(up[5m], 1)',
    'remove_resets(http_requests_total)',
    'rate(sum(http_requests_total)[5m])',
    'limitk(2, up)',
    'topk_max(2, node_load1)',
    'start() + 0 * up',
    'range_first(up)',
  ])('%s', (query) => expectAsked(rig, 'query_range', range(query)));
});
