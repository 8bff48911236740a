import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Params } from '../support/ask.ts';
import { type CacheRig, expectSame, pointsAsked, type Seen, startCacheRig } from '../support/cache-rig.ts';
import { dataset } from '../support/dataset.ts';
import { startPrometheus, type TestServer } from '../support/prometheus.ts';
import { startRecorder } from '../support/recorder.ts';

/** What the server is asked for: no more than what is new, in few questions. Seconds and points of a grid of 15 s. */
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

const step = 15;
/** Each test has its own. */
let query = '';
let count = 0;
beforeEach(() => {
  query = `sum by (job) (rate(http_requests_total[5m])) > ${count++}`;
});

const window = (first: number, points: number, text = query): Params => [
  ['query', text],
  ['start', String(dataset.start + first * step)],
  ['end', String(dataset.start + (first + points - 1) * step)],
  ['step', String(step)],
];

/** The answer must be the server's own. */
async function look(first: number, points: number, text = query): Promise<Seen> {
  const params = window(first, points, text);
  const seen = await rig.through('query_range', params);
  expectSame(seen, await rig.direct('query_range', params));
  return seen;
}

/** The first and last point of each question that reached the server. */
function spans(seen: Seen): [number, number][] {
  return seen.asked.map(({ params }) => {
    const at = (name: string): number => (Number(new Map(params).get(name)) - dataset.start) / step;
    return [at('start'), at('end')];
  });
}

describe('a range query that was asked before', () => {
  it('asks the server nothing when it comes again, whoever asks and however it is written', async () => {
    expect(await look(0, 200)).toMatchObject({ cache: 'miss', asked: [{}] });
    expect(await look(0, 200)).toMatchObject({ cache: 'hit', asked: [] });
    const token = await rig.promgate.token('acme/shop:production');
    const [, ...times] = window(0, 200);
    const otherwise: Params[] = [
      window(0, 200),
      [
        ['query', query],
        ['start', '2025-06-01T08:00:00Z'],
        ['end', '2025-06-01T09:49:45.000+01:00'],
        ['step', '15s'],
      ],
      [['step', '15000ms'], ['query', query], ...times.slice(0, 2)],
    ];
    for (const params of otherwise) {
      for (const method of ['GET', 'POST'] as const) {
        const seen = await rig.through('query_range', params, { authorization: token.basic, method });
        expect(seen).toMatchObject({ status: 200, cache: 'hit', asked: [] });
        expectSame(seen, await rig.direct('query_range', params));
      }
    }
  });

  it('asks for the one new point when the window has moved by a step, again and again', async () => {
    await look(0, 200);
    for (let moved = 1; moved <= 20; moved++) {
      const seen = await look(moved, 200);
      expect({ cache: seen.cache, spans: spans(seen) }).toEqual({ cache: 'partial', spans: [[moved + 199, moved + 199]] });
    }
    expect(await look(20, 200)).toMatchObject({ cache: 'hit', asked: [] });
    expect(await look(3, 50)).toMatchObject({ cache: 'hit', asked: [] });
  });

  it('asks for what lies before when the window has moved back', async () => {
    await look(100, 50);
    const seen = await look(90, 50);
    expect({ cache: seen.cache, spans: spans(seen) }).toEqual({ cache: 'partial', spans: [[90, 99]] });
  });

  it('asks for both ends when the window has grown on both sides', async () => {
    await look(100, 100);
    const seen = await look(60, 200);
    expect({ cache: seen.cache, spans: spans(seen).sort(([a], [b]) => a - b) }).toEqual({
      cache: 'partial',
      spans: [
        [60, 99],
        [200, 259],
      ],
    });
  });

  it('with many holes asks a few questions and not one for each, and never for more than the whole', async () => {
    for (let island = 0; island < 12; island++) await look(island * 30, 5);
    const seen = await look(0, 360);
    expect(seen.cache).toBe('partial');
    expect(seen.asked.length).toBeGreaterThan(0);
    expect(seen.asked.length).toBeLessThanOrEqual(4);
    expect(pointsAsked(seen.asked).reduce((sum, points) => sum + points, 0)).toBeLessThanOrEqual(360);
    expect(await look(0, 360)).toMatchObject({ cache: 'hit', asked: [] });
  });

  it('asks one question for holes that lie close to each other', async () => {
    await look(0, 50);
    await look(52, 8);
    await look(62, 50);
    const seen = await look(0, 112);
    expect({ cache: seen.cache, spans: spans(seen) }).toEqual({ cache: 'partial', spans: [[50, 61]] });
  });

  it('of few points asks for all of them once where both ends are missing', async () => {
    await look(101, 5);
    expect(spans(await look(100, 7))).toEqual([[100, 106]]);
    expect(await look(100, 7)).toMatchObject({ cache: 'hit', asked: [] });
  });

  it('is another one with another step, another phase, another lookback, or another query', async () => {
    await look(0, 40);
    const at = (start: number, more: Params = [], text = query, by = step): Params => [
      ['query', text],
      ['start', String(start)],
      ['end', String(start + 600)],
      ['step', String(by)],
      ...more,
    ];
    const others = [
      at(dataset.start, [], query, 30),
      at(dataset.start + 1),
      at(dataset.start + 0.001),
      at(dataset.start, [['lookback_delta', '10m']]),
      at(dataset.start, [], `${query} + 0`),
    ];
    for (const params of others) {
      const seen = await rig.through('query_range', params);
      expect(seen).toMatchObject({ cache: 'miss', asked: [{}] });
      expectSame(seen, await rig.direct('query_range', params));
      const again = await rig.through('query_range', params);
      expect(again).toMatchObject({ cache: 'hit', asked: [], body: seen.body });
    }
  });

  it('gives an empty answer from the cache, too', async () => {
    const text = `nothing_of_this_name > ${count}`;
    expect(await look(0, 100, text)).toMatchObject({ cache: 'miss' });
    expect(await look(0, 100, text)).toMatchObject({ cache: 'hit', asked: [] });
    expect(spans(await look(1, 100, text))).toEqual([[100, 100]]);
  });

  it('comes as it is for clients that take gzip', async () => {
    const params = window(0, 100);
    const headers = { 'accept-encoding': 'gzip' };
    const direct = await rig.direct('query_range', params);
    for (const cache of ['miss', 'hit']) {
      expect(await rig.through('query_range', params, { headers })).toMatchObject({ cache, body: direct.body });
    }
  });
});

it('a dashboard of the last hours that is looked at again a step later asks for less than a hundredth of its points', async () => {
  const panels = ['sum(up)', 'rate(http_requests_total[5m])', 'node_load1', 'count by (job) (odd_values)'];
  const points = 400;
  for (const panel of panels) await look(0, points, panel);
  let asked = 0;
  for (let refresh = 1; refresh <= 10; refresh++) {
    for (const panel of panels) for (const number of pointsAsked((await look(refresh, points, panel)).asked)) asked += number;
  }
  expect(asked).toBe(10 * panels.length);
});
