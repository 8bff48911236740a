/** Looking at a server from outside: can it be reached, what is it, does its clock agree with ours. */
import type { Pool } from 'undici';
import type { ServerKind } from '../directory/model.ts';
import type { Binding } from './binding.ts';
import { askWhole } from './collect.ts';

export interface Probe {
  readonly kind: ServerKind | 'unknown';
  /** As the server says; VictoriaMetrics tells none, or that of the Prometheus it stands in for. */
  readonly version: string | null;
  /** Seconds that the server's clock is ahead of ours (negative: behind), give or take half of `seconds`. */
  readonly clockAhead: number;
  /** Seconds that a trivial query took. */
  readonly seconds: number;
}

/** Asks `query=time()` and the build information. Rejects with a `PromgateError` where the server cannot be used. */
export async function probe(pool: Pool, binding: Binding): Promise<Probe> {
  const before = Date.now();
  const clock = await get(pool, binding, '/api/v1/query', 'query=time()');
  const seconds = (Date.now() - before) / 1000;
  const now = timeOf(clock.data);
  const build = await get(pool, binding, '/api/v1/status/buildinfo', '').then(
    ({ data }) => (data ?? {}) as Record<string, unknown>,
    () => null,
  );
  return {
    kind: kindOf(build),
    version: typeof build?.version === 'string' ? build.version : null,
    clockAhead: now - (before / 1000 + seconds / 2),
    seconds,
  };
}

/** A scalar as Prometheus answers `time()`, or a vector of one element as VictoriaMetrics does; `NaN` for anything else. */
function timeOf(data: unknown): number {
  const [first, second] = (data as { result?: unknown[] } | undefined)?.result ?? [];
  return Number(second ?? (first as { value?: unknown[] } | undefined)?.value?.[1]);
}

/** Prometheus and Thanos tell what they were built with, Mimir its name, VictoriaMetrics at most a version. */
function kindOf(build: Record<string, unknown> | null): Probe['kind'] {
  if (build === null) return 'unknown';
  if (typeof build.application === 'string' && build.application.includes('Mimir')) return 'mimir';
  return build.goVersion === undefined ? 'victoriametrics' : 'prometheus';
}

async function get(pool: Pool, binding: Binding, path: string, query: string): Promise<{ data?: unknown }> {
  const fixed = [...binding.fixedParams].map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  const parameters = [query, ...fixed].filter((text) => text !== '').join('&');
  const request = {
    method: 'GET' as const,
    path: `${binding.basePath}${path}${parameters === '' ? '' : `?${parameters}`}`,
    headers: binding.headers,
    body: null,
    gzip: false,
    text: false,
    timeout: binding.limits.timeout,
    maxResponse: 1024 * 1024,
  };
  const { head, body } = await askWhole(pool, binding.server, request, () => undefined);
  if (head.status !== 200) throw new Error(`server ${JSON.stringify(binding.server.name)} answered ${head.status} to ${path}`);
  return JSON.parse(body.toString('utf8')) as { data?: unknown };
}
