/**
 * HTTP request → one typed question. After this there is no request object: what goes on is a plain value that holds
 * exactly the parameters which the endpoint's row in `routes.ts` names, and the upstream request is built from it alone.
 */
import { PromgateError } from '../errors.ts';
import type { Pair } from './form.ts';
import type { Endpoint } from './routes.ts';

export interface Question {
  readonly endpoint: Endpoint;
  /** The path to ask the server for, below its URL. */
  readonly path: string;
  /** Single-valued parameters that were given and are not empty. */
  readonly single: ReadonlyMap<string, string>;
  /** Repeatable parameters that were given, in order. */
  readonly repeated: ReadonlyMap<string, readonly string[]>;
  /** `variables[key]=value` (contract §7). */
  readonly variables: ReadonlyMap<string, string>;
}

/** GitLab's names, accepted where the endpoint has the parameter. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['start_time', 'start'],
  ['end_time', 'end'],
]);
const VARIABLE = /^variables\[([^[\]]+)\]$/;

/**
 * Sorts decoded pairs into a question. Prometheus' own precedence: for single values the body wins over the URL,
 * repeatable ones are concatenated, the body's first (Go's `Request.Form`).
 * Throws `bad_data` when one source gives a single-valued parameter different values, or for `variables` without a key.
 */
export function buildQuestion(endpoint: Endpoint, path: string, url: readonly Pair[], body: readonly Pair[]): Question {
  const single = new Map<string, string>();
  const repeated = new Map<string, string[]>();
  const variables = new Map<string, string>();
  const hasVariables = endpoint.single.includes('query') || endpoint.repeated.includes('match[]');
  for (const source of [url, body]) {
    if (source.length === 0) continue;
    const seen = new Map<string, string>();
    for (const [given, value] of source) {
      const name = aliases.get(given) ?? given;
      if (endpoint.single.includes(name)) {
        once(seen, name, value);
        if (value === '') single.delete(name);
        else single.set(name, value);
      } else if (hasVariables && given.startsWith('variables')) {
        const key = variableKey(given);
        if (key === null) continue;
        once(seen, given, value);
        variables.set(key, value);
      }
    }
  }
  for (const source of [body, url]) {
    for (const [name, value] of source) {
      if (!endpoint.repeated.includes(name)) continue;
      const values = repeated.get(name);
      if (values === undefined) repeated.set(name, [value]);
      else values.push(value);
    }
  }
  return { endpoint, path, single, repeated, variables };
}

function once(seen: Map<string, string>, name: string, value: string): void {
  const before = seen.get(name);
  if (before !== undefined && before !== value) {
    throw new PromgateError('bad_data', `parameter ${JSON.stringify(name)} is given more than once, with different values`);
  }
  seen.set(name, value);
}

function variableKey(name: string): string | null {
  const key = VARIABLE.exec(name)?.[1];
  if (key !== undefined) return key;
  if (name === 'variables' || name.startsWith('variables[')) {
    throw new PromgateError('bad_data', 'parameter "variables" must be given as variables[key]=value');
  }
  return null;
}

/** The parameters as one canonical urlencoded text, in the order of the endpoint's row. */
export function encodeQuestion(question: Question): string {
  let text = '';
  for (const name of question.endpoint.single) {
    const value = question.single.get(name);
    if (value !== undefined) text += `${text === '' ? '' : '&'}${name}=${encodeURIComponent(value)}`;
  }
  for (const name of question.endpoint.repeated) {
    for (const value of question.repeated.get(name) ?? []) {
      text += `${text === '' ? '' : '&'}${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
    }
  }
  return text;
}
