/** Looking at a server from outside: can it be reached, what is it, does its clock agree with ours. */
import type { ServerKind } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import type { Binding } from './binding.ts';
import type { AskServer } from './collect.ts';
import type { Head } from './head.ts';
import { isObject, parseJson } from './json.ts';

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
export async function probe(ask: AskServer, binding: Binding): Promise<Probe> {
  const before = Date.now();
  const { head } = await get(ask, binding, '/api/v1/query', 'query=1');
  const seconds = (Date.now() - before) / 1000;
  const build = await get(ask, binding, '/api/v1/status/buildinfo', '').then(
    ({ data }) => data,
    () => null,
  );
  return {
    kind: kindOf(build),
    version: isObject(build) && typeof build.version === 'string' ? build.version : null,
    // The header has whole seconds, cut off: half a second more is right on average.
    clockAhead: (Date.parse(head.date ?? '') + 500 - before) / 1000 - seconds / 2,
    seconds,
  };
}

/** Prometheus and Thanos tell what they were built with, Mimir its name, VictoriaMetrics at most a version. */
export function kindOf(build: unknown): Probe['kind'] {
  if (!isObject(build)) return 'unknown';
  if (typeof build.application === 'string' && build.application.includes('Mimir')) return 'mimir';
  return build.goVersion === undefined ? 'victoriametrics' : 'prometheus';
}

async function get(ask: AskServer, binding: Binding, path: string, parameters: string): Promise<{ head: Head; data: unknown }> {
  const { head, body } = await ask(binding, path, parameters);
  const answer = parseJson(body);
  if (head.status === 200 && isObject(answer)) return { head, data: answer.data };
  throw new PromgateError('unavailable', `server ${JSON.stringify(binding.server.name)} answered ${head.status} to ${path}`);
}
