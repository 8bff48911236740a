/** Limits on what may be asked. Each refusal names the limit, its value and what was asked. */
import { PromgateError } from '../errors.ts';

/** The limits that hold for one endpoint: the instance's, overridden by the server's. */
export interface Limits {
  /** Milliseconds from the question's arrival to the last byte of its answer. */
  readonly timeout: number;
  /** Milliseconds of `end - start` of a range query; 0: unlimited. */
  readonly maxRange: number;
  /** Steps of a range query. */
  readonly maxPoints: number;
  /** Bytes of an answer's body as the server sends it. */
  readonly maxResponse: number;
  /** Bytes of the query text, or of all `match[]` together, after substitution. */
  readonly maxQueryBytes: number;
}

/** Prometheus refuses more steps than this whatever is configured (`web/api/v1/api.go`). */
const PROMETHEUS_MAX_POINTS = 11_000;

/** Throws `limit` where the query, or all `match[]` together, are longer than `maxQueryBytes`. */
export function checkQueryBytes(query: string, selectors: readonly string[], limits: Limits): void {
  let bytes = Buffer.byteLength(query);
  for (const selector of selectors) bytes += Buffer.byteLength(selector);
  if (bytes > limits.maxQueryBytes) {
    throw new PromgateError(
      'limit',
      `limit max_query_bytes exceeded: the query has ${bytes} bytes, at most ${limits.maxQueryBytes} are allowed`,
    );
  }
}

/**
 * Checks a range query's `start`, `end` and `step` (milliseconds). What is not a range at all (no step, an end before
 * its start) is left to the server, which says so in its own words. Throws `limit`, or `bad_data` with Prometheus' own
 * text beyond its fixed 11,000 points.
 */
export function checkRange(start: number, end: number, step: number, limits: Limits): void {
  const range = end - start;
  if (!(range >= 0) || !(step > 0)) return;
  if (limits.maxRange > 0 && range > limits.maxRange) {
    throw new PromgateError(
      'limit',
      `limit max_range exceeded: the query spans ${range / 1000}s, at most ${limits.maxRange / 1000}s are allowed`,
    );
  }
  const points = Math.floor(range / step);
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
