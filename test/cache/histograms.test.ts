import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectMixed, type Replay, replayAll, startReplay } from './replay.ts';
import { type Histogram, startTableServer, type TableSeries } from './table-server.ts';
import { arbitraryJourney } from './windows.ts';

/** Native histograms, and series that have floats at some times and histograms at others, as Prometheus 3 answers them. */
const from = Date.UTC(2025, 5, 1, 8);
const to = from + 3_600_000;

function histogram(ms: number): Histogram {
  const n = Math.floor(ms / 250) % 1000;
  const bucket = (lower: number, count: number) => [3, String(lower), String(lower * 2), String(count)] as const;
  const buckets = Array.from({ length: n % 5 }, (_, i) => bucket(2 ** (i - 2), n + i));
  return { count: String(5 * n), sum: n % 7 === 0 ? 'NaN' : String(n / 8), buckets: [[1, '-0.001', '0.001', '2'], ...buckets] };
}

const minute = (ms: number): number => Math.floor(ms / 60_000);
/** Sorted by labels, name and value, as a server sorts them. */
const table: readonly TableSeries[] = [
  { metric: {}, at: (ms) => String(ms % 977) },
  { metric: { a: '1' }, at: histogram },
  { metric: { a: '1', b: 'say "}]" \\ \u2028' }, at: (ms) => (minute(ms) % 3 === 0 ? histogram(ms) : '+Inf') },
  { metric: { a: '1', b: 'values' }, at: (ms) => (minute(ms) % 9 < 2 ? histogram(ms) : minute(ms) % 9 < 4 ? '1e-09' : null) },
  { metric: { a: '2' }, at: (ms) => (ms < from + 1_800_000 ? 'NaN' : histogram(ms)) },
  { metric: { a: '2', histograms: '[[1,{"count":"3"}]]' }, at: (ms) => (minute(ms) % 20 === 7 ? histogram(ms) : null) },
  { metric: { a: 'é' }, at: (ms) => (ms % 120_000 === 0 ? '-0' : null) },
];

let replay: Replay;
let url = '';

beforeAll(async () => {
  const upstream = await startTableServer(table);
  url = upstream.url;
  replay = await startReplay({ direct: url, upstream });
});

afterAll(() => replay?.rig.close());

it('histograms beside floats come to the byte, whatever was asked before', async () => {
  const journeys = arbitraryJourney(from - 600_000, to, [250, 1_000, 15_000, 60_000, 61_001]);
  const queries = fc.constantFrom('rate(latency[5m])', 'latency', 'histogram_quantile(0.9, latency)');
  await replayAll(replay, queries, journeys, { runs: 50, within: 20_000 });
  expectMixed(replay.tally, 0.99);
}, 60_000);

it('an instant query in the past gives its histograms from the cache', async () => {
  const params = [
    ['query', 'latency'],
    ['time', String(from / 1000)],
  ] as const;
  const direct = await replay.rig.direct('query', params);
  for (const cache of ['miss', 'hit']) {
    const seen = await replay.rig.through('query', params, { environment: 'case-0' });
    expect({ cache: seen.cache, body: seen.body }).toEqual({ cache, body: direct.body });
  }
  expect(direct.body).toContain('"histogram":');
});
