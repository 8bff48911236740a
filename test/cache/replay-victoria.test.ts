import { afterAll, beforeAll, expect, it } from 'vitest';
import { unrecorded } from '../support/cache-rig.ts';
import { dataset } from '../support/dataset.ts';
import type { TestServer } from '../support/prometheus.ts';
import { startVictoriaMetrics } from '../support/victoria-metrics.ts';
import { arbitraryQuery } from './questions.ts';
import { expectMixed, type Replay, replayAll, startReplay } from './replay.ts';
import { arbitraryJourney, lookParams } from './windows.ts';

/**
 * As `replay-prometheus.test.ts`, against a VictoriaMetrics as it is by default: with a cache of its own, for which it moves the
 * times of longer questions to multiples of the step.
 */
let victoria: TestServer;
let replay: Replay;

/**
 * Whole numbers: `rate` takes a gauge that falls for a counter that begins anew and adds up what was before, from the first sample
 * that the question reads on; so the last digit of a fraction hangs on where the question begins.
 */
const inThousandths = dataset.exposition.replaceAll(/^(node_load1\{.*\}) (\S+) /gm, (_, series: string, value: string) => {
  return `${series} ${Math.round(Number(value) * 1000)} `;
});

beforeAll(async () => {
  // One worker: several add up the series of a group in another order each time, and the last digits differ.
  process.env.GOMAXPROCS = '1';
  victoria = await startVictoriaMetrics({ data: inThousandths, flags: ['-search.disableCache=false'] });
  replay = await startReplay({ direct: victoria.url, upstream: unrecorded(victoria) });
});

afterAll(async () => {
  await replay?.rig.close();
  await victoria?.stop();
});

const from = dataset.start * 1000 - 1_200_000;
const to = dataset.end * 1000 + 600_000;
const journeys = arbitraryJourney(from, to, [250, 1_000, 7_500, 15_000, 15_001, 60_000, 127_000, 300_000]);

/**
 * Where this server itself answers one question in two ways: its guess at the distance of samples, by which it takes some for
 * stale, hangs on where the question begins if they are not regular; of series with equal values `sort` and `topk` take any.
 */
const itself = /odd_values|sort|topk|bottomk/;

it('whatever was asked before, VictoriaMetrics’ answer comes to the byte', async () => {
  const queries = arbitraryQuery.filter((query) => !itself.test(query));
  await replayAll(replay, queries, journeys, { runs: 150, within: 25_000 });
  expectMixed(replay.tally, 0.25);
}, 60_000);

it('points that it computes where they were asked for are not given where it moves them', async () => {
  const first = dataset.start / 15;
  const look = (from: number, count: number) => ({ step: 15_000, phase: 7_000, first: first + from, count, beyond: 0 });
  const looks = [0, 20, 40, 60].map((from) => look(from, 20)).concat(look(0, 80), look(0, 80));
  await replay.run('up', { walk: 'bridge', looks });
  const moved = await replay.rig.direct('query_range', lookParams('up', look(0, 80), 'seconds'));
  expect(moved.body).not.toContain(String(dataset.start + 7));
});
