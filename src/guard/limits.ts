/** Limits on what may be asked. Each refusal names the limit, its value and what was asked. */
import { PromgateError } from '../errors.ts';
import type { Expr } from '../promql/ast.ts';
import { depth } from '../promql/depth.ts';
import type { PromqlError } from '../promql/error.ts';
import { formatDuration } from '../promql/format.ts';
import { extent, type RequestTimes, timing } from '../promql/timing.ts';
import { children } from '../promql/walk.ts';

/** The limits that hold for one endpoint: the instance's, overridden by the server's. */
export interface Limits {
  /** Milliseconds from the question's arrival to the last byte of its answer. */
  readonly timeout: number;
  /** Milliseconds from the earliest to the latest moment that a question touches; 0: unlimited. */
  readonly maxRange: number;
  /** Steps of a range query. */
  readonly maxPoints: number;
  /** Levels of nesting, as `promql/depth.ts` counts them. */
  readonly maxDepth: number;
  /** Bytes of an answer's body as the server sends it. */
  readonly maxResponse: number;
  /** Bytes of the query text, or of all `match[]` together, after substitution. */
  readonly maxQueryBytes: number;
}

/** Prometheus refuses more steps than this whatever is configured (`web/api/v1/api.go`). */
const PROMETHEUS_MAX_POINTS = 11_000;

/** Throws `limit` where the query, or all `match[]` together, are longer than `maxQueryBytes`. */
export function checkQueryBytes(query: string, selectors: readonly string[], limits: Limits): void {
  const bytes = selectors.reduce((sum, selector) => sum + Buffer.byteLength(selector), Buffer.byteLength(query));
  if (bytes > limits.maxQueryBytes) {
    throw new PromgateError(
      'limit',
      `limit max_query_bytes exceeded: the query has ${bytes} bytes, at most ${limits.maxQueryBytes} are allowed`,
    );
  }
}

interface Shape {
  readonly depth: number;
  readonly hasSubquery: boolean;
}

/** Trees are remembered with their decisions, and asked for with each question. */
const shapes = new WeakMap<Expr, Shape>();

function shapeOf(query: Expr): Shape {
  let shape = shapes.get(query);
  if (shape === undefined) {
    shape = { depth: depth(query), hasSubquery: hasSubquery(query) };
    shapes.set(query, shape);
  }
  return shape;
}

/** Throws `limit` where the query is nested deeper than `maxDepth`. */
export function checkDepth(query: Expr, limits: Limits): void {
  const asked = shapeOf(query).depth;
  if (asked <= limits.maxDepth) return;
  throw new PromgateError(
    'limit',
    `limit max_depth exceeded: the query is nested ${asked} deep, at most ${limits.maxDepth} is allowed`,
  );
}

/** The same for a query that could not be read because of its nesting. */
export function checkNesting({ nesting = 0 }: PromqlError, { maxDepth }: Limits): void {
  if (nesting <= maxDepth) return;
  throw new PromgateError(
    'limit',
    `limit max_depth exceeded: the query is nested more than ${nesting} deep, at most ${maxDepth} is allowed`,
  );
}

/** At so many times may a subquery be evaluated: a year by the half minute. */
const MAX_SUBQUERY_POINTS = 100 * PROMETHEUS_MAX_POINTS;

/**
 * Throws `limit` where a subquery would be evaluated at more than 1,100,000 times, or nobody can say at how many. A server
 * holds all of these points at once, whatever its time-out.
 */
export function checkSubqueries(query: Expr, times: RequestTimes): void {
  if (!shapeOf(query).hasSubquery) return;
  const { subqueryPoints } = timing(query, times);
  if (subqueryPoints <= MAX_SUBQUERY_POINTS) return;
  const asked = Number.isFinite(subqueryPoints) ? String(subqueryPoints) : 'no known number of';
  throw new PromgateError(
    'limit',
    `limit max_points exceeded: a subquery is evaluated at ${asked} times, at most ${MAX_SUBQUERY_POINTS} are allowed. Use a larger step.`,
  );
}

function hasSubquery(expr: Expr): boolean {
  return expr.kind === 'Subquery' || children(expr).some(hasSubquery);
}

/**
 * Checks what a request itself says of time, in milliseconds: `maxRange` and, with a `step`, the points per series. What
 * is no range at all (an end before its start, a step of 0) is left to the server, which says so in its own words. Throws
 * `limit`, or `bad_data` with Prometheus' own text beyond its fixed 11,000 points.
 */
export function checkRange(start: number, end: number, step: number | undefined, limits: Limits): void {
  const range = end - start;
  if (!(range >= 0)) return;
  checkSpan(range, 'the request spans', limits);
  const points = pointsOf(start, end, step);
  if (points === null) return;
  if (points > limits.maxPoints && limits.maxPoints < PROMETHEUS_MAX_POINTS) {
    throw new PromgateError(
      'limit',
      `limit max_points exceeded: the query has ${points} points per series, at most ${limits.maxPoints} are allowed. Use a larger step.`,
    );
  }
  if (points > Math.max(limits.maxPoints, PROMETHEUS_MAX_POINTS)) {
    throw new PromgateError(
      'bad_data',
      'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)',
    );
  }
}

/** Steps of a range query after its first; `null` where it is none, or no range at all. Times in milliseconds. */
export function pointsOf(start: number, end: number, step: number | undefined): number | null {
  return end >= start && step !== undefined && step > 0 ? Math.floor((end - start) / step) : null;
}

/**
 * Checks `maxRange` against all the time that a query touches: from its first evaluation or sample, whichever is earlier,
 * to its last. Ranges, offsets, subqueries and `@` count; of an instant query they alone. The look-back of instant
 * selectors counts only where the request sets it (`lookbackDelta`, milliseconds): else a query over exactly
 * `maxRange` would be refused for something that nobody wrote. Throws `limit`.
 */
export function checkReach(query: Expr, times: ReachTimes, limits: Limits): void {
  if (limits.maxRange === 0) return;
  const span = reachOf(query, times);
  if (span !== null) checkSpan(span, 'with its ranges, offsets and subqueries the query spans', limits);
}

export type ReachTimes = RequestTimes & { readonly lookbackDelta?: number };

/** Milliseconds of all the time that a query touches, Infinity where that is all of time; `null` where it reads no series. */
export function reachOf(query: Expr, times: ReachTimes): number | null {
  const reach = extent(timing(query, times, Math.max(0, times.lookbackDelta ?? 0)), times);
  if (reach === null) return null;
  return Math.max(reach.to, times.end) - Math.min(reach.from, times.start);
}

/** Times in seconds with decimals are no whole milliseconds once they are computed with. */
function checkSpan(milliseconds: number, spans: string, { maxRange }: Limits): void {
  const asked = Math.round(milliseconds);
  if (maxRange === 0 || !(asked > maxRange)) return;
  const text = Number.isFinite(asked) ? formatDuration(asked) : 'all of time';
  throw new PromgateError('limit', `limit max_range exceeded: ${spans} ${text}, at most ${formatDuration(maxRange)} is allowed`);
}
