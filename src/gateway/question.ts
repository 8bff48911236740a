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
  /** Single-valued parameters by name. Empty ones count as not given, as for Prometheus. */
  readonly single: Map<string, string>;
  /** Repeatable parameters that were given, in order. */
  readonly repeated: Map<string, string[]>;
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
  const { single, variables } = readSingle(endpoint, url);
  if (body.length > 0) {
    const winning = readSingle(endpoint, body);
    for (const [name, value] of winning.single) single.set(name, value);
    for (const [name, value] of winning.variables) variables.set(name, value);
  }
  const repeated = new Map<string, string[]>();
  if (endpoint.repeated.length > 0) {
    addRepeated(endpoint, body, repeated);
    addRepeated(endpoint, url, repeated);
  }
  return { endpoint, path, single, repeated, variables };
}

function readSingle(endpoint: Endpoint, pairs: readonly Pair[]): { single: Map<string, string>; variables: Map<string, string> } {
  const single = new Map<string, string>();
  const variables = new Map<string, string>();
  const hasVariables = endpoint.single.includes('query') || endpoint.repeated.includes('match[]');
  for (const [given, value] of pairs) {
    requireText(given, value);
    const name = aliases.get(given) ?? given;
    if (endpoint.single.includes(name)) setOnce(single, name, name, value);
    else if (hasVariables && given.startsWith('variables')) {
      const key = variableKey(given);
      if (key !== null) setOnce(variables, key, given, value);
    }
  }
  return { single, variables };
}

/** A multipart body may bring half a surrogate pair, which cannot be sent on. */
function requireText(name: string, value: string): void {
  if (value.isWellFormed() && name.isWellFormed()) return;
  throw new PromgateError('bad_data', `parameter ${JSON.stringify(name)} is not valid Unicode text`);
}

function setOnce(values: Map<string, string>, name: string, given: string, value: string): void {
  const before = values.get(name);
  if (before !== undefined && before !== value) {
    throw new PromgateError('bad_data', `parameter ${JSON.stringify(given)} is given more than once, with different values`);
  }
  values.set(name, value);
}

function variableKey(name: string): string | null {
  const key = VARIABLE.exec(name)?.[1];
  if (key !== undefined) return key;
  if (name === 'variables' || name.startsWith('variables[')) {
    throw new PromgateError('bad_data', 'parameter "variables" must be given as variables[key]=value');
  }
  return null;
}

function addRepeated(endpoint: Endpoint, pairs: readonly Pair[], repeated: Map<string, string[]>): void {
  for (const [name, value] of pairs) {
    if (!endpoint.repeated.includes(name)) continue;
    const values = repeated.get(name);
    if (values === undefined) repeated.set(name, [value]);
    else values.push(value);
  }
}
