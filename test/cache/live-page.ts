/** Targets that are scraped every second, and change as those of a real system do. Values are whole, so sums are exact. */
import { once } from 'node:events';
import { createServer } from 'node:http';

export interface LiveTargets {
  /** For `startPrometheus`. */
  readonly scrapeConfigs: readonly object[];
  /** Makes a target answer with 503, or end that. */
  fail(target: 'steady' | 'fickle', failing: boolean): void;
  stop(): Promise<void>;
}

/**
 * `steady` and `fickle` tell:
 *
 * | metric | |
 * |---|---|
 * | `live_total` | counter that begins anew every few scrapes |
 * | `live_level` | gauge with `NaN` and infinities, for labels that need escapes |
 * | `live_guest` | series that are there in some scrapes only, others in each |
 * | `live_seconds_bucket` | classic histogram |
 */
export async function startLiveTargets(): Promise<LiveTargets> {
  const failing = new Set<string>();
  const scrapes = new Map<string, number>();
  const server = createServer((request, response) => {
    const target = request.url?.slice(1) ?? '';
    const n = (scrapes.get(target) ?? 0) + 1;
    scrapes.set(target, n);
    if (failing.has(target)) {
      response.writeHead(503).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/plain; version=0.0.4' });
    response.end(page(n));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = address !== null && typeof address !== 'string' ? address.port : 0;
  const job = (name: string) => ({
    job_name: name,
    metrics_path: `/${name}`,
    scrape_interval: '1s',
    scrape_timeout: '1s',
    static_configs: [{ targets: [`127.0.0.1:${port}`], labels: { instance: name } }],
  });
  return {
    scrapeConfigs: [job('steady'), job('fickle')],
    fail: (target, fails) => void (fails ? failing.add(target) : failing.delete(target)),
    async stop() {
      server.closeAllConnections();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}

function page(n: number): string {
  const levels = ['NaN', '+Inf', '-Inf', '0', '1e-09', '123456789'];
  return [
    '# TYPE live_total counter',
    ...[1, 2, 3].map((k) => `live_total{code="${k}00"} ${(n % (4 + 3 * k)) * k}`),
    '# TYPE live_level gauge',
    ...['plain', 'a\\"b', 'é,}', 'a\\\\b', '<&>'].map((text, k) => `live_level{text="${text}"} ${levels[(n + k) % 6]}`),
    '# TYPE live_guest gauge',
    ...[0, 1, 2, 3, 4].filter((k) => (n + 2 * k) % 7 < 3).map((k) => `live_guest{guest="${k}"} ${n}`),
    `live_guest{guest="of scrape ${Math.floor(n / 5)}"} 1`,
    '# TYPE live_seconds histogram',
    ...['0.1', '1', '+Inf'].map((le, k) => `live_seconds_bucket{le="${le}"} ${n * (k + 1)}`),
    `live_seconds_sum ${n}`,
    `live_seconds_count ${3 * n}`,
    '',
  ].join('\n');
}
