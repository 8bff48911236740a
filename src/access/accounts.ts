/** Accounts of people: making them, their passwords, blocking them. Each change writes its audit event with it. */
import { PromgateError } from '../errors.ts';
import type { Actor, AuditAction, AuditEvent } from '../ops/audit.ts';
import { recordEvents } from '../storage/audit.ts';
import { userObject } from '../storage/audit-objects.ts';
import { removeLinksOf } from '../storage/one-time-links.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { removeSessionsOf } from '../storage/sessions.ts';
import { forgetFailuresOf } from '../storage/sign-in-failures.ts';
import { findUser, findUserByName, insertUser, updateUser } from '../storage/users.ts';
import { type Passwords, passwordProblem } from './passwords.ts';

const MAX_NAME = 255;
const MAX_EMAIL = 254;

/** What is wrong with a username, in words for people, or `null`. All digits are for ids, which stand in the same place of URLs. */
export function usernameProblem(username: string): string | null {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/.test(username)) {
    return 'a username may hold only letters, digits, "_", "." and "-", must not start with "." or "-", and has at most 63 of them';
  }
  return /^\d+$/.test(username) ? 'a username must not be a number' : null;
}

/** Whether a person or a provider's rules made the user one. */
export function isAdministrator({ admin, admin_by }: Pick<Row<'users'>, 'admin' | 'admin_by'>): boolean {
  return admin === 1 || admin_by !== null;
}

export interface NewAccount {
  readonly username: string;
  /** Left out or blank: the username. */
  readonly name?: string;
  readonly email?: string | null;
  readonly admin?: boolean;
  /** From {@link Passwords.hash}, made before the transaction; `null`: cannot sign in with a password yet. */
  readonly passwordHash: string | null;
}

/** Throws `bad_data` for what cannot be, `conflict` where the username is taken. `actor` may be the new user, as far as it is known. */
export async function createAccount(
  trx: Trx,
  account: NewAccount,
  actor: Actor | Pick<Actor, 'address' | 'requestId'>,
  now: number,
): Promise<Row<'users'>> {
  const { username, email = null, admin = false, passwordHash } = account;
  const name = account.name?.trim() || username;
  const problem = usernameProblem(username) ?? nameProblem(name) ?? emailProblem(email);
  if (problem !== null) throw new PromgateError('bad_data', problem);
  const user = await insertUser(trx, { username, name, email, admin, passwordHash, createdAt: now });
  await record(
    trx,
    'kind' in actor ? actor : ownActor(user, actor.address, actor.requestId),
    'created',
    user,
    now,
    admin ? { admin } : {},
  );
  return user;
}

/** The user with this id or username. Throws `not_found`. */
export async function findAccount(trx: Trx, idOrName: string): Promise<Row<'users'>> {
  const isName = usernameProblem(idOrName) === null;
  const isId = /^\d{1,15}$/.test(idOrName);
  const user = isName ? await findUserByName(trx, idOrName) : isId ? await findUser(trx, Number(idOrName)) : undefined;
  if (user === undefined) throw new PromgateError('not_found', `there is no user ${idOrName}`);
  return user;
}

/** Checks a new password and makes its hash, before the transaction that stores it: it takes a while. Throws `bad_data`, `unavailable`. */
export async function hashNewPassword(passwords: Passwords, password: string, username: string): Promise<string> {
  const problem = passwordProblem(password, username);
  if (problem !== null) throw new PromgateError('bad_data', problem);
  return passwords.hash(password);
}

/** Ends all sessions of the user but `keepSession`, and what one-time links there are. Failed sign-ins were with another password. */
export async function setPassword(
  trx: Trx,
  user: Row<'users'>,
  passwordHash: string,
  { actor, keepSession = null, now }: { actor: Actor; keepSession?: number | null; now: number },
): Promise<void> {
  await updateUser(trx, user.id, { password_hash: passwordHash });
  await removeLinksOf(trx, user.id);
  await forgetFailuresOf(trx, user.id);
  const sessions = await removeSessionsOf(trx, user.id, keepSession);
  await record(trx, actor, 'password_changed', user, now, { sessions_ended: sessions });
}

/** Ends all sessions of the user. Nothing happens where it is so already. */
export async function blockAccount(trx: Trx, user: Row<'users'>, actor: Actor, now: number): Promise<void> {
  if (user.state === 'blocked') return;
  await updateUser(trx, user.id, { state: 'blocked' });
  await removeLinksOf(trx, user.id);
  await removeSessionsOf(trx, user.id);
  await record(trx, actor, 'blocked', user, now);
}

/** Failed sign-ins are forgotten with it. Nothing happens where it is so already. */
export async function unblockAccount(trx: Trx, user: Row<'users'>, actor: Actor, now: number): Promise<void> {
  if (user.state === 'active') return;
  await updateUser(trx, user.id, { state: 'active' });
  await forgetFailuresOf(trx, user.id);
  await record(trx, actor, 'unblocked', user, now);
}

/** Whoever had to wait for another attempt need not any more. Nothing is recorded where there were none. */
export async function forgetFailedSignIns(trx: Trx, user: Row<'users'>, actor: Actor, now: number): Promise<void> {
  const wereSome = await forgetFailuresOf(trx, user.id);
  if (wereSome) await record(trx, actor, 'changed', user, now, { fields: ['failed_sign_ins'] });
}

/** Somebody who does something to the own account. */
export function ownActor(user: Pick<Row<'users'>, 'id' | 'username'>, address: string | null, requestId: string | null): Actor {
  return { kind: 'user', id: user.id, name: user.username, address, requestId };
}

async function record(
  trx: Trx,
  actor: Actor,
  action: AuditAction,
  user: Row<'users'>,
  now: number,
  detail: NonNullable<AuditEvent['detail']> = {},
): Promise<void> {
  await recordEvents(trx, [{ actor, action, object: userObject(user), detail }], now);
}

function nameProblem(name: string): string | null {
  if (/\p{Cc}/u.test(name)) return 'a name must not hold control characters';
  return name.length > MAX_NAME ? `a name may have at most ${MAX_NAME} characters` : null;
}

/** As much as can be said without writing to it. */
export function emailProblem(email: string | null): string | null {
  if (email === null || (/^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u.test(email) && email.length <= MAX_EMAIL)) return null;
  return 'an e-mail address has one "@", no spaces, and at most 254 characters';
}
