/** Whose account it is that somebody comes with from a provider, and what else a sign-in changes: all in one transaction. */
import type { OidcProvider } from '../config/identity.ts';
import { PromgateError } from '../errors.ts';
import type { Actor, AuditEvent } from '../ops/audit.ts';
import { recordEvents } from '../storage/audit.ts';
import { identityObject, userObject } from '../storage/audit-objects.ts';
import { findIdentity, identitiesOf, insertIdentity, type Subject, touchIdentity } from '../storage/identities.ts';
import { oidcSource } from '../storage/members.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { findUser, findUserByName, usersByEmail } from '../storage/users.ts';
import { createAccount, ownActor } from './accounts.ts';
import type { Claims } from './claims.ts';
import { displayName, fittingUsername, isSameAddress, numberedUsername, subjectOf, verifiedEmail } from './oidc-claims.ts';
import { applyRules } from './oidc-roles.ts';
import type { SessionOrigin } from './sessions.ts';
import { beginSession } from './sign-in.ts';

/** Somebody whom the provider has signed in. */
export interface Arrival {
  readonly provider: OidcProvider;
  readonly claims: Claims;
  readonly from: Pick<SessionOrigin, 'address' | 'userAgent' | 'previousCookie'>;
  readonly requestId: string;
  /** Told of each path in the provider's rules that names nothing. */
  readonly missing: (path: string) => void;
}

/** Nobody is let in. `event` is for the log of refusals, to be noted once the transaction is undone. */
export class ArrivalRefused extends PromgateError {
  readonly event: AuditEvent;

  constructor(code: 'forbidden' | 'conflict', message: string, event: AuditEvent) {
    super(code, message);
    this.name = 'ArrivalRefused';
    this.event = event;
  }
}

/**
 * Signs in whoever has the account of the provider: the user that it is linked to; else, where `linkByEmail` allows, the only one
 * with the address that the provider made sure of; else, where `signUp` allows, a new one. Throws {@link ArrivalRefused}, in the
 * same words for somebody unknown and somebody blocked. Gives the cookie's value; `lifetime` in milliseconds.
 */
export async function signInArrival(
  trx: Trx,
  arrival: Arrival,
  { lifetime, now }: { lifetime: number; now: number },
): Promise<{ user: Row<'users'>; cookie: string }> {
  const { provider } = arrival;
  const subject = subjectIn(arrival);
  const identity = await findIdentity(trx, subject);
  const known = identity === undefined ? await userByEmail(trx, arrival, subject) : await findUser(trx, identity.user_id);
  if (known === undefined && (identity !== undefined || !provider.signUp)) throw refused(arrival, null);
  if (known !== undefined && known.state !== 'active') throw refused(arrival, known);
  const user = known ?? (await signUp(trx, arrival, now));
  const linked = identity ?? (await link(trx, arrival, subject, user, now));
  await recordEvents(trx, await settle(trx, arrival, user, linked, now), now);
  const context = { lifetime, requestId: arrival.requestId, now };
  const { cookie } = await beginSession(trx, user, { ...arrival.from, provider: provider.name }, context);
  return { user, cookie };
}

/**
 * Links the account to the user who asked for it while signed in. Throws {@link ArrivalRefused} where it is another user's, or the
 * user has another one at this provider.
 */
export async function linkArrival(trx: Trx, arrival: Arrival, userId: number, now: number): Promise<void> {
  const subject = subjectIn(arrival);
  const user = await findUser(trx, userId);
  if (user === undefined || user.state !== 'active') throw refused(arrival, user ?? null);
  const identity = await findIdentity(trx, subject);
  const { label } = arrival.provider;
  if (identity !== undefined && identity.user_id !== user.id) {
    throw notLinked(arrival, user, `This account of ${label} belongs to another user here. Sign in with it, or use another one.`);
  }
  if (identity === undefined && (await hasIdentityAt(trx, user, subject))) {
    throw notLinked(arrival, user, `Another account of ${label} is linked to yours. Remove that one first.`);
  }
  const linked = identity ?? (await link(trx, arrival, subject, user, now));
  await recordEvents(trx, await settle(trx, arrival, user, linked, now), now);
}

function subjectIn(arrival: Arrival): Subject {
  const subject = subjectOf(arrival.claims);
  if (subject === null) throw refused(arrival, null);
  return { issuer: arrival.provider.issuer, subject };
}

/**
 * The user to link by the address. Not one who has an account at this provider already: an address that went to somebody else
 * there must not bring its old owner's account along.
 */
async function userByEmail(trx: Trx, { provider, claims }: Arrival, subject: Subject): Promise<Row<'users'> | undefined> {
  const email = provider.linkByEmail ? verifiedEmail(claims) : null;
  if (email === null) return undefined;
  // The database may take more letters for the same than are.
  const [user, ...others] = (await usersByEmail(trx, email)).filter((each) => isSameAddress(each.email ?? '', email));
  if (user === undefined || others.length > 0 || (await hasIdentityAt(trx, user, subject))) return undefined;
  return user;
}

async function hasIdentityAt(trx: Trx, user: Row<'users'>, { issuer }: Subject): Promise<boolean> {
  return (await identitiesOf(trx, user.id)).some((identity) => identity.issuer === issuer);
}

async function signUp(trx: Trx, arrival: Arrival, now: number): Promise<Row<'users'>> {
  const { claims, provider } = arrival;
  const username = await freeUsername(trx, fittingUsername(claims, provider.usernameClaim));
  // An address that nobody made sure of would let its bearer in wherever accounts are linked by it.
  const account = { username, name: displayName(claims, username), email: verifiedEmail(claims), passwordHash: null };
  return createAccount(trx, account, providerActor(arrival), now);
}

/** Writers take turns, so it stays free until the transaction ends. */
async function freeUsername(trx: Trx, username: string): Promise<string> {
  for (let count = 1; ; count++) {
    const candidate = numberedUsername(username, count);
    if ((await findUserByName(trx, candidate)) === undefined) return candidate;
  }
}

async function link(trx: Trx, arrival: Arrival, subject: Subject, user: Row<'users'>, now: number): Promise<Row<'identities'>> {
  const identity = await insertIdentity(trx, { userId: user.id, provider: arrival.provider.name, ...subject, at: now });
  const event = {
    actor: ownActor(user, arrival.from.address, arrival.requestId),
    action: 'linked' as const,
    object: identityObject(identity, user),
  };
  await recordEvents(trx, [{ ...event, detail: { issuer: subject.issuer, subject: subject.subject } }], now);
  return identity;
}

/** What every coming changes: when it was, and what the rules give. */
async function settle(
  trx: Trx,
  arrival: Arrival,
  user: Row<'users'>,
  identity: Row<'identities'>,
  at: number,
): Promise<AuditEvent[]> {
  const { provider, claims, missing } = arrival;
  await touchIdentity(trx, identity.id, provider.name, at);
  return applyRules(trx, user, provider, claims, { actor: providerActor(arrival), at, missing });
}

/** Blocked where `user` is known, else unknown. */
function refused(arrival: Arrival, user: Row<'users'> | null): ArrivalRefused {
  const message = 'There is no account for you here, or it is blocked. An administrator of this Promgate can help.';
  return new ArrivalRefused('forbidden', message, refusal(arrival, user, user === null ? 'no such user' : 'blocked'));
}

function notLinked(arrival: Arrival, user: Row<'users'>, message: string): ArrivalRefused {
  const actor = ownActor(user, arrival.from.address, arrival.requestId);
  return new ArrivalRefused('conflict', message, { ...refusal(arrival, user, 'not to be linked'), actor, action: 'refused' });
}

function refusal({ provider, claims, from, requestId }: Arrival, user: Row<'users'> | null, reason: string): AuditEvent {
  return {
    actor: { kind: 'anonymous', id: null, name: '', address: from.address, requestId },
    action: 'sign_in_refused',
    object: user === null ? { kind: 'user', id: null, name: '', groupIds: [], projectId: null } : userObject(user),
    detail: { reason, provider: provider.name, subject: subjectOf(claims) },
  };
}

/** For what the provider's rules, and not the person, decide. */
function providerActor({ provider, from, requestId }: Arrival): Actor {
  return { kind: 'system', id: null, name: oidcSource(provider.name), address: from.address, requestId };
}
