/**
 * What the gateway makes of a query, without asking it. The verdict is the corridor's own: the same `prepare`, the same
 * guard, the same memory of decisions. Here it is only looked over its shoulder.
 */
import { errorCatalogue, PromgateError } from '../errors.ts';
import { prepare, readNumbers, timesOf, variablesOf } from '../gateway/prepare.ts';
import type { Question } from '../gateway/question.ts';
import { findRoute } from '../gateway/routes.ts';
import { parseDuration, parseTime } from '../gateway/time.ts';
import type { Expr, Matcher } from '../promql/ast.ts';
import { check } from '../promql/check.ts';
import { depth } from '../promql/depth.ts';
import { PromqlError } from '../promql/error.ts';
import { typeName } from '../promql/functions.ts';
import { parse } from '../promql/parse.ts';
import { print } from '../promql/print.ts';
import type { Binding } from '../upstream/binding.ts';
import type { Capabilities } from './capabilities.ts';
import { selectorsOf } from './confine.ts';
import { type Decision, type Guard, read } from './decide.ts';
import { checkQueryBytes, type Limits, pointsOf, reachOf } from './limits.ts';
import { isPredefined, substitute } from './variables.ts';

/** A query and the times at which it would be asked, as the parameters of `query` and `query_range` have them. */
export interface Asked {
  readonly query: string;
  readonly time?: string | undefined;
  readonly start?: string | undefined;
  readonly end?: string | undefined;
  readonly step?: string | undefined;
  readonly variables: ReadonlyMap<string, string>;
}

/** Keys as they are written in JSON. */
export interface Explanation {
  /** Whether it is PromQL, types included, after substitution. */
  readonly valid: boolean;
  /** What it yields, in Prometheus' words; `null` where it is not valid. */
  readonly type: string | null;
  /** Where reading stopped, in the query after substitution. */
  readonly errors: readonly ExplainedError[];
  readonly variables: readonly ExplainedVariable[];
  readonly query: {
    readonly given: string;
    /** `null` where a variable cannot stand where it does. */
    readonly substituted: string | null;
    /** What would be sent in its place; `null`: it is not rewritten, or not sent. */
    readonly confined: string | null;
    /** What VictoriaMetrics itself confines it by, beside or instead of that; `null` where the server was not seen to do so. */
    readonly extra_filters: string | null;
  };
  /** Those of what would be sent. */
  readonly selectors: readonly ExplainedSelector[];
  readonly limits: readonly ExplainedLimit[];
  /** What the endpoint would answer without asking the query; `null`: it would ask it. */
  readonly refused: { readonly status: number; readonly errorType: string; readonly error: string } | null;
  /** Whose reading of the confined query was compared last; `null`: none was. */
  readonly verified: 'server' | 'local' | null;
  readonly verified_with: 'parse_query' | 'format_query' | null;
  readonly server: { readonly name: string; readonly kind: string | null } | null;
}

interface ExplainedError {
  readonly line: number;
  readonly column: number;
  /** Index in UTF-16 units. */
  readonly offset: number;
  readonly found?: string;
  readonly expected?: string;
  readonly message: string;
}

interface ExplainedVariable {
  readonly name: string;
  /** `null`: nobody has set it; it stays as it is written. */
  readonly value: string | null;
  readonly predefined: boolean;
}

interface ExplainedSelector {
  readonly text: string;
  /** `null` where it has no name outside the braces. */
  readonly name: string | null;
  readonly matchers: readonly Matcher[];
}

interface ExplainedLimit {
  readonly name: 'max_query_bytes' | 'max_depth' | 'max_range' | 'max_points';
  readonly unit: 'bytes' | 'levels' | 'seconds' | 'points';
  /** `null`: there is none. */
  readonly limit: number | null;
  /** `null`: all of time. */
  readonly asked: number | null;
  readonly ok: boolean;
}

/** What is wrong with the times, each with the parameter that it is about. */
export function askedProblems({
  time,
  start,
  end,
  step,
}: Omit<Asked, 'query' | 'variables'>): { name: string; problem: string }[] {
  const problems: { name: string; problem: string }[] = [];
  const times = { time, start, end };
  for (const [name, text] of Object.entries(times)) {
    if (text !== undefined && parseTime(text) === null) {
      problems.push({ name, problem: 'must be a Unix time in seconds or an RFC 3339 time' });
    }
  }
  if (step !== undefined && parseDuration(step) === null) {
    problems.push({ name: 'step', problem: 'must be seconds or a duration such as 1m' });
  }
  if (start !== undefined && end === undefined) problems.push({ name: 'end', problem: 'must be given together with start' });
  if (end !== undefined && start === undefined) problems.push({ name: 'start', problem: 'must be given together with end' });
  if (step !== undefined && start === undefined)
    problems.push({ name: 'step', problem: 'must be given together with start and end' });
  if (time !== undefined && start !== undefined) {
    problems.push({ name: 'time', problem: 'belongs to an instant query and cannot be given together with start' });
  }
  return problems;
}

/** The server that would be asked, on whose behalf, and the gateway's guard. */
export interface Place {
  readonly binding: Binding;
  readonly guard: Guard;
}

/**
 * Explains a query whose times `askedProblems` found in order. Without a place only the text is looked at, with the limits of
 * the instance. With one, a confined server may be asked how it reads the query, just as if it had come in. Never
 * evaluates it, and rejects only for mistakes of ours: whatever the endpoint would refuse is told in `refused`.
 */
export async function explainQuery(asked: Asked, instance: Limits, place: Place | null): Promise<Explanation> {
  const question = questionOf(asked);
  const numbers = readNumbers(question);
  const variables = new Map<string, ExplainedVariable>();
  const limits = place?.binding.limits ?? instance;
  const substituted = refusable(() =>
    substitute(
      asked.query,
      variablesOf(question, place?.binding.variables ?? new Map(), numbers),
      limits.maxQueryBytes,
      (name, value) => variables.set(name, { name, value: value ?? null, predefined: isPredefined(name) }),
    ),
  );
  const text = substituted instanceof PromgateError ? null : substituted;
  const reading = text === null ? unread : readWithin(text, limits);
  const { decision, refused } = place === null ? { decision: null, refused: null } : await judge(question, place);
  const verifiedBy = decision?.verifiedBy ?? null;
  const seen = place === null ? null : await capabilitiesSeen(place, decision);
  const kind = place?.binding.server.kind ?? seen?.kind ?? 'unknown';
  return {
    valid: reading.type !== null,
    type: reading.type,
    errors: reading.errors,
    variables: [...variables.values()],
    query: {
      given: asked.query,
      substituted: text,
      confined: verifiedBy === null ? null : (decision?.text ?? null),
      extra_filters: seen?.confinesItself ? (place?.binding.fixedParams.get('extra_filters[]') ?? null) : null,
    },
    selectors: selectorsSent(reading.expr, decision, place),
    limits: limitsMet(text, reading.expr, numbers, limits),
    refused,
    verified: verifiedBy === null || verifiedBy === 'local' ? verifiedBy : 'server',
    verified_with: verifiedBy === 'local' ? null : verifiedBy,
    server: place === null ? null : { name: place.binding.server.name, kind: kind === 'unknown' ? null : kind },
  };
}

function questionOf({ query, variables, ...times }: Asked): Question {
  const route = findRoute(times.start === undefined ? '/api/v1/query' : '/api/v1/query_range');
  if (route === null) throw new Error('an endpoint for queries is missing');
  const single = new Map([['query', query]]);
  for (const [name, value] of Object.entries(times)) if (value !== undefined) single.set(name, value);
  return { endpoint: route.endpoint, path: route.upstreamPath, single, repeated: new Map(), variables };
}

interface Reading {
  readonly expr: Expr | null;
  readonly type: string | null;
  readonly errors: readonly ExplainedError[];
}

const unread: Reading = { expr: null, type: null, errors: [] };

/** What is longer than the limit is not read at all. */
function readWithin(text: string, limits: Limits): Reading {
  const tooLong = refusable(() => checkQueryBytes(text, [], limits));
  if (tooLong instanceof PromgateError) {
    return { ...unread, errors: [{ line: 1, column: 1, offset: 0, message: tooLong.message }] };
  }
  try {
    const expr = read(text, 'query');
    return { expr, type: typeName(check(expr, text)), errors: [] };
  } catch (error) {
    if (!(error instanceof PromqlError)) throw error;
    const { line, column, offset, found, expected, message } = error;
    const detail = { ...(found === undefined ? {} : { found }), ...(expected === undefined ? {} : { expected }) };
    return { ...unread, errors: [{ line, column, offset, ...detail, message }] };
  }
}

/** Lets the corridor prepare the question, and keeps what the guard decided on the way. */
async function judge(
  question: Question,
  { binding, guard }: Place,
): Promise<{ decision: Decision | null; refused: Explanation['refused'] }> {
  const decided: Decision[] = [];
  const watched: Guard = {
    ...guard,
    async decide(...asked) {
      const decision = await guard.decide(...asked);
      decided.push(decision);
      return decision;
    },
  };
  let refused: Explanation['refused'] = null;
  try {
    await prepare(question, binding, watched);
  } catch (error) {
    if (!(error instanceof PromgateError)) throw error;
    refused = { status: error.status, errorType: errorCatalogue[error.code].errorType, error: error.message };
  }
  return { decision: decided[0] ?? null, refused };
}

/** What the guard learnt of the server for its decision; `null` where it did not have to know. It is not asked for this alone. */
async function capabilitiesSeen({ binding, guard }: Place, decision: Decision | null): Promise<Capabilities | null> {
  const { server, scope } = binding;
  const needed = scope !== null && decision !== null && (server.verify === 'server' || decision.expr === null);
  return needed ? await guard.capabilities(binding) : null;
}

function selectorsSent(expr: Expr | null, decision: Decision | null, place: Place | null): ExplainedSelector[] {
  let sent = expr;
  if (place !== null && place.binding.scope !== null) {
    sent = decision === null || decision.verifiedBy === null ? null : parse(decision.text);
  }
  if (sent === null) return [];
  return selectorsOf(sent).map((selector) => ({
    text: print(selector),
    name: selector.name === '' ? null : selector.name,
    matchers: selector.matchers,
  }));
}

function limitsMet(
  text: string | null,
  expr: Expr | null,
  numbers: ReturnType<typeof readNumbers>,
  limits: Limits,
): ExplainedLimit[] {
  const met: ExplainedLimit[] = [];
  const add = (name: ExplainedLimit['name'], unit: ExplainedLimit['unit'], limit: number | null, asked: number): void => {
    met.push({ name, unit, limit, asked: Number.isFinite(asked) ? asked : null, ok: limit === null || asked <= limit });
  };
  if (text !== null) add('max_query_bytes', 'bytes', limits.maxQueryBytes, Buffer.byteLength(text));
  if (expr !== null) add('max_depth', 'levels', limits.maxDepth, depth(expr));
  const times = timesOf(numbers);
  const span = (expr === null ? null : reachOf(expr, times)) ?? Math.max(0, times.end - times.start);
  add('max_range', 'seconds', limits.maxRange === 0 ? null : limits.maxRange / 1000, Math.round(span) / 1000);
  const points = pointsOf(times.start, times.end, numbers.step);
  if (points !== null) add('max_points', 'points', limits.maxPoints, points);
  return met;
}

/** The value, or the refusal that took its place. */
function refusable<T>(work: () => T): T | PromgateError {
  try {
    return work();
  } catch (error) {
    if (error instanceof PromgateError) return error;
    throw error;
  }
}
