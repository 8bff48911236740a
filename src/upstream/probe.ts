/** Looking at a server from outside: can it be reached, what is it, does its clock agree with ours. */
import type { Pool } from 'undici';
import type { ServerKind } from '../directory/model.ts';
import type { Binding } from './binding.ts';
import { askWhole } from './collect.ts';
import type { Head } from './head.ts';

export interface Probe {
  readonly kind: ServerKind | 'unknown';
  /** As the server says; VictoriaMetrics tells none, or that of the Prometheus it stands in for. */
  readonly version: string | null;
  /** Seconds that the server's clock is ahead of ours (negative: behind), give or take one; NaN where it does not tell. */
  readonly clockAhead: number;
  /** Seconds that a trivial query took. */
  readonly seconds: number;
}

/** Asks a trivial query and the build information. Rejects with a `PromgateError` where the server cannot be used. */
export async function probe(pool: Pool, binding: Binding): Promise<Probe> {
  const before = Date.now();
  const { head } = await get(pool, binding, '/api/v1/query', 'query=1');
  const seconds = (Date.now() - before) / 1000;
  const build = await get(pool, binding, '/api/v1/status/buildinfo', '').then(
    ({ data }) => (data ?? {}) as Record<string, unknown>,
    () => null,
  );
  return {
    kind: kindOf(build),
    version: typeof build?.version === 'string' ? build.version : null,
    // The header has whole seconds, cut off: half a second more is right on average.
    clockAhead: (Date.parse(head.date ?? '') + 500 - before) / 1000 - seconds / 2,
    seconds,
  };
}

/** Prometheus and Thanos tell what they were built with, Mimir its name, VictoriaMetrics at most a version. */
function kindOf(build: Record<string, unknown> | null): Probe['kind'] {
  if (build === null) return 'unknown';
  if (typeof build.application === 'string' && build.application.includes('Mimir')) return 'mimir';
  return build.goVersion === undefined ? 'victoriametrics' : 'prometheus';
}

async function get(pool: Pool, binding: Binding, path: string, query: string): Promise<{ head: Head; data: unknown }> {
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
  return { head, data: (JSON.parse(body.toString('utf8')) as { data?: unknown }).data };
}
