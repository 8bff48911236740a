/** Telling a database that cannot be used at the moment from a mistake in what it was asked. */
import { PromgateError } from '../errors.ts';

/** Of the system's calls, and PostgreSQL's own: no connection, shutting down, starting up, too many clients. */
const CODES = /^(ECONN\w+|EPIPE|ETIMEDOUT|E(HOST|NET)(UNREACH|DOWN)|ENOTFOUND|EAI_AGAIN|080\d\d|57P0[123]|53300|25P03)$/;

/** A message that broke the protocol: ours, unless it ends the connection (PgBouncer says nearly all with it). */
const PROTOCOL = '08P01';

/** The drivers' own errors have no code. */
const MESSAGES =
  /^(Connection terminated|timeout (expired|exceeded)|Query read timeout|Client (has encountered a connection error|was closed))/;

/** What somebody is told who needed the database; `null` where `thrown` is about something else. */
export function databaseTrouble(thrown: unknown): PromgateError | null {
  if (!(thrown instanceof Error) || thrown instanceof PromgateError) return null;
  const { code, severity } = thrown as { code?: unknown; severity?: unknown };
  const known =
    isBusy(thrown) ||
    (typeof code === 'string' && CODES.test(code)) ||
    (code === PROTOCOL && severity === 'FATAL') ||
    MESSAGES.test(thrown.message);
  if (!known) return null;
  return new PromgateError('unavailable', 'the database cannot be reached at the moment; try again in a few seconds', {
    operator: `the database cannot be used: ${thrown.message || code}`,
    cause: thrown,
    headers: { 'Retry-After': '5' },
  });
}

/** SQLite: another process has the lock. `SQLITE_BUSY` or one of its extended codes (https://sqlite.org/rescode.html#busy). */
export function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' && (error.errcode & 0xff) === 5;
}
