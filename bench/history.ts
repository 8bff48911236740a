/**
 * A real Prometheus with a day of data at a usual scrape interval, as a cluster with one busy service would leave it. The data
 * ends a few minutes after now, so that a dashboard can be refreshed for some steps without waiting for them.
 */
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../test/support/ports.ts';
import type { Contender, Running } from './contenders.ts';
import { LOAD_CORE, startPinned } from './pin.ts';
import { ROUNDS } from './settings.ts';

export interface History extends Contender, Running {
  /** The last whole minute when the data was made; Unix seconds. */
  readonly now: number;
  readonly series: number;
  /** What the server itself has counted since the last call. */
  readonly work: () => Promise<Work>;
}

export interface Work {
  /** Range and instant queries that it evaluated. */
  readonly queries: number;
  /** Samples that it read for them; one counts once for each point of a query that looks at it. */
  readonly samples: number;
}

/** Seconds. */
const SCRAPE = 15;
const BEHIND = 25 * 3600;
const AHEAD = 60 * (ROUNDS + 2);
/** A file for each of Prometheus' own blocks: promtool reads the whole file again for each block in it. */
const BLOCK = 2 * 3600;
const PODS = 20;

interface Series {
  readonly text: string;
  /** The value at a time in seconds since the beginning of the data. */
  readonly at: (time: number) => number;
}

export async function startHistory(dir: string): Promise<History> {
  const now = Math.floor(Date.now() / 60_000) * 60;
  const series = allSeries();
  const data = join(dir, 'history');
  await createBlocks(dir, data, series, now);
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const config = join(dir, 'prometheus.yml');
  const queryLog = join(dir, 'queries.log');
  await writeFile(config, JSON.stringify({ global: { query_log_file: queryLog } }));
  const args = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${data}`,
    `--web.listen-address=127.0.0.1:${port}`,
    // Equal ones: blocks stay as they are, and no compaction runs beside the measurements.
    '--storage.tsdb.min-block-duration=2h',
    '--storage.tsdb.max-block-duration=2h',
  ];
  const { pid, stop } = await startPinned(LOAD_CORE, 'prometheus', args, `${origin}/-/ready`);
  return {
    name: 'the server itself',
    origin,
    prefix: '',
    headers: {},
    pid,
    stop,
    now,
    series: series.length,
    work: workReader(queryLog),
  };
}

/** Reads on in the server's query log, which has a line for each query when it is done. */
function workReader(queryLog: string): History['work'] {
  let at = 0;
  return async () => {
    const lines = (await readFile(queryLog, 'utf8')).trim().split('\n').filter(Boolean);
    const samples = lines.slice(at).map((line) => (JSON.parse(line) as LoggedQuery).stats.samples.totalQueryableSamples);
    at = lines.length;
    return { queries: samples.length, samples: samples.reduce((sum, one) => sum + one, 0) };
  };
}

interface LoggedQuery {
  readonly stats: { readonly samples: { readonly totalQueryableSamples: number } };
}

async function createBlocks(dir: string, data: string, series: readonly Series[], now: number): Promise<void> {
  const [from, to] = [now - BEHIND, now + AHEAD];
  for (let block = Math.floor(from / BLOCK) * BLOCK; block <= to; block += BLOCK) {
    const times: number[] = [];
    for (let time = Math.max(block, from); time < Math.min(block + BLOCK, to + SCRAPE); time += SCRAPE) times.push(time);
    const lines = series.flatMap(({ text, at }) => times.map((time) => `${text} ${Number(at(time - from).toFixed(3))} ${time}`));
    const file = join(dir, 'block.om');
    await writeFile(file, `${lines.join('\n')}\n# EOF\n`);
    await promisify(execFile)('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', '--quiet', file, data]);
    await rm(file);
  }
}

/** Of one service with 20 pods; all that the panels of `panels.ts` ask for. */
function allSeries(): readonly Series[] {
  const all: Series[] = [];
  const add = (name: string, labels: Record<string, string | number>, at: Series['at']) => {
    const list = Object.entries({ job: 'shop', namespace: 'shop-prod', ...labels }).map(
      ([label, value]) => `${label}="${value}"`,
    );
    all.push({ text: `${name}{${list.join(',')}}`, at });
  };
  for (let i = 0; i < PODS; i++) {
    const pod = `shop-${(i * 7919 + 4321).toString(36)}-${i}`;
    const restart = 3600 * (1 + i);
    for (const [n, code] of ['200', '404', '500'].entries()) {
      add('http_requests_total', { pod, code }, counter(40 / 8 ** n + i / 10, i, restart, Math.floor));
    }
    for (const container of ['app', 'proxy']) {
      add('container_cpu_usage_seconds_total', { pod, container }, counter(container === 'app' ? 0.4 : 0.05, i, restart));
      add('container_memory_working_set_bytes', { pod, container }, gauge(3e8 + i * 1e7, 4e7, i));
    }
    add('container_network_receive_bytes_total', { pod }, counter(2e5 + i * 1e3, i, restart, Math.floor));
    add('container_network_transmit_bytes_total', { pod }, counter(5e5 + i * 1e3, i, restart, Math.floor));
    add('kube_pod_container_status_restarts_total', { pod, container: 'app' }, (time) => Math.floor(time / (7000 + 600 * i)));
    add('up', { pod }, (time) => (time >= restart && time < restart + 90 ? 0 : 1));
    add('go_goroutines', { pod }, gauge(120 + i, 40, i));
    add('process_resident_memory_bytes', { pod }, gauge(2e8 + i * 1e6, 3e7, i));
  }
  const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, Number.POSITIVE_INFINITY];
  for (const [n, handler] of ['/', '/cart', '/checkout', '/search', '/login'].entries()) {
    const requests = counter(60 / (n + 1), n, Number.POSITIVE_INFINITY);
    for (const bound of bounds) {
      const share = 1 - Math.exp(-bound * (12 - 2 * n));
      const le = bound === Number.POSITIVE_INFINITY ? '+Inf' : bound;
      add('http_request_duration_seconds_bucket', { handler, le }, (time) => Math.floor(share * requests(time)));
    }
  }
  return all;
}

/** Rises with a rate that swings about `rate` over some hours, and starts anew at `restart`. */
function counter(rate: number, shift: number, restart: number, round = (value: number) => value): Series['at'] {
  const turn = 3000 + 400 * shift;
  const total = (time: number) => rate * (time - 0.6 * turn * (Math.cos(time / turn + shift) - Math.cos(shift)));
  return (time) => round(time < restart ? total(time) : total(time) - total(restart));
}

function gauge(middle: number, swing: number, shift: number): Series['at'] {
  return (time) => Math.floor(middle + swing * Math.sin(time / (900 + 50 * shift) + shift) + (time % 97) * (swing / 1000));
}
