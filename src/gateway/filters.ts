/** Answers that are looked at before they go on. Structure decides, never text. */
import { PromgateError } from '../errors.ts';
import type { Guard } from '../guard/decide.ts';
import type { Scope } from '../guard/scope.ts';
import type { Binding } from '../upstream/binding.ts';
import type { AskServer, Collected } from '../upstream/collect.ts';
import { isObject, parseJson } from '../upstream/json.ts';
import { confinedMetadata, targetsMetadataQuery, visibleNamesQuery } from './filter-metadata.ts';
import { filterAlerts, filterRules } from './filter-rules.ts';
import type { Question } from './question.ts';
import type { Endpoint } from './routes.ts';

interface Answer {
  readonly status: number;
  readonly contentType: string | null;
  readonly body: Buffer | string;
}

export interface FilterParts {
  readonly askServer: AskServer;
  readonly guard: Guard;
}

/** Asks the server what the answer needs and makes it. Rejects with `PromgateError`. */
export type Filter = (
  question: Question,
  binding: Binding,
  parameters: string,
  parts: FilterParts,
  signal: AbortSignal,
) => Promise<Answer>;

/** How the answer of an endpoint is looked at on this server; `null`: it is streamed as it is. */
export function filterFor(endpoint: Endpoint, { scope }: Binding): Filter | null {
  if (endpoint.filter === 'buildinfo') return buildinfo;
  if (endpoint.filter === 'format_query') return formatQuery;
  if (scope === null || endpoint.guarded !== 'answer') return null;
  if (endpoint.name === 'metadata') return metadataIn(scope);
  if (endpoint.name === 'rules') return structural(scope, filterRules);
  if (endpoint.name === 'alerts') return structural(scope, filterAlerts);
  throw new Error(`endpoint ${endpoint.name} has no filter`);
}

/**
 * The server's build information without `features`: Grafana takes a server that has any for Mimir and starts to
 * call APIs that Promgate does not open.
 */
const buildinfo: Filter = async (question, binding, parameters, { askServer }, signal) => {
  const answer = await askServer(binding, question.path, parameters, signal);
  const parsed = parseJson(answer.body);
  if (!isObject(parsed) || !isObject(parsed.data) || parsed.data.features === undefined) return asItIs(answer);
  const { features: _, ...data } = parsed.data;
  return { ...asItIs(answer), body: JSON.stringify({ ...parsed, data }) };
};

/**
 * `format_query` as the server answered it; where the server does not have the endpoint (before Prometheus 2.39,
 * VictoriaMetrics), Promgate's own printer answers in the same form.
 */
const formatQuery: Filter = async (question, binding, parameters, { askServer }, signal) => {
  try {
    const answer = await askServer(binding, question.path, parameters, signal);
    const parsed = parseJson(answer.body);
    if (isObject(parsed) && isFormatted(parsed)) return asItIs(answer);
  } catch (error) {
    if (!(error instanceof PromgateError && (error.code === 'not_found' || error.code === 'bad_data'))) throw error;
  }
  return formatHere(question.single.get('query') ?? '');
};

async function formatHere(query: string): Promise<Answer> {
  // Loaded only where it is used: most servers format for themselves.
  const [{ parse }, { pretty }] = await Promise.all([import('../promql/parse.ts'), import('../promql/pretty.ts')]);
  try {
    return json({ status: 'success', data: pretty(parse(query)) });
  } catch (error) {
    throw new PromgateError('bad_data', `invalid parameter "query": ${(error as Error).message}`, { cause: error });
  }
}

/** VictoriaMetrics answers unknown paths with an envelope too, but of its own kind. */
function isFormatted(parsed: Record<string, unknown>): boolean {
  return parsed.status === 'success' ? typeof parsed.data === 'string' : parsed.errorType === 'bad_data';
}

/** Pages of a filtered list would count, and link to, what is not shown. */
const PAGING = ['group_limit', 'group_next_token'] as const;

function structural(scope: Scope, filter: (body: unknown, scope: Scope) => object): Filter {
  return async (question, binding, parameters, { askServer }, signal) => {
    const shown = parameters.split('&').filter((pair) => !PAGING.some((name) => pair.startsWith(`${name}=`)));
    const answer = await askServer(binding, question.path, shown.join('&'), signal);
    const parsed = parseJson(answer.body);
    if (answer.head.status === 400 && isObject(parsed)) throw new PromgateError('bad_data', String(parsed.error));
    if (answer.head.status !== 200) throw cannotTell(binding, answer);
    return json(filter(parsed, scope));
  };
}

function metadataIn(scope: Scope): Filter {
  return async (question, binding, _parameters, { askServer, guard }, signal) => {
    const { confinesLabels, kind } = await guard.capabilities(binding);
    const source = {
      async visibleNames() {
        if (!confinesLabels) return [];
        const answer = await askServer(binding, '/api/v1/label/__name__/values', visibleNamesQuery(scope), signal);
        const parsed = parseJson(answer.body);
        if (answer.head.status !== 200 || !isObject(parsed) || !Array.isArray(parsed.data)) throw cannotTell(binding, answer);
        return parsed.data.map(String);
      },
      async targetsMetadata() {
        if (kind !== 'prometheus') return null;
        try {
          const answer = await askServer(binding, '/api/v1/targets/metadata', targetsMetadataQuery(scope), signal);
          if (answer.head.status !== 200) throw cannotTell(binding, answer);
          return parseJson(answer.body);
        } catch (error) {
          // Thanos looks like Prometheus and does not have it.
          if (error instanceof PromgateError && error.code === 'not_found') return null;
          throw error;
        }
      },
    };
    // What is fixed wins over the client's, here as at the server: it is not part of what tells questions apart.
    return json(await confinedMetadata(source, scope, new Map([...question.single, ...binding.fixedParams])));
  };
}

function cannotTell({ server }: Binding, { head }: Collected): PromgateError {
  return new PromgateError(
    'unavailable',
    `server ${JSON.stringify(server.name)} did not answer what confinement needs (status ${head.status})`,
  );
}

function asItIs({ head, body }: Collected): Answer {
  return { status: head.status, contentType: head.contentType, body };
}

function json(body: object): Answer {
  return { status: 200, contentType: 'application/json', body: JSON.stringify(body) };
}
