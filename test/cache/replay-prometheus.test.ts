import { afterAll, beforeAll, it } from 'vitest';
import { dataset } from '../support/dataset.ts';
import { startPrometheus, type TestServer } from '../support/prometheus.ts';
import { startRecorder } from '../support/recorder.ts';
import { arbitraryQuery } from './questions.ts';
import { expectMixed, type Replay, replayAll, startReplay } from './replay.ts';
import { arbitraryJourney } from './windows.ts';

/** Two hours of history. Every answer that comes through is held against the server's own, byte for byte. */
let prometheus: TestServer;
let replay: Replay;

beforeAll(async () => {
  prometheus = await startPrometheus({ data: dataset.openMetrics });
  replay = await startReplay({ direct: prometheus.url, upstream: await startRecorder(prometheus.url) });
});

afterAll(async () => {
  await replay?.rig.close();
  await prometheus?.stop();
});

const from = dataset.start * 1000 - 1_200_000;
const to = dataset.end * 1000 + 600_000;
const journeys = arbitraryJourney(from, to, [250, 1_000, 7_500, 15_000, 15_001, 60_000, 127_000, 300_000]);

it('whatever was asked before, Prometheus’ answer comes to the byte', async () => {
  await replayAll(replay, arbitraryQuery, journeys, { runs: 150, within: 25_000 });
  expectMixed(replay.tally, 0.25, ['hit', 'partial', 'miss', 'bypass']);
}, 60_000);
