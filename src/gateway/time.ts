/**
 * Prometheus' time and duration parameters.
 * Source: `parseTime` and `parseDuration` in Prometheus' `web/api/v1/api.go`, `ParseDuration` in `common/model/time.go`.
 */
import { parseDuration as parseUnits } from '../config/units.ts';

const MIN_TIME = '-292273086-05-16T16:47:06Z';
const MAX_TIME = '292277025-08-18T07:12:54.999999999Z';
const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** A Unix time in seconds or an RFC 3339 time, as Unix milliseconds; `null` when it is neither. */
export function parseTime(text: string): number | null {
  if (DECIMAL.test(text)) {
    const milliseconds = Number(text) * 1000;
    return Number.isFinite(milliseconds) ? milliseconds : null;
  }
  if (RFC3339.test(text)) {
    const milliseconds = Date.parse(text.toUpperCase());
    return Number.isNaN(milliseconds) ? null : milliseconds;
  }
  // Clients written with client_golang send these for "the beginning" and "the end" of time.
  if (text === MIN_TIME) return -9.2e15;
  if (text === MAX_TIME) return 9.2e15;
  return null;
}

/** Seconds as a number or a duration such as `1h30m`, in milliseconds; `null` when it is neither. */
export function parseDuration(text: string): number | null {
  if (DECIMAL.test(text)) {
    const milliseconds = Number(text) * 1000;
    return Number.isFinite(milliseconds) ? milliseconds : null;
  }
  const negative = text.startsWith('-');
  const milliseconds = parseUnits(negative ? text.slice(1) : text);
  return milliseconds === null ? null : negative ? -milliseconds : milliseconds;
}
