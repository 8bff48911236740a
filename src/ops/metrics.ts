/** Promgate's own metrics (contract §11). Label values are bounded: endpoint names of the table, server names, codes. */
import { Counter, type CounterConfiguration, Gauge, Registry } from 'prom-client';
import type { CacheResult } from '../cache/answer.ts';
import type { Directory } from '../directory/snapshot.ts';

/** Label values that are there from the start with 0: `increase` does not see the first of a series that begins with 1. */
const cacheResults: readonly CacheResult[] = ['hit', 'partial', 'miss', 'bypass', 'coalesced'];
const comparisons = ['match', 'mismatch', 'skipped'] as const;

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export interface Metrics {
  /** One answered (or broken-off) request; `code` is the HTTP status, `499` where the client left. */
  request(endpoint: string, code: number, seconds: number): void;
  /** One request to a server; `code` is its status or why there is none. */
  upstream(server: string, code: string, seconds: number): void;
  /** One refusal of a valid caller; `reason` is an error code of the catalogue. */
  rejection(reason: string): void;
  /** One answer, by what the cache had to do with it. */
  cache(result: CacheResult): void;
  /** Points of range answers that came from the cache. */
  cachePointsSaved(points: number): void;
  /** One answer from the cache that was compared with the server's, or was not. */
  cacheCompared(result: (typeof comparisons)[number]): void;
  /** One use of the memory that processes share. */
  sharedCache(operation: string, outcome: string): void;
  setReady(ready: boolean): void;
  text(): Promise<string>;
  readonly contentType: string;
}

export function createMetrics(
  version: string,
  directory: () => Directory | null,
  cacheSize: () => { readonly bytes: number; readonly entries: number },
): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = tally({
    name: 'promgate_http_requests_total',
    help: 'Requests on the data plane by endpoint and status code (499: the client left).',
    labelNames: ['endpoint', 'code'],
    registers,
  });
  const duration = durations(
    'promgate_http_request_duration_seconds',
    'Time from a request to the last byte of its answer.',
    'endpoint',
  );
  const upstreamRequests = tally({
    name: 'promgate_upstream_requests_total',
    help: 'Requests to servers by server name and status code, or why there was none.',
    labelNames: ['server', 'code'],
    registers,
  });
  const upstreamDuration = durations(
    'promgate_upstream_request_duration_seconds',
    'Time from asking a server to the last byte of its answer, waiting for a slow client included.',
    'server',
  );
  const rejections = new Counter({
    name: 'promgate_guard_rejections_total',
    help: 'Requests with valid credentials that were refused before a server was asked.',
    labelNames: ['reason'],
    registers,
  });
  rejections.inc({ reason: 'verification' }, 0);
  const cacheRequests = tally(
    {
      name: 'promgate_cache_requests_total',
      help: 'Answers by what the cache had to do with them.',
      labelNames: ['result'],
      registers,
    },
    cacheResults,
  );
  const pointsSaved = new Counter({
    name: 'promgate_cache_saved_points_total',
    help: 'Points of range answers (series times points in time) that came from the cache.',
    registers,
  });
  const compared = tally(
    {
      name: 'promgate_cache_shadow_checks_total',
      help: "Answers from the cache that were compared with the server's own, by result.",
      labelNames: ['result'],
      registers,
    },
    comparisons,
  );
  const shared = tally({
    name: 'promgate_cache_shared_requests_total',
    help: 'Uses of the cache that processes share, by operation and outcome.',
    labelNames: ['operation', 'outcome'],
    registers,
  });
  new Gauge({
    name: 'promgate_cache_bytes',
    help: 'Bytes that the cache holds in memory.',
    registers,
    collect() {
      this.set(cacheSize().bytes);
    },
  });
  new Gauge({
    name: 'promgate_cache_entries',
    help: 'Queries of which the cache holds something in memory.',
    registers,
    collect() {
      this.set(cacheSize().entries);
    },
  });
  const ready = new Gauge({ name: 'promgate_ready', help: 'Whether changes of the directory arrive (1) or not (0).', registers });
  new Gauge({
    name: 'promgate_build_info',
    help: 'Version of Promgate and Node.js.',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version, node: process.versions.node }, 1);
  new Gauge({
    name: 'promgate_directory_objects',
    help: 'Objects in the directory.',
    labelNames: ['kind'],
    registers,
    collect() {
      for (const [kind, count] of Object.entries(directory()?.size ?? {})) this.set({ kind }, count);
    },
  });
  processGauges(registry);
  return {
    request(endpoint, code, seconds) {
      requests.add(endpoint, String(code));
      duration.add(endpoint, seconds);
    },
    upstream(server, code, seconds) {
      upstreamRequests.add(server, code);
      upstreamDuration.add(server, seconds);
    },
    rejection: (reason) => rejections.inc({ reason }),
    cache: (result) => cacheRequests.add(result),
    cachePointsSaved: (points) => pointsSaved.inc(points),
    cacheCompared: (result) => compared.add(result),
    sharedCache: (operation, outcome) => shared.add(operation, outcome),
    setReady: (value) => ready.set(value ? 1 : 0),
    text: async () => `${await registry.metrics()}\n${duration.text()}\n${upstreamDuration.text()}`,
    contentType: registry.contentType,
  };
}

/**
 * A counter for the way of every answer: a plain map of numbers, made into samples only when somebody scrapes (the
 * library's own `inc` takes about a microsecond). `known`: values of its one label that are there from the start.
 */
function tally(
  configuration: CounterConfiguration<string> & { labelNames: string[] },
  known: readonly string[] = [],
): { add(...values: string[]): void } {
  const counts = new Map<string, { labels: Record<string, string>; count: number }>();
  const labelsOf = (values: readonly string[]) =>
    Object.fromEntries(configuration.labelNames.map((name, i) => [name, values[i] ?? '']));
  for (const value of known) counts.set(value, { labels: labelsOf([value]), count: 0 });
  new Counter({
    ...configuration,
    collect() {
      this.reset();
      for (const { labels, count } of counts.values()) this.inc(labels, count);
    },
  });
  return {
    add(...values) {
      const key = values.join('\n');
      const counted = counts.get(key);
      if (counted === undefined) counts.set(key, { labels: labelsOf(values), count: 1 });
      else counted.count++;
    },
  };
}

interface Durations {
  add(value: string, seconds: number): void;
  /** In the exposition format. */
  text(): string;
}

/** A histogram for the way of every answer, for the same reason: numbers in arrays, a series for each value of its one label. */
function durations(name: string, help: string, label: string): Durations {
  const series = new Map<string, { counts: number[]; sum: number }>();
  return {
    add(value, seconds) {
      let known = series.get(value);
      if (known === undefined) {
        known = { counts: Array<number>(BUCKETS.length + 1).fill(0), sum: 0 };
        series.set(value, known);
      }
      let bucket = 0;
      while (seconds > (BUCKETS[bucket] ?? Infinity)) bucket++;
      known.counts[bucket] = (known.counts[bucket] ?? 0) + 1;
      known.sum += seconds;
    },
    text() {
      const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
      for (const [value, { counts, sum }] of series) {
        const own = `${label}=${JSON.stringify(value)}`;
        let below = 0;
        for (const [i, count] of counts.entries()) {
          below += count;
          lines.push(`${name}_bucket{le="${BUCKETS[i] ?? '+Inf'}",${own}} ${below}`);
        }
        lines.push(`${name}_sum{${own}} ${sum}`, `${name}_count{${own}} ${below}`);
      }
      return `${lines.join('\n')}\n`;
    },
  };
}

/** The few process metrics that Prometheus users look for, by their standard names. */
function processGauges(registry: Registry): void {
  const registers = [registry];
  const start = Date.now() / 1000 - process.uptime();
  new Gauge({ name: 'process_start_time_seconds', help: 'Start time of the process since the Unix epoch.', registers }).set(
    start,
  );
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time spent.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory size.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
}
