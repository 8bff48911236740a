/**
 * What of a question's answer may be kept, and under which key: an answer is kept only where asking again, later or for another
 * stretch of time, would give the same points. Whatever is not known to be so is not kept.
 */
import type { Expr } from '../promql/ast.ts';
import type { Grid, Span } from './piece.ts';
import type { CacheRules } from './policy.ts';
import { reachOf } from './reach.ts';

/** Times and durations of a question, in milliseconds. */
export interface AskedTimes {
  readonly time?: number;
  readonly start?: number;
  readonly end?: number;
  readonly step?: number;
  readonly lookback_delta?: number;
}

export interface Asked {
  /** Name of the endpoint in the gateway's table. */
  readonly endpoint: string;
  /** Below the server's URL. */
  readonly path: string;
  /** All that is asked, canonical and urlencoded. */
  readonly parameters: string;
  /** The single-valued parameters as they are sent. */
  readonly single: ReadonlyMap<string, string>;
  readonly times: AskedTimes;
  /** The query as we read it; `null`: none, or only the server can read it. */
  readonly expr: Expr | null;
}

/** An answer that is kept by its points. */
export interface RangePlan {
  readonly kind: 'range';
  readonly key: string;
  readonly grid: Grid;
  readonly span: Span;
  /** Milliseconds that pass until a point cannot change any more: the recent window, and what the query reads ahead. */
  readonly settling: number;
  /** The server's time, in Unix milliseconds, from which what is read at fixed moments (`@`) cannot change any more. */
  readonly settledFrom: number;
  /** VictoriaMetrics gives other points where it is asked for another range. */
  readonly rangedOnVictoriaMetrics: boolean;
}

/** An answer that is kept as it is. */
export interface WholePlan {
  readonly kind: 'whole';
  readonly key: string;
  /** Milliseconds. */
  readonly maxAge: number;
  /** The server's time, in Unix milliseconds, from which the answer may be kept. */
  readonly settledFrom: number;
}

export type Plan = RangePlan | WholePlan;

/** What a server is always asked with, and what is kept of its answers. */
export interface Keeping {
  readonly policy: string;
  readonly cache: CacheRules;
  readonly fixedParams: ReadonlyMap<string, string>;
}

/** Answers that tell of the moment, and are kept for a short time as they are. */
const NAMES: ReadonlySet<string> = new Set(['series', 'labels', 'label_values', 'metadata']);
const TIMES = ['time', 'start', 'end'] as const;
/** Before all time. */
const NEVER = Number.NEGATIVE_INFINITY;
/** Fixed parameters of a server that change what is asked: then the question is another one than was looked at here. */
const DECISIVE = ['query', 'time', 'start', 'end', 'step', 'limit', 'stats', 'lookback_delta'] as const;

/** How the answer may be kept; `null`: not at all. `now` in Unix milliseconds. */
export function planOf(asked: Asked, { policy, cache, fixedParams }: Keeping, now: number): Plan | null {
  if (!cache.enabled) return null;
  if (NAMES.has(asked.endpoint)) {
    const key = `${policy} n ${asked.path} ${asked.parameters}`;
    return cache.metadataTtl === 0 ? null : { kind: 'whole', key, maxAge: cache.metadataTtl, settledFrom: NEVER };
  }
  const isRange = asked.endpoint === 'query_range';
  if (!isRange && (asked.endpoint !== 'query' || !cache.instant)) return null;
  const { single, expr } = asked;
  if (expr === null || isGiven(single, 'limit') || isGiven(single, 'stats')) return null;
  if (TIMES.some((name) => isSplitDate(single.get(name)))) return null;
  if (fixedParams.size > 0 && DECISIVE.some((name) => fixedParams.has(name))) return null;
  return isRange ? planRange(asked, expr, policy, cache, now) : planInstant(asked, expr, policy, cache, now);
}

function planRange(asked: Asked, expr: Expr, policy: string, cache: CacheRules, now: number): RangePlan | null {
  const [start, end, step] = [whole(asked.times.start), whole(asked.times.end), wholeDuration(asked.times.step)];
  const lookback = lookbackOf(asked);
  if (start === null || end === null || step === null || lookback === null || start < 0 || end < start) return null;
  const reach = reachOf(expr, { start, end, step }, lookback);
  const settled = now - cache.recentWindow;
  if (reach === null || reach.latest > Math.min(end, settled) || start + reach.ahead > settled) return null;
  const phase = start % step;
  const first = (start - phase) / step;
  return {
    kind: 'range',
    key: `${policy} r ${step} ${phase} ${lookback ?? ''} ${asked.single.get('query')}`,
    grid: { step, phase },
    span: { first, last: first + Math.floor((end - start) / step) },
    settling: cache.recentWindow + reach.ahead,
    settledFrom: reach.latest + cache.recentWindow,
    rangedOnVictoriaMetrics: reach.rangedOnVictoriaMetrics,
  };
}

function planInstant(asked: Asked, expr: Expr, policy: string, cache: CacheRules, now: number): WholePlan | null {
  const time = whole(asked.times.time);
  const lookback = lookbackOf(asked);
  if (time === null || lookback === null) return null;
  const reach = reachOf(expr, { start: time, end: time, step: 0 }, lookback);
  if (reach === null || reach.latest > time) return null;
  const settledFrom = Math.max(time + reach.ahead, reach.latest) + cache.recentWindow;
  if (settledFrom > now) return null;
  const key = `${policy} i ${time} ${lookback ?? ''} ${asked.single.get('query')}`;
  return { kind: 'whole', key, maxAge: cache.maxAge, settledFrom };
}

function isGiven(single: ReadonlyMap<string, string>, name: string): boolean {
  return (single.get(name) ?? '') !== '';
}

/** Undefined: the server's own; `null`: none that is understood. */
function lookbackOf({ times }: Asked): number | undefined | null {
  return times.lookback_delta === undefined ? undefined : wholeDuration(times.lookback_delta);
}

/**
 * Whole milliseconds; `null` for what is none, because different servers round fractions in different ways. Seconds with three
 * decimals are not always exact once they are multiplied, and then always in the same way.
 */
function whole(value: number | undefined): number | null {
  if (value === undefined) return null;
  const rounded = Math.round(value);
  return Number.isSafeInteger(rounded) && (value === rounded || value === (rounded / 1000) * 1000) ? rounded : null;
}

/** A date with parts of a second, which VictoriaMetrics (seen in 1.79) takes for another moment than the same in seconds. */
function isSplitDate(text: string | undefined): boolean {
  return text?.includes(':') === true && /\.0*[1-9]/.test(text);
}

/**
 * The same for a duration of at least a millisecond. `null`, too, where a server that is given it in seconds cuts off more than
 * we do: Prometheus, which counts in nanoseconds, takes 1.025 for 1024 ms, but not 1025ms.
 */
function wholeDuration(value: number | undefined): number | null {
  const duration = whole(value);
  if (duration === null || duration < 1) return null;
  const seconds = duration / 1000;
  const prometheus = Math.trunc(Math.trunc(seconds * 1e9) / 1e6);
  return prometheus === duration && Math.trunc(seconds * 1000) === duration ? duration : null;
}
