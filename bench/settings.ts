/** What a run of the benchmark may be told, by environment variables. */

/** Interleaved rounds of each row. */
export const ROUNDS = wholeNumber('BENCH_ROUNDS', 5);
/** Length of one measurement. */
export const SECONDS = wholeNumber('BENCH_SECONDS', 2);
/** Node optimizes what it has seen thousands of times; a proxy that has just started is not what one runs. */
export const WARM_UP = 2 * SECONDS;
/** Names of rows, with commas between them; empty: all. */
export const ONLY: readonly string[] = (process.env.BENCH_ONLY ?? '').split(/[\s,]+/).filter((name) => name !== '');
/** Where the figures go as JSON. */
export const JSON_FILE = process.env.BENCH_JSON ?? new URL('results/latest.json', import.meta.url).pathname;

function wholeNumber(name: string, fallback: number): number {
  const text = process.env[name] ?? String(fallback);
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new Error(`${name}: ${JSON.stringify(text)} is not a whole number over 0`);
  return Number(text);
}
