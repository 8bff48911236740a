import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { validQueries } from '../guard/corpora.ts';
import { startPrometheus, type TestServer } from '../support/prometheus.ts';
import { startRecorder } from '../support/recorder.ts';
import { corporaData } from './corpora-data.ts';
import { isSteady } from './questions.ts';
import { expectMixed, type Replay, replayAll, startReplay } from './replay.ts';
import { arbitraryJourney } from './windows.ts';

/** Prometheus' own test queries, about metrics of their names, from 1970 on as in its tests: `@ 100` means something then. */
describe.skipIf(validQueries.length === 0)('Prometheus’ own test queries', () => {
  let prometheus: TestServer;
  let replay: Replay;

  beforeAll(async () => {
    prometheus = await startPrometheus({ data: corporaData(validQueries) });
    replay = await startReplay({ direct: prometheus.url, upstream: await startRecorder(prometheus.url) });
  });

  afterAll(async () => {
    await replay?.rig.close();
    await prometheus?.stop();
  });

  it('are answered to the byte as the server does, whatever was asked before', async () => {
    const queries = fc.constantFrom(...validQueries.filter(isSteady));
    const journeys = arbitraryJourney(0, 7_200_000, [500, 1_000, 5_000, 15_000, 30_000, 61_001, 300_000]);
    await replayAll(replay, queries, journeys, { runs: 120, within: 25_000 });
    expectMixed(replay.tally, 0.2);
  }, 60_000);
});
