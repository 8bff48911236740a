import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Params } from '../support/ask.ts';
import { type CacheRig, expectSame, startCacheRig, unrecorded } from '../support/cache-rig.ts';
import { dataset, expositionText, type Family, openMetricsText, steps } from '../support/dataset.ts';
import { startPrometheus, type TestServer } from '../support/prometheus.ts';
import { startVictoriaMetrics } from '../support/victoria-metrics.ts';

/**
 * Questions whose points hang on the stretch of time that is asked for, or that are refused because of two points that are far
 * apart: what was given for the one half and the other must not be put together for the whole.
 */
const gauge = (name: string, labels: Record<string, string>, there: (t: number) => boolean): Family => ({
  name,
  type: 'gauge',
  series: [{ name, labels, values: steps((t) => (there(t) ? (t * 37) % 101 : null)) }],
});
/** `old_name` became `new_name` in the middle; `steady` was there all the time. */
const families = [
  gauge('old_name', { job: 'a' }, (t) => t < 200),
  gauge('new_name', { job: 'a' }, (t) => t > 280),
  gauge('steady', { job: 'a' }, () => true),
];

const start = dataset.start + 300;
const halves = [
  [start, start + 2700],
  [start + 3000, start + 6300],
] as const;
const look = (query: string, [from, to]: readonly [number, number]): Params => [
  ['query', query],
  ['start', String(from)],
  ['end', String(to)],
  ['step', '60'],
];

const both = '{__name__=~"old_name|new_name"}';
const moment = start + 1200;

const servers: [string, () => Promise<TestServer>, readonly string[]][] = [
  [
    'Prometheus',
    () => startPrometheus({ data: openMetricsText(families) }),
    [
      // Two series whose names are dropped become one, which it refuses for the range as a whole.
      `rate(${both}[5m])`,
      `sum_over_time(${both}[5m:1m])`,
      `-${both}`,
      `-(${both})`,
      `-(old_name or new_name)`,
      'sum_over_time((old_name or new_name)[5m:1m])',
      `max(rate(${both}[5m]))`,
      `-{job="a", __name__!="steady"}`,
      // It computes with the argument of the wrong moment, or gives up after as many points as the range is long.
      `quantile_over_time(time() % 2, steady[5m] @ ${moment})`,
      `quantile_over_time(scalar(steady) / 100, steady[20m:1m] @ ${moment})`,
      `predict_linear(steady[20m] @ ${moment}, 60)`,
      `predict_linear(steady[20m:1m] @ ${moment}, 60)`,
      `predict_linear((steady[20m] @ ${moment}), 60)`,
    ],
  ],
  [
    'VictoriaMetrics',
    () => startVictoriaMetrics({ data: expositionText(families) }),
    [
      `rate(${both}[5m])`,
      `-${both}`,
      `abs(${both})`,
      `${both} + 1`,
      `sum_over_time(${both}[5m:1m])`,
      // It computes the first point and gives it for all.
      `quantile_over_time(scalar(steady) / 100, steady[20m] @ ${moment})`,
      `predict_linear(steady[20m] @ ${moment}, scalar(steady))`,
    ],
  ],
];

describe.each(servers)('%s', (_, startServer, queries) => {
  let server: TestServer;
  let rig: CacheRig;
  beforeAll(async () => {
    server = await startServer();
    rig = await startCacheRig({ direct: server.url, upstream: unrecorded(server) });
  });
  afterAll(async () => {
    await rig?.close();
    await server?.stop();
  });

  it.each(queries)('%s', async (query) => {
    for (const span of [...halves, [start, start + 6300] as const, [start + 60, start + 6000] as const]) {
      const params = look(query, span);
      expectSame(await rig.through('query_range', params), await rig.direct('query_range', params), String(span));
    }
  });

  it('each of them is another question for the halves than for the whole', async () => {
    for (const query of queries) {
      const [one, two, whole] = await Promise.all(
        [...halves, [start, start + 6300] as const].map((span) => rig.direct('query_range', look(query, span))),
      );
      const points = (body = ''): string[] => body.match(/\[\d+(?:\.\d+)?,"[^"]*"\]/g) ?? [];
      const inHalves = [...points(one?.body), ...points(two?.body)];
      const inWhole = new Set(points(whole?.body));
      expect([query, inHalves.every((point) => inWhole.has(point))]).toEqual([query, false]);
    }
  });
});
