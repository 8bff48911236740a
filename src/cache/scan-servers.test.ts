import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataset } from '../../test/support/dataset.ts';
import { startNativeHistograms } from '../../test/support/native-histograms.ts';
import { startPrometheus, type TestServer } from '../../test/support/prometheus.ts';
import { startVictoriaMetrics } from '../../test/support/victoria-metrics.ts';
import { scanned } from './arbitrary-matrix.ts';
import { assemble } from './assemble.ts';
import type { Grid, Piece, Span } from './piece.ts';
import { cutPiece, mergePieces } from './slice.ts';

const queries = [
  'up',
  'odd_values',
  'odd_values * 0.1',
  '{__name__=~"up|node_load1|odd_values"}',
  // Whole numbers: VictoriaMetrics adds in any order, and fractions then differ in their last digit from one answer to the next.
  'sum by (code, method) (http_requests_total)',
  'histogram_quantile(0.9, rate(http_request_duration_seconds_bucket[10m]))',
  'label_replace(up, "text", "<&>\u2028\u0001", "", "")',
  '1',
  'time()',
  'vector(1) / 0',
  'absent(up)',
  'nothing_at_all',
];

/** Milliseconds: a whole number of seconds, and not. */
const questions = [
  { start: dataset.start * 1000 + 600_000, step: 15_000, points: 121 },
  { start: dataset.start * 1000 + 1_234_567, step: 7_300, points: 97 },
  { start: dataset.start * 1000 + 100, step: 60_050, points: 60 },
];

const servers: Record<string, TestServer> = {};

beforeAll(async () => {
  servers.Prometheus = await startPrometheus({ data: dataset.openMetrics });
  servers.VictoriaMetrics = await startVictoriaMetrics({ data: dataset.exposition });
});

afterAll(async () => {
  for (const server of Object.values(servers)) await server.stop();
});

async function ask(server: TestServer | undefined, query: string, grid: Grid, span: Span): Promise<Buffer> {
  const seconds = (k: number): string => ((grid.phase + k * grid.step) / 1000).toFixed(3);
  const times = { start: seconds(span.first), end: seconds(span.last), step: String(grid.step / 1000) };
  // VictoriaMetrics moves times to multiples of the step unless this is given.
  const response = await fetch(`${server?.url}/api/v1/query_range?${new URLSearchParams({ query, ...times, nocache: '1' })}`);
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

function answerOf(...pieces: Piece[]): string {
  return Buffer.concat([...assemble(pieces.map((piece) => ({ piece, span: piece, cached: true })))]).toString();
}

describe.each(['Prometheus', 'VictoriaMetrics'])('what %s answers', (name) => {
  it.each(queries)('to %j is understood, given back byte for byte, and put together from two halves', async (query) => {
    for (const { start, step, points } of questions) {
      const grid = { step, phase: start % step };
      const first = Math.floor(start / step);
      const span = { first, last: first + points - 1 };
      const answer = await ask(servers[name], query, grid, span);
      const piece = scanned(answer, { grid, span }, 1000);
      if (piece === null) throw new Error(`not understood: ${answer}`);
      expect(answerOf(piece)).toBe(answer.toString());

      const middle = first + (points >> 1);
      const spans = [
        { first, last: middle },
        { first: middle + 1, last: span.last },
      ];
      const halves = await Promise.all(
        spans.map(async (half) => scanned(await ask(servers[name], query, grid, half), { grid, span: half })),
      );
      const [earlier, later] = halves;
      if (!earlier || !later) throw new Error('a half was not understood');
      expect(answerOf(earlier, later)).toBe(answer.toString());
      expect(mergePieces(earlier, later)).toEqual(piece);
      expect(spans.map((half) => cutPiece(piece, half))).toEqual(halves);
    }
  });
});

it('a topk of a Prometheus is understood; VictoriaMetrics has its series in another order', async () => {
  const grid = { step: 15_000, phase: 0 };
  const first = (dataset.start * 1000 + 600_000) / grid.step;
  const span = { first, last: first + 120 };
  const asked = Object.entries(servers).map(async ([name, server]) => {
    return [name, scanned(await ask(server, 'topk(3, http_requests_total)', grid, span), { grid, span }) !== null] as const;
  });
  expect(Object.fromEntries(await Promise.all(asked))).toEqual({ Prometheus: true, VictoriaMetrics: false });
});

it('native histograms of a Prometheus are understood, also together with floats', async () => {
  const target = await startNativeHistograms('native');
  const scrape = {
    job_name: 'native',
    scrape_interval: '200ms',
    scrape_timeout: '200ms',
    static_configs: [{ targets: [target.address] }],
  };
  const server = await startPrometheus({ scrapeConfigs: [scrape], flags: ['--enable-feature=native-histograms'] });
  try {
    const grid = { step: 200, phase: 100 };
    const now = (): number => Math.floor((Date.now() - grid.phase) / grid.step);
    const first = now();
    const query = '{__name__=~"native|up"} or label_replace(histogram_count(native), "of", "count", "", "")';
    for (;;) {
      // Up to a moment ago, so that the answer does not change meanwhile.
      const span = { first, last: Math.max(first, now() - 5) };
      const answer = await ask(server, query, grid, span);
      const samples = answer.toString().split('"buckets"').length - 1;
      if (samples < 10) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        continue;
      }
      const piece = scanned(answer, { grid, span }, 100);
      if (piece === null) throw new Error(`not understood: ${answer}`);
      expect(answerOf(piece)).toBe(answer.toString());
      expect(answer.toString()).toContain('"values":');
      break;
    }
  } finally {
    await server.stop();
    await target.stop();
  }
});
