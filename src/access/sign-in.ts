/** Signing in with a password. Whoever may not learns nothing of why: not whether there is such an account, nor what it lacks. */
import { PromgateError } from '../errors.ts';
import type { AuditAction, AuditEvent, AuditObject } from '../ops/audit.ts';
import { recordEvents } from '../storage/audit.ts';
import { userObject } from '../storage/audit-objects.ts';
import type { Database } from '../storage/database.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { findUser, findUserByName, updateUser } from '../storage/users.ts';
import { ownActor, usernameProblem } from './accounts.ts';
import type { Passwords } from './passwords.ts';
import { type SessionLimits, type SessionOrigin, startSession } from './sessions.ts';
import type { Attempt, Throttle } from './throttle.ts';

export interface PasswordParts {
  readonly database: Pick<Database, 'read' | 'write'>;
  readonly passwords: Passwords;
  readonly throttle: Throttle;
  /** Takes what was refused; its writing waits for nobody. */
  readonly refusals: { note(event: AuditEvent): void };
}

export interface SignInParts extends PasswordParts {
  readonly sessions: () => SessionLimits;
}

/** What is typed, and by whom. */
export interface PasswordAttempt {
  readonly username: string;
  readonly password: string;
  /** Of the client. */
  readonly address: string;
  readonly requestId: string;
}

/**
 * A new session for whoever knows the password. Throws `unauthorized`, in the same words whatever is wrong; `too_many_requests`
 * after too many attempts, and then no password was looked at; `unavailable` where too many sign in at once.
 */
export async function signInWithPassword(
  parts: SignInParts,
  typed: PasswordAttempt & Pick<SessionOrigin, 'userAgent' | 'previousCookie'>,
  now = Date.now(),
): Promise<{ user: Row<'users'>; cookie: string }> {
  const { user: known, attempt, outdated } = await checkPassword(parts, typed, now);
  // Nobody has to wait for a better hash when there is no time for it.
  const better = outdated ? await parts.passwords.hash(typed.password).catch(() => null) : null;
  return parts.database.write(async (trx) => {
    const user = await findUser(trx, known.id);
    // Meanwhile the password was changed, or the account blocked.
    if (user === undefined || user.state !== 'active' || user.password_hash !== known.password_hash) throw wrong();
    await attempt.succeeded(trx);
    if (better !== null) await updateUser(trx, user.id, { password_hash: better });
    const context = { lifetime: parts.sessions().lifetime, requestId: typed.requestId, now };
    const { cookie } = await beginSession(trx, user, { ...typed, provider: null }, context);
    return { user, cookie };
  });
}

/**
 * Whose password it is. Each attempt is counted, and failed unless `attempt` is told otherwise. Throws as
 * {@link signInWithPassword} does; what is refused is noted. What was typed for the name of an unknown user is not: at times it
 * is a password.
 */
export async function checkPassword(
  { database, throttle, passwords, refusals }: PasswordParts,
  { username, password, address, requestId }: PasswordAttempt,
  now: number,
): Promise<{ user: Row<'users'>; attempt: Attempt; outdated: boolean }> {
  const user = usernameProblem(username) === null ? await database.read((trx) => findUserByName(trx, username)) : undefined;
  const object: AuditObject = user ? userObject(user) : { kind: 'user', id: null, name: '', groupIds: [], projectId: null };
  const refuse = (reason: string): void => {
    const actor = { kind: 'anonymous', id: null, name: '', address, requestId } as const;
    refusals.note({ actor, action: 'sign_in_refused', object, detail: { reason } });
  };
  const attempt = await throttle.enter({ username, userId: user?.id ?? null }, address, now).catch((error: unknown) => {
    if (error instanceof PromgateError && error.code === 'too_many_requests') refuse('too many attempts');
    throw error;
  });
  const { right, outdated } = await passwords.verify(password, user?.password_hash ?? null).catch(async (error: unknown) => {
    await attempt.withdraw();
    throw error;
  });
  if (user !== undefined && right && user.state === 'active') return { user, attempt, outdated };
  refuse(user === undefined ? 'no such user' : right ? 'blocked' : 'wrong password');
  throw wrong();
}

/** A session with what goes with it: the time of the sign-in, the event. For whoever was found to be this user in whatever way. */
export async function beginSession(
  trx: Trx,
  user: Row<'users'>,
  origin: SessionOrigin,
  { lifetime, requestId, now }: { lifetime: number; requestId: string; now: number },
): Promise<{ cookie: string; id: number }> {
  const session = await startSession(trx, user, origin, { lifetime, now });
  await updateUser(trx, user.id, { last_sign_in_at: now });
  const action: AuditAction = 'signed_in';
  const detail = origin.provider === null ? {} : { provider: origin.provider };
  const actor = ownActor(user, origin.address, requestId);
  await recordEvents(trx, [{ actor, action, object: userObject(user), detail }], now);
  return session;
}

function wrong(): PromgateError {
  return new PromgateError('unauthorized', 'wrong username or password');
}
