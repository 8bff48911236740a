/**
 * What a shared server can do that confinement rests on. Asked of the server itself, and believed only where it is shown:
 * a server that looks like VictoriaMetrics, or is declared as one, need not be one.
 */
import type { ServerKind } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import { type Binding, encodeFixed } from '../upstream/binding.ts';
import type { AskServer } from '../upstream/collect.ts';
import { isObject, parseJson } from '../upstream/json.ts';
import { kindOf } from '../upstream/probe.ts';
import { readingOfTree } from './verify.ts';

export interface Capabilities {
  /** As declared, else as the server looks. */
  readonly kind: ServerKind | 'unknown';
  /** How it can tell how it reads a query; `null`: it cannot. */
  readonly reading: 'parse_query' | 'format_query' | null;
  /** Whether the label endpoints hold to `match[]`. Old servers pass over it. Never true where it could not be shown. */
  readonly confinesLabels: boolean;
  /** Whether it confines by `extra_filters[]` whatever it is asked, so that it may be asked what only it can read. */
  readonly confinesItself: boolean;
  /** Whether there was data to show all this with. A server that has none yet is asked anew. */
  readonly shown: boolean;
}

/** A label that no series has: what matches it is nothing. */
const NOTHING = encodeURIComponent('{__promgate_none__="none"}');

/** Rejects where the server cannot be asked, or fails: what it can do must not be guessed from that. */
export async function discover(ask: AskServer, confined: Binding): Promise<Capabilities> {
  const binding = withoutNativeFilter(confined);
  const get: Get = (path, parameters) => dataOf(ask, binding, `/api/v1/${path}`, parameters);
  const kind = binding.server.kind ?? kindOf(await get('status/buildinfo', ''));
  const always = `start=0&end=${Math.ceil(Date.now() / 1000)}`;
  const byMatch = `${always}&match%5B%5D=${NOTHING}`;
  const names = await get('label/__name__/values', `${always}&limit=1`);
  // Every server has this one. Whoever answers it with a refusal is not, or not now, the server that is meant.
  if (!Array.isArray(names)) throw serverFailed(binding, 404);
  const shown = names.length > 0;
  const confinesLabels =
    shown && isNothing(await get('label/__name__/values', byMatch)) && isNothing(await get('labels', byMatch));
  return {
    kind,
    reading: await readingOf(get),
    confinesLabels,
    confinesItself: kind === 'victoriametrics' && (await confinesItself(ask, binding)),
    shown,
  };
}

/** Several `extra_filters[]` are ORed: beside the scope's own, another one would show nothing. */
function withoutNativeFilter(binding: Binding): Binding {
  const fixedParams = new Map(binding.fixedParams);
  fixedParams.delete('extra_filters[]');
  return { ...binding, fixedParams, fixedText: encodeFixed(fixedParams) };
}

/**
 * A server that confines by `extra_filters[]` reads them, so it takes a good one and refuses what is none. Prometheus passes
 * over both, and may be declared, or by its build information look, as if it were VictoriaMetrics.
 */
async function confinesItself(ask: AskServer, binding: Binding): Promise<boolean> {
  const statusWith = async (filter: string): Promise<number> => {
    const { head } = await ask(binding, '/api/v1/query', `query=1&extra_filters%5B%5D=${filter}`);
    return head.status;
  };
  if ((await statusWith(NOTHING)) !== 200) return false;
  return await statusWith('%7B').then(
    (status) => status === 400 || status === 422,
    (error) => error instanceof PromgateError && error.code === 'bad_data',
  );
}

type Get = (path: string, parameters: string) => Promise<unknown>;

async function readingOf(get: Get): Promise<Capabilities['reading']> {
  if (readingOfTree(await get('parse_query', 'query=up')) !== null) return 'parse_query';
  return (await get('format_query', 'query=up')) === 'up' ? 'format_query' : null;
}

/** VictoriaMetrics counts `__name__` among the labels even of nothing. */
function isNothing(data: unknown): boolean {
  return Array.isArray(data) && data.every((item) => item === '__name__');
}

/** `data` of a good answer; `null` where the server does not have the endpoint or cannot read the question. */
async function dataOf(ask: AskServer, binding: Binding, path: string, parameters: string): Promise<unknown> {
  try {
    const { head, body } = await ask(binding, path, parameters);
    const answer = parseJson(body);
    if (head.status === 200 && isObject(answer)) return answer.data ?? null;
    if ([400, 404, 405, 422, 501].includes(head.status)) return null;
    throw serverFailed(binding, head.status);
  } catch (error) {
    if (error instanceof PromgateError && (error.code === 'not_found' || error.code === 'bad_data')) return null;
    throw error;
  }
}

/** The server answered a question of ours with a failure of its own. */
export function serverFailed({ server }: Binding, status: number): PromgateError {
  return new PromgateError(
    'unavailable',
    `server ${JSON.stringify(server.name)} failed while the query was being checked (status ${status})`,
  );
}
