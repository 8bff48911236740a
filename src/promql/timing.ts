/**
 * What of time a query touches, seen from the times at which it is evaluated: for limits, and for deciding what of an
 * answer can change later. Source: `getTimeRangesForSelector`, `subqueryTimes` (`promql/engine.go`), `calculateDuration`
 * (`promql/durations.go`) and `infoSelectHints` (`promql/info.go`) of Prometheus 3.
 */
import type { At, Duration, DurationExpr, Expr, VectorSelector } from './ast.ts';
import { children, walk } from './walk.ts';

/** How old the newest sample may be that an instant selector takes, unless the server or the request says otherwise. */
export const defaultLookback = 300_000;
/** The step of a subquery that names none: Prometheus' `global.evaluation_interval` unless configured. */
const defaultStep = 60_000;

/** A request's own times, in milliseconds. An instant query has its time as `start` and `end`, and `step` 0. */
export interface RequestTimes {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** What a window lies around: each time of evaluation, the request's start or end, or one moment (milliseconds since 1970). */
export type Anchor = 'time' | At;

/** The samples that one selector reads: later than `anchor + from`, not later than `anchor + to`; all in milliseconds. */
export interface Window {
  readonly anchor: Anchor;
  /** -Infinity where it hangs on a duration that only the request's times can tell. */
  readonly from: number;
  /** Above 0 where a negative offset or `smoothed` reads ahead; Infinity as for `from`. */
  readonly to: number;
  /** null: the series of `info()`, which no selector names. */
  readonly selector: VectorSelector | null;
}

export interface Timing {
  /**
   * One for each selector, in the order of the text, and one for each `info()`, before those inside it. Those in the
   * parameter of an aggregation that holds `@ start()` or `@ end()` come twice, with and without it.
   */
  readonly windows: readonly Window[];
  /** How far before its time an evaluation reads at most: 0 or more, Infinity where unknown. `@` does not count. */
  readonly back: number;
  /** How far behind its time an evaluation reads at most: 0 where it does not read ahead. `@` does not count. */
  readonly ahead: number;
  /** The moments of `@`, in milliseconds, each once, rising. */
  readonly moments: readonly number[];
  /** `@ start()` or the function `start()`. */
  readonly usesStart: boolean;
  /** `@ end()` or the function `end()`. */
  readonly usesEnd: boolean;
  /** `range()`, as a function or in a duration. */
  readonly usesRange: boolean;
  /** `step()`, as a function or in a duration. */
  readonly usesStep: boolean;
  /**
   * An `@` in the parameter of an aggregation, `topk(scalar(a @ 5), b)`: Prometheus then computes the parameter as if time
   * passed, from the start of the request on, so the value at one time hangs on where the request starts.
   */
  readonly atInParameter: boolean;
  /** `[1h:]`: the server's evaluation interval decides which samples count. */
  readonly subqueryWithoutStep: boolean;
  /**
   * At how many times the server evaluates the most demanding subquery: it does so once, over the whole range of what is around
   * it and its own. 0 without any, Infinity where it cannot be known.
   */
  readonly subqueryPoints: number;
  /** Which series come out hangs on more than their labels and samples. */
  readonly limitk: boolean;
  readonly limitRatio: boolean;
  /** It reads series (`target_info`) that no selector names. */
  readonly info: boolean;
}

/** The times at which a part of the query is evaluated: from `anchor + from` to `anchor + to`. */
interface Place {
  readonly anchor: Anchor;
  readonly from: number;
  readonly to: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Tells what of time `expr` touches. Durations such as `[step() * 2]` need `request`; without it their windows are
 * unbounded. `lookbackDelta` (milliseconds) holds for instant selectors, and for what `anchored` and `smoothed` add.
 */
export function timing(expr: Expr, request: RequestTimes | null = null, lookbackDelta = defaultLookback): Timing {
  const windows: Window[] = [];
  const moments = new Set<number>();
  const seen: Mutable<Omit<Timing, 'windows' | 'back' | 'ahead' | 'moments'>> = {
    usesStart: false,
    usesEnd: false,
    usesRange: false,
    usesStep: false,
    atInParameter: false,
    subqueryPoints: 0,
    subqueryWithoutStep: false,
    limitk: false,
    limitRatio: false,
    info: false,
  };
  let inParameter = false;
  let overlooking = false;
  visit(expr, { anchor: 'time', from: 0, to: 0 });
  let back = 0;
  let ahead = 0;
  for (const { anchor, from, to } of windows) {
    if (anchor !== 'time') continue;
    back = Math.max(back, -from);
    ahead = Math.max(ahead, to);
  }
  return { windows, back, ahead, moments: [...moments].sort((a, b) => a - b), ...seen };

  function visit(node: Expr, place: Place): void {
    switch (node.kind) {
      case 'VectorSelector':
        windows.push(reading(node, place, lookbackDelta));
        return;
      case 'MatrixSelector': {
        const more = node.selector.extension === null ? 0 : lookbackDelta;
        windows.push(reading(node.selector, place, rangeOf(node.range) + more));
        return;
      }
      case 'Subquery': {
        if (node.step === null) seen.subqueryWithoutStep = true;
        const step = node.step === null ? defaultStep : (millisecondsOf(node.step) ?? 0);
        const moved = shifted(place, node.at, node.offset);
        const inner = { ...moved, from: moved.from - rangeOf(node.range) };
        const span = inner.to - inner.from + (moved.anchor === 'time' && request !== null ? request.end - request.start : 0);
        seen.subqueryPoints = Math.max(seen.subqueryPoints, step > 0 ? Math.ceil(span / step) : Infinity);
        visit(node.expr, inner);
        return;
      }
      case 'Call':
        noteCall(node.name);
        if (node.name === 'info') windows.push({ ...reading(firstSelector(node.args[0]), place, lookbackDelta), selector: null });
        break;
      case 'Aggregate':
        if (node.op === 'limitk') seen.limitk = true;
        if (node.op === 'limit_ratio') seen.limitRatio = true;
        if (node.param !== null) parameter(node.param, place);
        visit(node.expr, place);
        return;
    }
    for (const child of children(node)) visit(child, place);
  }

  /**
   * Prometheus overlooks `@ start()` and `@ end()` in the parameter of an aggregation (`preprocessExprHelper` does not
   * go there; seen in 2.42), others may not: both windows are told.
   */
  function parameter(param: Expr, place: Place): void {
    if (inParameter) {
      visit(param, place);
      return;
    }
    inParameter = true;
    visit(param, place);
    if (somewhere(param, (at) => at !== null)) seen.atInParameter = true;
    if (somewhere(param, (at) => typeof at === 'string')) {
      overlooking = true;
      visit(param, place);
      overlooking = false;
    }
    inParameter = false;
  }

  /** The window of a selector that is evaluated at `place` and reads `back` milliseconds. */
  function reading(selector: VectorSelector | null, place: Place, back: number): Window {
    if (selector === null) return { ...place, from: place.from - back, selector };
    const { anchor, from, to } = shifted(place, selector.at, selector.offset);
    const ahead = selector.extension === 'smoothed' ? lookbackDelta : 0;
    return { anchor, from: from - back, to: to + ahead, selector };
  }

  /** `@` puts everything around it out of force but the offset beside it. */
  function shifted(place: Place, at: At | null, offset: Duration): Place {
    if (at === 'start') seen.usesStart = true;
    else if (at === 'end') seen.usesEnd = true;
    else if (at !== null) moments.add(at);
    const stays = at === null || (overlooking && typeof at === 'string');
    const { anchor, from, to } = stays ? place : { anchor: at, from: 0, to: 0 };
    const ms = millisecondsOf(offset);
    return ms === null ? { anchor, from: -Infinity, to: Infinity } : { anchor, from: from - ms, to: to - ms };
  }

  /** Below 0 only for what the server refuses. */
  function rangeOf(range: Duration): number {
    return Math.max(0, millisecondsOf(range) ?? Infinity);
  }

  /** null: cannot be known here. Fractions of a millisecond are cut off, as by the server. */
  function millisecondsOf(duration: Duration): number | null {
    if (typeof duration === 'number') return duration;
    const seconds = secondsOf(duration);
    return Number.isFinite(seconds) ? Math.trunc(seconds * 1000) : null;
  }

  function secondsOf(node: DurationExpr): number {
    switch (node.kind) {
      case 'NumberLiteral':
        return node.value;
      case 'DurationParen':
        return secondsOf(node.expr);
      case 'DurationNegation':
        return -secondsOf(node.expr);
      case 'DurationCall': {
        noteCall(node.name);
        if (node.name === 'step') return request === null ? NaN : request.step / 1000;
        if (node.name === 'range') return request === null ? NaN : (request.end - request.start) / 1000;
        const args = node.args.map(secondsOf);
        return node.name === 'min_of' ? Math.min(...args) : Math.max(...args);
      }
      case 'DurationBinary': {
        const lhs = secondsOf(node.lhs);
        const rhs = secondsOf(node.rhs);
        return durationOps[node.op](lhs, rhs);
      }
    }
  }

  function noteCall(name: string): void {
    if (name === 'start') seen.usesStart = true;
    else if (name === 'end') seen.usesEnd = true;
    else if (name === 'range') seen.usesRange = true;
    else if (name === 'step') seen.usesStep = true;
    else if (name === 'info') seen.info = true;
  }
}

const durationOps = {
  '+': (lhs: number, rhs: number) => lhs + rhs,
  '-': (lhs: number, rhs: number) => lhs - rhs,
  '*': (lhs: number, rhs: number) => lhs * rhs,
  '/': (lhs: number, rhs: number) => lhs / rhs,
  '%': (lhs: number, rhs: number) => lhs % rhs,
  '^': (lhs: number, rhs: number) => lhs ** rhs,
} as const;

/** Does an `@` in it fulfil the condition? */
function somewhere(expr: Expr, condition: (at: At | null) => boolean): boolean {
  if ((expr.kind === 'VectorSelector' || expr.kind === 'Subquery') && condition(expr.at)) return true;
  return children(expr).some((child) => somewhere(child, condition));
}

/** `info()` reads its series at the time of the first selector in its argument, whatever else stands there. */
function firstSelector(expr: Expr | undefined): VectorSelector | null {
  let first: VectorSelector | null = null;
  if (expr !== undefined) {
    walk(expr, (node) => {
      if (first === null && node.kind === 'VectorSelector') first = node;
    });
  }
  return first;
}

/** From the earliest to the latest moment that samples are read from, in milliseconds since 1970; null: none are read. */
export function extent(
  { windows }: Pick<Timing, 'windows'>,
  { start, end }: Pick<RequestTimes, 'start' | 'end'>,
): { readonly from: number; readonly to: number } | null {
  if (windows.length === 0) return null;
  let from = Infinity;
  let to = -Infinity;
  for (const window of windows) {
    const { anchor } = window;
    const first = anchor === 'time' || anchor === 'start' ? start : anchor === 'end' ? end : anchor;
    const last = anchor === 'time' || anchor === 'end' ? end : anchor === 'start' ? start : anchor;
    from = Math.min(from, first + window.from);
    to = Math.max(to, last + window.to);
  }
  return { from, to };
}
