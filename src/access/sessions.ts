/** Sessions of people: starting them, and who is signed in, from the snapshot alone. */
import { randomBytes } from 'node:crypto';
import type { People, Session, User } from '../directory/people.ts';
import type { Trx } from '../storage/schema.ts';
import { insertSession, removeOldestSessions, removeSessionByHash } from '../storage/sessions.ts';
import { hashSessionCookie, readSessionCookie, type SessionCookie } from './session-cookie.ts';

/** Of one user at once. The oldest ends when there is one more: a script that signs in every minute must not fill the table. */
const MOST_SESSIONS = 100;
const MAX_USER_AGENT = 255;

export interface SignedIn {
  readonly user: User;
  readonly session: Session;
}

/** Milliseconds; as they are set now, also for sessions that are older than the setting. */
export interface SessionLimits {
  readonly idle: number;
  readonly lifetime: number;
}

/** Where a person signs in from, and by what. */
export interface SessionOrigin {
  readonly address: string;
  readonly userAgent: string | undefined;
  /** Name of the OpenID provider; `null`: with a password. */
  readonly provider: string | null;
  /** Value of the cookie that came along. Its session ends: nobody who knows that cookie is signed in by this. */
  readonly previousCookie: string | null;
}

/**
 * A new session. `cookie` is the only place that ever holds the cookie's value; `lifetime` in milliseconds, `now` in Unix
 * milliseconds. The caller has made sure of who it is, and that the user is not blocked.
 */
export async function startSession(
  trx: Trx,
  user: { readonly id: number },
  { address, userAgent = '', provider, previousCookie }: SessionOrigin,
  { lifetime, now }: { lifetime: number; now: number },
): Promise<{ cookie: string; id: number }> {
  if (previousCookie !== null) await removeSessionByHash(trx, hashSessionCookie(previousCookie));
  const cookie = randomBytes(32).toString('base64url');
  const id = await insertSession(trx, {
    user_id: user.id,
    hash: hashSessionCookie(cookie),
    created_at: now,
    expires_at: now + lifetime,
    address,
    user_agent: userAgent.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_USER_AGENT),
    provider,
  });
  await removeOldestSessions(trx, user.id, MOST_SESSIONS);
  return { cookie, id };
}

/** Until when a session is good if nobody uses it from now on. `lastSeen`: 0 where it is not known. Unix milliseconds. */
export function sessionEnd(
  session: Pick<Session, 'createdAt' | 'expiresAt'>,
  lastSeen: number,
  { idle, lifetime }: SessionLimits,
): number {
  return Math.min(session.expiresAt, session.createdAt + lifetime, Math.max(session.createdAt, lastSeen) + idle);
}

/**
 * Who is signed in by a `Cookie` header; `null` for every kind of failure alike: none, several, unknown, ended, expired, idle for
 * too long, blocked. Notes that the session was used. Whether the cookie may count at all (`isCrossSite`) is the caller's matter.
 */
export function identifySession(
  cookieHeader: string | undefined,
  cookie: SessionCookie,
  people: Pick<People, 'user' | 'sessionByHash'>,
  activity: Pick<SessionActivity, 'lastSeen' | 'note'>,
  limits: SessionLimits,
  now: number,
): SignedIn | null {
  const value = readSessionCookie(cookieHeader, cookie);
  if (value === null) return null;
  const session = people.sessionByHash(hashSessionCookie(value));
  if (session === undefined || sessionEnd(session, activity.lastSeen(session.id), limits) <= now) return null;
  const user = people.user(session.userId);
  if (user === undefined || user.blocked) return null;
  activity.note(session.id, now);
  return { user, session };
}

/** When sessions were last seen, by any process. See `session-activity.ts`. */
export interface SessionActivity {
  /** Unix milliseconds; 0: not known. */
  lastSeen(sessionId: number): number;
  /** In memory; nothing waits for the database. */
  note(sessionId: number, now: number): void;
}
