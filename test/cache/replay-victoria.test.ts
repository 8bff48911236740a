import { afterAll, beforeAll, it } from 'vitest';
import { unrecorded } from '../support/cache-rig.ts';
import { dataset } from '../support/dataset.ts';
import type { TestServer } from '../support/prometheus.ts';
import { startVictoriaMetrics } from '../support/victoria-metrics.ts';
import { arbitraryQuery } from './questions.ts';
import { expectMixed, type Replay, replayAll, startReplay } from './replay.ts';
import { arbitraryJourney } from './windows.ts';

/**
 * As `replay-prometheus.test.ts`, against a VictoriaMetrics as it is by default: with a cache of its own, for which it moves the
 * times of longer questions to multiples of the step.
 */
let victoria: TestServer;
let replay: Replay;

beforeAll(async () => {
  // One worker: several add up the series of a group in another order each time, and the last digits differ.
  process.env.GOMAXPROCS = '1';
  victoria = await startVictoriaMetrics({ data: dataset.exposition, flags: ['-search.disableCache=false'] });
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
 * Questions whose points hang, on this server, on the stretch of time that is asked for, so that it gives one point in two ways
 * itself: a series without any number drops out before `sgn` makes numbers of it; the sums of counter resets begin where the
 * question does, and so do its guesses about the distance of samples; `absent_over_time` is empty where nothing at all is found.
 */
const itself = /sgn|absent_over_time|odd_values|:\d*\w*\]|topk|bottomk/;

it('whatever was asked before, VictoriaMetrics’ answer comes to the byte', async () => {
  const queries = arbitraryQuery.filter((query) => !itself.test(query));
  await replayAll(replay, queries, journeys, { runs: 70, within: 25_000 });
  expectMixed(replay.tally, 0.25);
}, 60_000);
