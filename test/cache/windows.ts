/** In which windows people look at a graph, one after the other: what a range cache must get right. */
import fc from 'fast-check';
import type { Params } from '../support/ask.ts';

/** One look: points `first` to `first + count - 1` of the grid `phase + k * step`. */
export interface Look {
  /** Milliseconds. */
  readonly step: number;
  /** Milliseconds; the remainder of `start` by `step`. */
  readonly phase: number;
  readonly first: number;
  readonly count: number;
  /** Milliseconds, below `step`, by which `end` lies behind the last point. */
  readonly beyond: number;
}

type Window = readonly [first: number, count: number];

/** Looks at a stretch of `n` points from `a` on, with `s` as some smaller number of points. */
const walks: Readonly<Record<string, (a: number, n: number, s: number) => Window[]>> = {
  same: (a, n) => [
    [a, n],
    [a, n],
  ],
  'a step later each time': (a, n) => [0, 1, 2, 3].map((k) => [a + k, n]),
  'some steps later each time': (a, n, s) => [0, s, 2 * s, 2 * s + 1].map((k) => [a + k, n]),
  'earlier each time': (a, n, s) => [0, -s, -s - 1, -2 * s].map((k) => [a + k, n]),
  inwards: (a, n, s) => [
    [a, n],
    [a + s, Math.max(1, n - 2 * s)],
    [a + s + 1, 1],
  ],
  outwards: (a, n, s) => [
    [a, n],
    [a - s, n + 2 * s],
    [a - 2 * s, n + 3 * s],
  ],
  bridge: (a, n, s) => [
    [a, n],
    [a + n + s, n],
    [a + Math.floor(n / 2), n + s],
    [a, 2 * n + s],
  ],
  'islands, far to near': (a, n, s) => [3, 1, 0, 2].map((k) => [a + k * (n + s), n] as Window).concat([[a, 4 * n + 3 * s]]),
  'single points': (a, n) => [0, 2, 1, 5, 4].map((k) => [a + k, 1] as Window).concat([[a, n]]),
};

/** Text of a moment in Unix milliseconds, in the forms that clients send. */
export function timeText(ms: number, form: 'seconds' | 'date' = 'seconds'): string {
  return form === 'date' ? new Date(ms).toISOString() : String(ms / 1000);
}

export function lookParams(query: string, { step, phase, first, count, beyond }: Look, form: 'seconds' | 'date'): Params {
  const start = phase + first * step;
  return [
    ['query', query],
    ['start', timeText(start, form)],
    ['end', timeText(start + (count - 1) * step + beyond, form)],
    ['step', form === 'date' ? `${step}ms` : String(step / 1000)],
  ];
}

export interface Journey {
  readonly walk: string;
  readonly looks: readonly Look[];
}

/**
 * Looks with `steps` as their distances, in milliseconds, at moments of which the first lie between `from` and `to`: a walk,
 * its end again with another step, and all that was seen at once, twice.
 */
export function arbitraryJourney(from: number, to: number, steps: readonly number[]): fc.Arbitrary<Journey> {
  return fc
    .record({
      walk: fc.constantFrom(...Object.keys(walks)),
      step: fc.constantFrom(...steps),
      begin: fc.integer({ min: from, max: to }),
      phase: fc.constantFrom<'aligned' | 'as it comes' | 'whole seconds'>('aligned', 'as it comes', 'whole seconds'),
      count: fc.integer({ min: 1, max: 70 }),
      some: fc.integer({ min: 1, max: 12 }),
      beyond: fc.constantFrom(0, 0, 0.3, 0.999),
      zoom: fc.constantFrom(2, 3, 0.5),
    })
    .map(({ walk, step, begin, phase: kind, count, some, beyond, zoom }) => {
      const whole = kind === 'as it comes' ? begin : Math.floor(begin / 1000) * 1000;
      const phase = kind === 'aligned' ? 0 : whole % step;
      const a = Math.floor(whole / step);
      const windows = walks[walk]?.(a, count, some) ?? [];
      const look = ([first, length]: Window): Look => ({ step, phase, first, count: length, beyond: Math.floor(step * beyond) });
      const first = Math.min(...windows.map((window) => window[0]));
      const end = Math.max(...windows.map((window) => window[0] + window[1]));
      const all = look([first, end - first]);
      return { walk, looks: [...windows.map(look), zoomed(all, Math.max(1, Math.floor(step * zoom))), all, all] };
    });
}

/** About the same stretch of time with another step, from the same start. */
function zoomed({ step, phase, first, count }: Look, other: number): Look {
  const start = phase + first * step;
  const points = Math.max(1, Math.floor((count * step) / other));
  return { step: other, phase: start % other, first: Math.floor(start / other), count: points, beyond: 0 };
}
