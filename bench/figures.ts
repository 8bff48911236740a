/** Medians and ratios. A ratio is taken round by round, so that a change of the machine's speed cancels out. */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Throws for an empty list. */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new Error('no values');
  return { median: quantile(values, 0.5), min: Math.min(...values), max: Math.max(...values) };
}

/** Of the ratios round by round. */
export function ratio(values: readonly number[], base: readonly number[]): Spread {
  return spread(values.map((value, i) => value / (base[i] ?? Number.NaN)));
}

/** Between two neighbours in proportion; `q` from 0 to 1. NaN for an empty list. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(at)] ?? Number.NaN, sorted[Math.ceil(at)] ?? Number.NaN];
  return below + (above - below) * (at - Math.floor(at));
}

/** `1.07 (0.76–1.64)`. */
export function show({ median, min, max }: Spread, digits = 2): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
}
