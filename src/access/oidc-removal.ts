/** What goes when a provider is no longer in the configuration, and when somebody removes the link to an account there. */
import type { OidcProvider } from '../config/identity.ts';
import { PromgateError } from '../errors.ts';
import type { Actor, AuditEvent } from '../ops/audit.ts';
import { recordEvents } from '../storage/audit.ts';
import { identityObject, memberObject, userObject } from '../storage/audit-objects.ts';
import type { Database } from '../storage/database.ts';
import { deleteIdentity, identitiesOf } from '../storage/identities.ts';
import { deleteMembers, membershipsOf, oidcSource } from '../storage/members.ts';
import { endSessionsBy, type Granted, grantedWithoutAccount } from '../storage/oidc-grants.ts';
import type { Trx } from '../storage/schema.ts';
import { findUser, updateUser } from '../storage/users.ts';

const system: Actor = { kind: 'system', id: null, name: '', address: null, requestId: null };
/** Users in one transaction, so that nobody waits long to write. */
const AT_ONCE = 100;

/**
 * Takes from all users what came from a provider that is not configured (any more), or that has another issuer now: roles, being
 * an administrator, sessions. Identities stay: they do nothing without their provider, and work again with it. To be called at the
 * start and when the configuration is read again. `now` in Unix milliseconds.
 */
export async function dropMissingProviders(
  database: Database,
  providers: readonly Pick<OidcProvider, 'name' | 'issuer'>[],
  now: number = Date.now(),
): Promise<void> {
  // In its turn among those who write: a sign-in that still found the provider is seen.
  const stranded = await database.write((trx) => grantedWithoutAccount(trx, providers));
  for (let start = 0; start < stranded.length; start += AT_ONCE) {
    await database.write(async (trx) => {
      for (const each of stranded.slice(start, start + AT_ONCE)) await takeAway(trx, each, system, now);
    });
  }
}

/**
 * Removes the link to an account at a provider, with what that gave. Gives `false` where the user has no such identity. Throws
 * `conflict` where nothing would be left to sign in with.
 */
export async function unlinkIdentity(trx: Trx, userId: number, identityId: number, actor: Actor, now: number): Promise<boolean> {
  const user = await findUser(trx, userId);
  const identities = await identitiesOf(trx, userId);
  const identity = identities.find(({ id }) => id === identityId);
  if (user === undefined || identity === undefined) return false;
  if (identities.length === 1 && user.password_hash === null) {
    throw new PromgateError(
      'conflict',
      'This is the only way to sign in to this account. Set a password first, or link another account.',
    );
  }
  await deleteIdentity(trx, identity.id);
  await recordEvents(trx, [{ actor, action: 'removed', object: identityObject(identity, user) }], now);
  await takeAway(trx, { userId, provider: identity.provider }, actor, now);
  return true;
}

/** All that one user has from one provider. */
async function takeAway(trx: Trx, { userId, provider }: Granted, actor: Actor, now: number): Promise<void> {
  const user = await findUser(trx, userId);
  if (user === undefined) return;
  const source = oidcSource(provider);
  const events: AuditEvent[] = [];
  const memberships = (await membershipsOf(trx, userId)).filter((row) => row.source === source);
  for (const row of memberships) {
    events.push({ actor, action: 'removed', object: await memberObject(trx, row), detail: { role: row.role, source } });
  }
  await deleteMembers(
    trx,
    memberships.map(({ id }) => id),
  );
  if (user.admin_by === provider) {
    await updateUser(trx, userId, { admin_by: null });
    events.push({ actor, action: 'changed', object: userObject(user), detail: { fields: ['admin'], admin: false, source } });
  }
  const sessions = await endSessionsBy(trx, { userId, provider });
  if (sessions > 0) events.push({ actor, action: 'signed_out', object: userObject(user), detail: { sessions, provider } });
  await recordEvents(trx, events, now);
}
