/** One-time links: how the first administrator comes to be, and how somebody without a password gets one. */
import { hash, randomBytes } from 'node:crypto';
import { PromgateError } from '../errors.ts';
import { theInstance } from '../ops/audit.ts';
import { recordEvents } from '../storage/audit.ts';
import type { Database } from '../storage/database.ts';
import { findLink, insertLink, removeLinksOf } from '../storage/one-time-links.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { findUser, hasAdministrator } from '../storage/users.ts';
import { createAccount, hashNewPassword, ownActor, setPassword, usernameProblem } from './accounts.ts';
import type { Passwords } from './passwords.ts';

/** Milliseconds. */
export const LINK_LIFETIME = 24 * 3_600_000;

/** The link's secret, which is stored nowhere. A user's older links die by it. The caller records it. Times in milliseconds. */
export async function createOneTimeLink(
  trx: Trx,
  userId: number | null,
  { lifetime = LINK_LIFETIME, now }: { lifetime?: number; now: number },
): Promise<string> {
  if (userId !== null) await removeLinksOf(trx, userId);
  const text = randomBytes(32).toString('base64url');
  await insertLink(trx, { hash: hash('sha256', text), user_id: userId, created_at: now, expires_at: now + lifetime });
  return text;
}

/** Where the person opens it. */
export function linkUrl(externalUrl: string, text: string): string {
  return `${externalUrl}/-/setup?token=${text}`;
}

/** The link of the first administrator, for whoever starts Promgate; `null` where there is an administrator. Never to be logged. */
export function setupLink(database: Pick<Database, 'write'>, externalUrl: string, now = Date.now()): Promise<string | null> {
  return database.write(async (trx) => {
    if (await hasAdministrator(trx)) return null;
    const text = await createOneTimeLink(trx, null, { now });
    const actor = { kind: 'system', id: null, name: '', address: null, requestId: null } as const;
    await recordEvents(trx, [{ actor, action: 'one_time_link_created', object: theInstance }], now);
    return linkUrl(externalUrl, text);
  });
}

/** Whom a link is for: a user, who gets a new password, or the first administrator, who does not exist yet. */
export type LinkHolder = { readonly user: Row<'users'> } | { readonly user: null };

/** `null` for every kind of link alike that is not good: unknown, used, expired, of a blocked user, no longer needed. */
export async function findLinkHolder(trx: Trx, text: string, now: number): Promise<LinkHolder | null> {
  const link = await findLink(trx, hash('sha256', text), now);
  if (link === undefined) return null;
  if (link.user_id === null) return (await hasAdministrator(trx)) ? null : { user: null };
  const user = await findUser(trx, link.user_id);
  return user === undefined || user.state !== 'active' ? null : { user };
}

export interface LinkForm {
  /** For the first administrator. */
  readonly username?: string;
  readonly name?: string;
  readonly password: string;
}

/**
 * Uses the link: makes the first administrator, or gives its user the password and ends the user's sessions. `then` is part of the
 * same transaction, such as signing in. Throws `not_found` for a link that is not good (any more), `bad_data` for what was filled in.
 */
export async function useOneTimeLink<T>(
  { database, passwords }: { database: Pick<Database, 'read' | 'write'>; passwords: Passwords },
  text: string,
  { username = '', name = '', password }: LinkForm,
  { address, requestId, now }: { address: string; requestId: string; now: number },
  then: (trx: Trx, user: Row<'users'>) => Promise<T>,
): Promise<T> {
  const holder = await database.read((trx) => findLinkHolder(trx, text, now));
  // Before the work of the hash: who has no link cannot make us do it.
  if (holder === null) throw linkIsGone();
  const problem = holder.user === null ? usernameProblem(username) : null;
  if (problem !== null) throw new PromgateError('bad_data', problem);
  const passwordHash = await hashNewPassword(passwords, password, holder.user?.username ?? username);
  return database.write(async (trx) => {
    const holder = await findLinkHolder(trx, text, now);
    if (holder === null) throw linkIsGone();
    if (holder.user === null) {
      await removeLinksOf(trx, null);
      return then(trx, await createAccount(trx, { username, name, admin: true, passwordHash }, { address, requestId }, now));
    }
    const { user } = holder;
    await setPassword(trx, user, passwordHash, { actor: ownActor(user, address, requestId), now });
    return then(trx, user);
  });
}

/** Alike for every kind of link that is not good. */
export function linkIsGone(): PromgateError {
  return new PromgateError(
    'not_found',
    'this link is not good any more: it works once, for a day. Ask an administrator for a new one; ' +
      'as long as there is none, Promgate prints one when it starts',
  );
}
