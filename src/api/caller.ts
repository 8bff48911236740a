/**
 * Who asks the control API: a signed-in user, or one with a personal token. Looked up in the database, in the transaction that
 * does what is asked, so that what has ended opens nothing. Tokens of endpoints open no part of it.
 */
import type { IncomingMessage } from 'node:http';
import { clientAddress } from '../access/client-address.ts';
import { checkCsrf } from '../access/csrf.ts';
import { hashSessionCookie, isCrossSite, readSessionCookie, type SessionCookie } from '../access/session-cookie.ts';
import { type SessionActivity, type SessionLimits, sessionEnd } from '../access/sessions.ts';
import { hashToken, isPersonalTokenText, isTokenText } from '../access/token-text.ts';
import type { User } from '../directory/people.ts';
import { PromgateError } from '../errors.ts';
import type { GatewaySettings } from '../gateway/entrance.ts';
import type { Actor } from '../ops/audit.ts';
import { userOf } from '../storage/people.ts';
import { findPersonalToken } from '../storage/personal-tokens.ts';
import type { Row, Trx } from '../storage/schema.ts';

export interface ApiCaller {
  readonly user: Pick<User, 'id' | 'username' | 'admin'>;
  /** `null` with a personal token. */
  readonly session: { readonly id: number; readonly hash: string } | null;
  readonly personalTokenId: number | null;
  /** Of the personal token; `null`: all that the user may. */
  readonly scopes: readonly string[] | null;
  readonly actor: Actor;
}

export interface CallerParts {
  readonly settings: () => Pick<GatewaySettings, 'isTrustedProxy'>;
  /** Of `external_url` as it is now. */
  readonly sessionCookie: () => SessionCookie;
  readonly externalUrl: () => string;
  readonly sessionLimits: () => SessionLimits;
  readonly activity: SessionActivity;
  readonly csrfKey: Buffer;
  readonly personalTokenUsed: (id: number, now: number) => void;
}

/**
 * Rejects with `unauthorized`, in the same words whether credentials are unknown, ended, expired or of a blocked user; with
 * `forbidden` where a session's cookie came along from another site (`access/csrf.ts`).
 */
export async function identifyApiCaller(
  trx: Trx,
  request: IncomingMessage,
  requestId: string,
  parts: CallerParts,
): Promise<ApiCaller> {
  const now = Date.now();
  const text = bearerOf(request);
  const found = text === null ? await bySession(trx, request, now, parts) : await byPersonalToken(trx, text, now, parts);
  const { id, username, admin } = found.user;
  const address = clientAddress(request, parts.settings().isTrustedProxy);
  const actor: Actor = { kind: 'user', id, name: username, address, requestId };
  return { ...found, user: { id, username, admin }, actor };
}

/** The text of a bearer token; `null`: no `Authorization` header at all. Throws `unauthorized` for anything else. */
export function bearerOf({ headers: { authorization } }: IncomingMessage): string | null {
  if (authorization === undefined) return null;
  const text = /^bearer +(\S+)$/i.exec(authorization)?.[1];
  if (text === undefined) throw unauthorized('sign in, or bring a personal token as Authorization: Bearer');
  return text;
}

type Found = Omit<ApiCaller, 'actor' | 'user'> & { readonly user: User };

async function byPersonalToken(trx: Trx, text: string, now: number, parts: CallerParts): Promise<Found> {
  if (isTokenText(text))
    throw unauthorized('the token of an endpoint opens no part of this API: sign in, or bring a personal token');
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text))
    throw unauthorized('a JWT opens endpoints, and no part of this API: bring a personal token');
  const token = isPersonalTokenText(text) ? await findPersonalToken(trx, hashToken(text)) : undefined;
  // Before the user is looked up: what it costs must not tell that there was such a token.
  const alive = token !== undefined && token.revoked_at === null && (token.expires_at ?? Infinity) > now;
  const user = alive ? await activeUser(trx, token.user_id) : null;
  if (token === undefined || user === null) {
    throw unauthorized('the personal token is not valid: it is unknown, revoked or expired');
  }
  parts.personalTokenUsed(token.id, now);
  return { user, session: null, personalTokenId: token.id, scopes: scopesOf(token) };
}

/** Whatever cannot be read allows nothing. */
export function scopesOf({ scopes }: Pick<Row<'personal_tokens'>, 'scopes'>): string[] {
  const list: unknown = JSON.parse(scopes);
  return Array.isArray(list) ? list.map(String) : [];
}

async function bySession(trx: Trx, request: IncomingMessage, now: number, parts: CallerParts): Promise<Found> {
  const value = isCrossSite(request.headers) ? null : readSessionCookie(request.headers.cookie, parts.sessionCookie());
  if (value === null) throw unauthorized('sign in, or bring a personal token as Authorization: Bearer');
  const row = await trx
    .selectFrom('sessions')
    .select(['id', 'user_id', 'hash', 'created_at', 'expires_at'])
    .where('hash', '=', hashSessionCookie(value))
    .executeTakeFirst();
  const user = row === undefined ? null : await activeUser(trx, row.user_id);
  const times = row && { createdAt: row.created_at, expiresAt: row.expires_at };
  if (!row || !times || user === null || sessionEnd(times, parts.activity.lastSeen(row.id), parts.sessionLimits()) <= now) {
    throw unauthorized('the session has ended: sign in again');
  }
  const session = { id: row.id, hash: row.hash };
  if (!['GET', 'HEAD'].includes(request.method ?? '')) {
    checkCsrf(request.headers, request.headers['x-csrf-token'], {
      key: parts.csrfKey,
      session,
      externalUrl: parts.externalUrl(),
    });
  }
  parts.activity.note(row.id, now);
  return { user, session, personalTokenId: null, scopes: null };
}

async function activeUser(trx: Trx, id: number): Promise<User | null> {
  const row = await trx
    .selectFrom('users')
    .select(['id', 'username', 'admin', 'admin_by', 'state'])
    .where('id', '=', id)
    .executeTakeFirst();
  const user = row && userOf(row);
  return user === undefined || user.blocked ? null : user;
}

function unauthorized(message: string): PromgateError {
  return new PromgateError('unauthorized', message, { headers: { 'WWW-Authenticate': 'Bearer realm="promgate"' } });
}
