/**
 * What of time a query's points hang on. A point may be kept only where it hangs on nothing but its own time, what the query says
 * and samples up to a known moment; whatever is not known to be so is not kept.
 */
import type { Call, Expr } from '../promql/ast.ts';
import { check } from '../promql/check.ts';
import { PromqlError } from '../promql/error.ts';
import { type RequestTimes, type Timing, timing } from '../promql/timing.ts';
import { walk } from '../promql/walk.ts';

export interface Reach {
  /** Milliseconds that it reads behind each point's time. */
  readonly ahead: number;
  /** The latest moment, in Unix milliseconds, that it reads wherever it is evaluated; -Infinity: there is none. */
  readonly latest: number;
  /** VictoriaMetrics gives other points where it is asked for another range. */
  readonly rangedOnVictoriaMetrics: boolean;
}

/** Queries are remembered with their trees, and most ask nothing of the request's own times. */
const known = new WeakMap<Expr, Reach | null>();

/**
 * `null`: what the query gives at a point hangs on more than the point's time, or cannot be told. `lookback` in milliseconds;
 * undefined: the server's own, which is not known.
 */
export function reachOf(expr: Expr, times: RequestTimes, lookback: number | undefined): Reach | null {
  const before = lookback === undefined ? known.get(expr) : undefined;
  if (before !== undefined) return before;
  const read = timing(expr, null, lookback);
  // Its windows hang on the step, which only this request tells.
  if (read.usesStep) return reachIn(expr, timing(expr, times, lookback), lookback);
  const reach = reachIn(expr, read, lookback);
  if (lookback === undefined) known.set(expr, reach);
  return reach;
}

function reachIn(expr: Expr, read: Timing, lookback: number | undefined): Reach | null {
  if (read.usesStart || read.usesEnd || read.usesRange || read.limitk || read.info) return null;
  if (!isPromql(expr) || !isSteady(expr, lookback !== undefined)) return null;
  let latest = Math.max(Number.NEGATIVE_INFINITY, ...read.moments);
  for (const { anchor, to } of read.windows) if (typeof anchor === 'number') latest = Math.max(latest, anchor + to);
  if (!Number.isFinite(read.ahead) || Number.isNaN(latest) || latest === Number.POSITIVE_INFINITY) return null;
  return { ahead: read.ahead, latest, rangedOnVictoriaMetrics: isRangedOnVictoriaMetrics(expr) };
}

/**
 * What Prometheus refuses may have a meaning in MetricsQL: functions that look at the whole range or throw dice, or `rate(up)`,
 * whose window VictoriaMetrics guesses from the samples that it happens to read.
 */
function isPromql(expr: Expr): boolean {
  try {
    check(expr);
    return true;
  } catch (error) {
    if (error instanceof PromqlError) return false;
    throw error;
  }
}

/**
 * Whether there is nothing in the query that looks at all points of a range together:
 * - an aggregation's parameter that may change: some versions of Prometheus take its first value for all points, and overlook `@`
 *   in it;
 * - metrics of several names where the name goes: Prometheus refuses the whole range where two of them become the same
 *   series, even if never at one point (`ContainsSameLabelset` of a matrix, for functions of ranges and for signs; seen in 2.42);
 * - `smoothed`, if the server's lookback is not known: it reads as far ahead;
 * - a range at a fixed moment (`[5m] @ 0`) beside an argument that may change, and in `predict_linear`: the first points of the
 *   request are computed, and stand for those behind them or are all there is (seen in Prometheus 2.42 and VictoriaMetrics 1.79).
 */
function isSteady(expr: Expr, lookbackKnown: boolean): boolean {
  let steady = true;
  walk(expr, (node, around) => {
    if (node.kind === 'Aggregate' && node.param !== null && !isConstant(node.param)) steady = false;
    if (hasSeveralNames(node) && around.some(({ kind }) => losesNames.has(kind))) steady = false;
    if (node.kind === 'VectorSelector' && node.extension === 'smoothed' && !lookbackKnown) steady = false;
    if (node.kind === 'Call' && isStuck(node)) steady = false;
  });
  return steady;
}

const losesNames: ReadonlySet<Expr['kind']> = new Set(['MatrixSelector', 'Subquery', 'Unary']);

function hasSeveralNames(node: Expr): boolean {
  if (node.kind === 'Binary') return node.op === 'or';
  if (node.kind !== 'VectorSelector' || node.name !== '') return false;
  return !node.matchers.some(({ label, op }) => label === '__name__' && op === '=');
}

function isStuck({ name, args }: Call): boolean {
  if (!args.some(isFixedRange)) return false;
  return name === 'predict_linear' || args.some((arg) => !isFixedRange(arg) && !isConstant(arg));
}

function isFixedRange(expr: Expr): boolean {
  if (expr.kind === 'Paren') return isFixedRange(expr.expr);
  return (expr.kind === 'MatrixSelector' && expr.selector.at !== null) || (expr.kind === 'Subquery' && expr.at !== null);
}

const literals: ReadonlySet<Expr['kind']> = new Set(['NumberLiteral', 'StringLiteral', 'Paren', 'Unary', 'Binary']);

function isConstant(expr: Expr): boolean {
  let constant = true;
  walk(expr, ({ kind }) => {
    if (!literals.has(kind)) constant = false;
  });
  return constant;
}

/**
 * Seen in 1.79: `scalar` gives nothing if there are several series anywhere in the range, `or` gives all points the labels of
 * the left series if that is anywhere in it, and series that get the same labels are refused even if never at one point.
 * A series without any number in the range drops out before `sgn` makes numbers of it, and `absent_over_time` is empty if nothing
 * is there. What is computed over a subquery begins where the range does: counters are summed up from there on. `sort` and `topk`
 * put the series in the order of their last values.
 */
function isRangedOnVictoriaMetrics(expr: Expr): boolean {
  let ranged = false;
  walk(expr, (node, around) => {
    if (node.kind === 'Call' && RANGED_ON_VICTORIAMETRICS.has(node.name)) ranged = true;
    if (node.kind === 'Aggregate' && (node.op === 'topk' || node.op === 'bottomk')) ranged = true;
    if (node.kind === 'Subquery' || (node.kind === 'Binary' && node.op === 'or')) ranged = true;
    if (hasSeveralNames(node) && around.some(({ kind }) => kind === 'Call' || kind === 'Binary')) ranged = true;
  });
  return ranged;
}

const RANGED_ON_VICTORIAMETRICS: ReadonlySet<string> = new Set([
  'absent_over_time',
  'label_join',
  'label_replace',
  'scalar',
  'sgn',
  'sort',
  'sort_by_label',
  'sort_by_label_desc',
  'sort_desc',
]);
