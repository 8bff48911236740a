/**
 * A question → what is asked of the server: variables substituted, times read, limits held, queries decided by the guard,
 * the timeout set. Substitution comes before everything else.
 */
import { PromgateError } from '../errors.ts';
import { scopeSelector } from '../guard/confine.ts';
import type { Decision, Guard } from '../guard/decide.ts';
import {
  checkDepth,
  checkNesting,
  checkQueryBytes,
  checkRange,
  checkReach,
  checkSubqueries,
  type Limits,
  type ReachTimes,
} from '../guard/limits.ts';
import { rangeVariable, substitute, type Variables } from '../guard/variables.ts';
import type { Expr } from '../promql/ast.ts';
import { PromqlError } from '../promql/error.ts';
import { parse } from '../promql/parse.ts';
import { print } from '../promql/print.ts';
import type { Binding } from '../upstream/binding.ts';
import type { Question } from './question.ts';
import { parseDuration, parseTime } from './time.ts';

const TIMES = ['time', 'start', 'end'] as const;
/** Each that is new costs a shared server a question. Grafana sends one. */
const MAX_SELECTORS = 64;
const DURATIONS = ['step', 'timeout', 'lookback_delta'] as const;

/** What may be asked, and in what words. */
export interface Prepared {
  /** The canonical urlencoded parameters to send, in the order of the endpoint's row, but for those that are fixed. */
  readonly parameters: string;
  readonly numbers: Numbers;
  /** The query as we read it; `null`: there is none, or only the server can read it. */
  readonly expr: Expr | null;
}

/**
 * Changes the question's own values to what is sent. At once, or later where the guard has to ask the server. Throws or
 * rejects with `bad_data` for times and durations that Prometheus could not read, `limit` where a limit is exceeded, and
 * with what the guard refuses.
 */
export function prepare(question: Question, binding: Binding, guard: Guard): Prepared | Promise<Prepared> {
  const { endpoint, single, repeated } = question;
  const { limits, scope } = binding;
  const numbers = readNumbers(question);
  checkQueryBytes(single.get('query') ?? '', repeated.get('match[]') ?? [], limits);
  if (substituteAll(question, binding, numbers)) {
    checkQueryBytes(single.get('query') ?? '', repeated.get('match[]') ?? [], limits);
  }
  const { start, end, step } = numbers;
  if (start !== undefined) checkRange(start, end ?? Date.now(), step, limits);
  if (endpoint.single.includes('timeout')) single.set('timeout', String(effectiveTimeout(numbers.timeout, limits) / 1000));

  const query = single.get('query');
  if (endpoint.guarded === 'query' && query !== undefined && query !== '') {
    const decision = guard.decide(binding, query, 'query');
    const decided = (decision: Decision): Prepared => {
      single.set('query', decision.text);
      if (decision.expr !== null) checkContent(decision.expr, numbers, limits);
      return { parameters: encode(question, binding.fixedParams), numbers, expr: decision.expr };
    };
    return decision instanceof Promise ? decision.then(decided) : decided(decision);
  }
  if (endpoint.guarded === 'nothing' && query !== undefined) checkOnlyDepth(query, limits);
  const prepared = (): Prepared => ({ parameters: encode(question, binding.fixedParams), numbers, expr: null });
  if (endpoint.guarded === 'match' && scope !== null) return prepareSelectors(question, binding, guard).then(prepared);
  return prepared();
}

/**
 * `format_query` and `parse_query` evaluate nothing, but the time and memory that a server takes to print a query grow with the
 * square and cube of its nesting.
 */
function checkOnlyDepth(query: string, limits: Limits): void {
  try {
    checkDepth(parse(query), limits);
  } catch (error) {
    if (!(error instanceof PromqlError)) throw error;
    checkNesting(error, limits);
  }
}

/** On a confined server every `match[]` is confined, and where there is none, everything in scope is asked for. */
async function prepareSelectors(question: Question, binding: Binding, guard: Guard): Promise<void> {
  const { endpoint, repeated } = question;
  const { scope, server } = binding;
  if (scope === null) throw new Error('nothing to confine');
  if (!(await guard.capabilities(binding)).confinesLabels) {
    throw new PromgateError(
      'unavailable',
      `server ${JSON.stringify(server.name)} does not hold to match[] on its label endpoints: they cannot be confined`,
    );
  }
  const given = repeated.get('match[]') ?? [];
  if (given.length === 0 && endpoint.name === 'series') {
    throw new PromgateError('bad_data', 'no match[] parameter provided');
  }
  if (given.length > MAX_SELECTORS) {
    throw new PromgateError(
      'limit',
      `limit of match[] exceeded: ${given.length} are given, at most ${MAX_SELECTORS} are allowed on this server`,
    );
  }
  const texts: string[] = [];
  // One after the other: each new one asks the server.
  for (const selector of given) texts.push((await guard.decide(binding, selector, 'selector')).text);
  repeated.set('match[]', texts.length === 0 ? [print(scopeSelector(scope))] : texts);
}

/** The parameters of the same range query for another stretch of time, in whole Unix milliseconds. */
export function between(question: Question, binding: Binding, start: number, end: number): string {
  const single = new Map(question.single).set('start', String(start / 1000)).set('end', String(end / 1000));
  return encode({ ...question, single }, binding.fixedParams);
}

function checkContent(expr: Expr, numbers: Numbers, limits: Limits): void {
  checkDepth(expr, limits);
  const times = timesOf(numbers);
  checkSubqueries(expr, times);
  if (limits.maxRange > 0) checkReach(expr, times, limits);
}

/** The times at which a query is evaluated; without any, now. */
export function timesOf(numbers: Numbers): ReachTimes {
  const time = numbers.time ?? Date.now();
  const times = { start: numbers.start ?? time, end: numbers.end ?? time, step: numbers.step ?? 0 };
  return numbers.lookback_delta === undefined ? times : { ...times, lookbackDelta: numbers.lookback_delta };
}

/** The values of the variables in a question, with the predefined ones of what it is asked for. */
export function variablesOf({ variables }: Question, predefined: Variables['predefined'], { start, end }: Numbers): Variables {
  return { predefined, own: variables, range: start === undefined || end === undefined ? null : rangeVariable(start, end) };
}

/** Returns whether anything was there to substitute. */
function substituteAll(question: Question, binding: Binding, numbers: Numbers): boolean {
  const { single, repeated } = question;
  const query = single.get('query');
  const selectors = repeated.get('match[]');
  if (query?.includes('{{') !== true && selectors?.some((selector) => selector.includes('{{')) !== true) return false;
  const values = variablesOf(question, binding.variables, numbers);
  let left = binding.limits.maxQueryBytes;
  const replace = (text: string): string => {
    const replaced = substitute(text, values, left);
    left -= replaced.length;
    return replaced;
  };
  if (query !== undefined) single.set('query', replace(query));
  if (selectors !== undefined) repeated.set('match[]', selectors.map(replace));
  return true;
}

function effectiveTimeout(asked: number | undefined, limits: Limits): number {
  return asked === undefined || asked <= 0 ? limits.timeout : Math.min(asked, limits.timeout);
}

export type Numbers = Partial<Record<(typeof TIMES)[number] | (typeof DURATIONS)[number], number>>;

/** Milliseconds of all times and durations. The error texts are like Prometheus' own. */
export function readNumbers({ single }: Question): Numbers {
  const numbers: Numbers = {};
  for (const name of TIMES) {
    const text = single.get(name);
    if (text === undefined || text === '') continue;
    const value = parseTime(text);
    if (value === null) throw malformed(name, text, 'timestamp');
    numbers[name] = value;
  }
  for (const name of DURATIONS) {
    const text = single.get(name);
    if (text === undefined || text === '') continue;
    const value = parseDuration(text);
    if (value === null) throw malformed(name, text, 'duration');
    numbers[name] = value;
  }
  return numbers;
}

function malformed(name: string, text: string, what: string): PromgateError {
  return new PromgateError(
    'bad_data',
    `invalid parameter "${name}": cannot parse ${JSON.stringify(text.slice(0, 100))} to a valid ${what}`,
  );
}

function encode({ endpoint, single, repeated }: Question, fixed: ReadonlyMap<string, string>): string {
  let text = '';
  const add = (name: string, value: string) => {
    text += `${text === '' ? '' : '&'}${name}=${encodeURIComponent(value)}`;
  };
  for (const name of endpoint.single) {
    const value = single.get(name) ?? '';
    if (value !== '' && !fixed.has(name)) add(name, value);
  }
  for (const name of endpoint.repeated) {
    const values = repeated.get(name);
    if (values !== undefined) for (const value of values) add(encodeURIComponent(name), value);
  }
  return text;
}
