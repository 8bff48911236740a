/**
 * Structured logs, one JSON object a line on stderr. What a request brought (query, parameters, headers) is never logged:
 * any of it may hold a secret. Events are logged through the functions here, so that each has one name and known fields.
 */
import { destination, type Logger as Pino, pino } from 'pino';
import type { Settings } from '../config/settings.ts';
import type { PromgateError } from '../errors.ts';

/** Those of the setting `log_level`. */
export type LogLevel = Settings['logLevel'];

export interface RequestFields {
  requestId: string;
  endpoint: string;
  /** `acme/shop:production`; absent where the path names nothing that the caller may see. */
  target?: string;
  tokenId?: number;
  server?: string;
  status: number;
  durationMs: number;
}

export interface Log {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Record<string, string | number>, error?: unknown): void;
  error(message: string, fields?: Record<string, string | number>, error?: unknown): void;
  /** Every request, at level debug; one that a server or we ourselves failed, at level warn with the operator's text. */
  request(fields: () => RequestFields, error: PromgateError | null): void;
  setLevel(level: LogLevel): void;
  /** Writes out what is still buffered. */
  flush(): void;
}

/** `write` replaces stderr, for tests. */
export function createLog(level: LogLevel, write?: (line: string) => void): Log {
  const stream = write === undefined ? destination({ fd: 2, sync: true }) : { write };
  const base: Pino = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    stream,
  );
  return {
    info: (message, fields = {}) => base.info(fields, message),
    warn: (message, fields = {}, error) => base.warn({ ...fields, ...describe(error) }, message),
    error: (message, fields = {}, error) => base.error({ ...fields, ...describe(error) }, message),
    request(fields, error) {
      if (error !== null && error.status >= 500) base.warn({ ...fields(), ...describe(error) }, 'request failed');
      else if (base.isLevelEnabled('debug')) base.debug({ ...fields(), ...(error === null ? {} : describe(error)) }, 'request');
    },
    setLevel(next) {
      base.level = next;
    },
    flush: () => base.flush(),
  };
}

function describe(error: unknown): Record<string, string> {
  if (error === undefined) return {};
  if (!(error instanceof Error)) return { error: String(error) };
  const { operator, code } = error as Partial<PromgateError>;
  // The user's text of a bad_data error quotes what was asked; its code says enough.
  if (code === 'bad_data') return { code };
  return {
    ...(code === undefined ? {} : { code: String(code) }),
    error: error.message,
    ...(operator === undefined ? {} : { detail: operator }),
    ...(code === 'internal' || code === undefined ? { stack: error.stack ?? '' } : {}),
  };
}
