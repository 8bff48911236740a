/**
 * Making, rotating and revoking tokens (contract §4), each with its entry in the audit log. Those with `In` in their names work
 * inside a transaction of the caller's.
 */
import { type FoundTarget, findTarget, type TargetName, targetOf } from '../directory/find.ts';
import { PromgateError } from '../errors.ts';
import type { Actor, AuditAction } from '../ops/audit.ts';
import { recordEvents } from '../storage/audit.ts';
import { tokenObject } from '../storage/audit-objects.ts';
import type { Database } from '../storage/database.ts';
import type { Row, Trx } from '../storage/schema.ts';
import * as store from '../storage/tokens.ts';
import { normalizeNetwork } from './networks.ts';
import { hashToken, newTokenText } from './token-text.ts';

export interface NewToken {
  readonly name: string;
  /** Default: `token-<id>`. */
  readonly username?: string;
  /** Unix milliseconds; left out or `null`: never expires. */
  readonly expiresAt?: number | null;
  /** CIDR notations; left out or empty: from anywhere. */
  readonly allowedNetworks?: readonly string[];
}

/** The only value that ever holds a token's text. Times are Unix milliseconds. */
export interface IssuedToken {
  readonly id: number;
  readonly name: string;
  readonly username: string;
  readonly token: string;
  readonly expiresAt: number | null;
  /** What it opens. */
  readonly target: TargetName;
  /** See {@link FoundTarget}. */
  readonly endpointPath: string;
}

const maxLength = 255;

/** Throws `bad_data` for values that cannot be, `not_found` where there is no such target. */
export function createToken(
  database: Database,
  target: TargetName,
  token: NewToken,
  actor: Actor,
  now: number = Date.now(),
): Promise<IssuedToken> {
  return database.write(async (trx) => createTokenIn(trx, await findTarget(trx, target), token, actor, now));
}

/** Throws `bad_data` for values that cannot be. */
export async function createTokenIn(
  trx: Trx,
  found: FoundTarget,
  token: NewToken,
  actor: Actor,
  now: number,
): Promise<IssuedToken> {
  const { name, username = null, expiresAt = null } = token;
  const problem = nameProblem(name) ?? usernameProblem(username) ?? expiryProblem(expiresAt, now);
  if (problem !== null) throw new PromgateError('bad_data', problem);
  const allowedNetworks = [...new Set((token.allowedNetworks ?? []).map(normalizeNetwork))];
  const text = newTokenText();
  const fields = { name, username, hash: hashToken(text), allowedNetworks, createdAt: now, expiresAt };
  const row = await store.insertToken(trx, found.owner, fields);
  await record(trx, row, 'created', actor, now, {
    username: row.username,
    expires_at: timeText(expiresAt),
    allowed_networks: allowedNetworks,
  });
  return issued(row, text, found);
}

/**
 * A new secret for a token; everything else of it stays. The old secret stays good for `grace` milliseconds, with 0 it dies
 * at once. The secret before a rotation whose grace still runs dies in any case.
 * Throws `not_found` where there is no such token, `bad_data` for one that is revoked or expired.
 */
export function rotateToken(
  database: Database,
  id: number,
  grace: number,
  actor: Actor,
  now: number = Date.now(),
): Promise<IssuedToken> {
  return database.write((trx) => rotateTokenIn(trx, id, grace, actor, now));
}

/** As {@link rotateToken}. */
export async function rotateTokenIn(trx: Trx, id: number, grace: number, actor: Actor, now: number): Promise<IssuedToken> {
  if (!Number.isSafeInteger(now + grace) || grace < 0) throw new PromgateError('bad_data', 'The grace period must be 0 or more.');
  const row = await store.findToken(trx, id);
  if (row === undefined) throw noToken(id);
  if (row.revoked_at !== null) throw new PromgateError('bad_data', `The token ${id} is revoked. Create a new one.`);
  if (row.expires_at !== null && row.expires_at <= now) {
    throw new PromgateError('bad_data', `The token ${id} has expired. Create a new one.`);
  }
  const text = newTokenText();
  const previousUntil = grace === 0 ? null : now + grace;
  await store.rotateToken(trx, id, hashToken(text), previousUntil);
  await record(trx, row, 'rotated', actor, now, { previous_until: timeText(previousUntil) });
  return issued(row, text, await targetOf(trx, row));
}

/** For good, and at once. Revoking a revoked token does nothing. Throws `not_found` where there is no such token. */
export function revokeToken(database: Database, id: number, actor: Actor, now: number = Date.now()): Promise<void> {
  return database.write((trx) => revokeTokenIn(trx, id, actor, now));
}

/** As {@link revokeToken}. */
export async function revokeTokenIn(trx: Trx, id: number, actor: Actor, now: number): Promise<void> {
  const row = await store.findToken(trx, id);
  if (row === undefined) throw noToken(id);
  if (await store.revokeToken(trx, id, now)) await record(trx, row, 'revoked', actor, now);
}

async function record(
  trx: Trx,
  row: Row<'tokens'>,
  action: AuditAction,
  actor: Actor,
  at: number,
  detail: Record<string, unknown> = {},
): Promise<void> {
  await recordEvents(trx, [{ actor, action, object: await tokenObject(trx, row), detail }], at);
}

function timeText(milliseconds: number | null): string | null {
  return milliseconds === null ? null : new Date(milliseconds).toISOString();
}

function issued(row: Row<'tokens'>, token: string, { name: target, endpointPath }: FoundTarget): IssuedToken {
  return { id: row.id, name: row.name, username: row.username, token, expiresAt: row.expires_at, target, endpointPath };
}

function noToken(id: number): PromgateError {
  return new PromgateError('not_found', `There is no token ${id}.`);
}

function nameProblem(name: string): string | null {
  if (name.trim() === '') return 'A token needs a name that says what it is for.';
  if (/\p{Cc}/u.test(name)) return 'The name of a token must not hold control characters.';
  return name.length > maxLength ? `The name of a token may have at most ${maxLength} characters.` : null;
}

/** No colon, which ends the username in HTTP Basic (RFC 7617); nothing that needs escaping in a URL either. */
function usernameProblem(username: string | null): string | null {
  if (username === null || (/^[A-Za-z0-9._-]+$/.test(username) && username.length <= maxLength)) return null;
  return `A username may hold only letters, digits, ".", "_" and "-", and at most ${maxLength} of them.`;
}

function expiryProblem(expiresAt: number | null, now: number): string | null {
  if (expiresAt === null) return null;
  if (!Number.isSafeInteger(expiresAt)) return 'The expiry is no time.';
  return expiresAt > now ? null : 'The expiry must lie in the future.';
}
