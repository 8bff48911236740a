/** What a shared server can do that confinement rests on; asked of the server itself, once. */
import type { ServerKind } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import type { Binding } from '../upstream/binding.ts';
import type { AskServer } from '../upstream/collect.ts';
import { isObject, parseJson } from '../upstream/json.ts';
import { kindOf } from '../upstream/probe.ts';
import { readingOfTree } from './verify.ts';

export interface Capabilities {
  /** As declared, else as the server looks. */
  readonly kind: ServerKind | 'unknown';
  /** How it can tell how it reads a query; `null`: it cannot. */
  readonly reading: 'parse_query' | 'format_query' | null;
  /** Whether the label endpoints hold to `match[]`. Old servers, and VictoriaMetrics on request, pass over it. */
  readonly confinesLabels: boolean;
  /** Whether it confines by `extra_filters[]` whatever it is asked, so that it may be asked what only it can read. */
  readonly confinesItself: boolean;
}

/** A label that no series has: what matches it is nothing. */
const NOTHING = '{__promgate_none__="none"}';

export async function discover(ask: AskServer, binding: Binding): Promise<Capabilities> {
  const kind = binding.server.kind ?? kindOf(await dataOf(ask, binding, '/api/v1/status/buildinfo', ''));
  return {
    kind,
    reading: await readingOf(ask, binding),
    confinesLabels: await confinesLabels(ask, binding),
    confinesItself: kind === 'victoriametrics' && (await confinesItself(ask, binding)),
  };
}

async function readingOf(ask: AskServer, binding: Binding): Promise<Capabilities['reading']> {
  if (readingOfTree(await dataOf(ask, binding, '/api/v1/parse_query', 'query=up')) !== null) return 'parse_query';
  return (await dataOf(ask, binding, '/api/v1/format_query', 'query=up')) === 'up' ? 'format_query' : null;
}

/** Asks for the labels and names of nothing, over all time. Whoever answers with something does not hold to `match[]`. */
async function confinesLabels(ask: AskServer, binding: Binding): Promise<boolean> {
  const nothing = encodeURIComponent(NOTHING);
  const parameters = `start=0&end=${Math.ceil(Date.now() / 1000)}&match%5B%5D=${nothing}&extra_filters%5B%5D=${nothing}`;
  for (const path of ['/api/v1/labels', '/api/v1/label/__name__/values']) {
    const data = await dataOf(ask, binding, path, parameters);
    // VictoriaMetrics counts `__name__` among the labels even of nothing.
    if (!Array.isArray(data) || data.some((item) => item !== '__name__')) return false;
  }
  return true;
}

/**
 * A server that confines by `extra_filters[]` reads them, so it takes a good one and refuses what is none. Prometheus passes
 * over both, and may be declared, or by its build information look, as if it were VictoriaMetrics.
 */
async function confinesItself(ask: AskServer, binding: Binding): Promise<boolean> {
  const statusWith = async (filter: string): Promise<number> => {
    const { head } = await ask(binding, '/api/v1/query', `query=1&extra_filters%5B%5D=${encodeURIComponent(filter)}`);
    return head.status;
  };
  if ((await statusWith(NOTHING)) !== 200) return false;
  return await statusWith('{').then(
    (status) => status === 400 || status === 422,
    (error) => error instanceof PromgateError && error.code === 'bad_data',
  );
}

/** `data` of a good answer, `null` for a refusal. Rejects where the server cannot be asked at all. */
async function dataOf(ask: AskServer, binding: Binding, path: string, parameters: string): Promise<unknown> {
  try {
    const { head, body } = await ask(binding, path, parameters);
    const answer = parseJson(body);
    return head.status === 200 && isObject(answer) ? (answer.data ?? null) : null;
  } catch (error) {
    if (error instanceof PromgateError && (error.code === 'not_found' || error.code === 'bad_data')) return null;
    throw error;
  }
}
