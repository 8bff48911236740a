/** What comes first for whatever the gateway is asked: who asks, and on which server what they ask for is answered. */
import type { IncomingMessage } from 'node:http';
import { authenticate, covers } from '../access/authenticate.ts';
import type { Caller, TokenCaller, UserCaller } from '../access/caller.ts';
import { clientAddress } from '../access/client-address.ts';
import { type PermissionName, permits } from '../access/permissions.ts';
import type { SignedIn } from '../access/sessions.ts';
import type { Workloads } from '../access/workload.ts';
import type { Target, Token } from '../directory/model.ts';
import type { User } from '../directory/people.ts';
import type { Directory } from '../directory/snapshot.ts';
import { PromgateError } from '../errors.ts';
import { type Binding, bind, type InstanceRules } from '../upstream/binding.ts';

export interface GatewaySettings extends InstanceRules {
  /** Path of `external_url`, without trailing slash. */
  readonly basePath: string;
  readonly corsOrigins: readonly string[];
  readonly isTrustedProxy: (address: string) => boolean;
}

export interface EntranceParts {
  readonly directory: () => Directory;
  /** Who is signed in with the request's cookie. */
  readonly signedIn: (request: IncomingMessage, now: number) => SignedIn | null;
  readonly workloads: Workloads;
  readonly tokenUsed: (token: Token, now: number) => void;
}

/**
 * Whoever asks: by the `Authorization` header where there is one, else by the session's cookie. A promise only for a JWT that has
 * not been seen before. Throws (or rejects with) `unauthorized`, in the same words whatever is wrong.
 */
export function identify(
  request: IncomingMessage,
  { isTrustedProxy }: Pick<GatewaySettings, 'isTrustedProxy'>,
  { directory, signedIn, workloads, tokenUsed }: EntranceParts,
): Caller | Promise<Caller> {
  const now = Date.now();
  const { authorization } = request.headers;
  if (authorization === undefined) {
    const found = signedIn(request, now);
    if (found === null) throw unauthorized();
    return userCaller(found.user, { sessionId: found.session.id, scopes: null }, directory);
  }
  const address = () => clientAddress(request, isTrustedProxy);
  const token = authenticate(authorization, request.socket, directory(), address, now);
  if (token !== null) {
    tokenUsed(token, now);
    return tokenCaller(token);
  }
  const jwt = /^bearer +(\S+)$/i.exec(authorization)?.[1];
  if (jwt === undefined || !workloads.looksLikeJwt(jwt)) throw unauthorized();
  const workload = workloads.identify(jwt);
  return workload instanceof Promise ? workload.then(known) : known(workload);
}

function known(caller: Caller | null): Caller {
  if (caller === null) throw unauthorized();
  return caller;
}

function unauthorized(): PromgateError {
  const message =
    'a valid token is required: HTTP Basic with its username and the token, or Bearer with the token or the JWT of a trusted issuer';
  return new PromgateError('unauthorized', message, { headers: { 'WWW-Authenticate': 'Basic realm="promgate"' } });
}

const tokenCallers = new WeakMap<Token, TokenCaller>();

function tokenCaller(token: Token): TokenCaller {
  let caller = tokenCallers.get(token);
  if (caller === undefined) {
    caller = { kind: 'token', token, key: `token ${token.id}`, opens: (target) => covers(token, target) };
    tokenCallers.set(token, caller);
  }
  return caller;
}

/** A user as the directory knows it. */
export function userCaller(
  user: User,
  by: Pick<UserCaller, 'sessionId' | 'scopes'>,
  directory: EntranceParts['directory'],
): UserCaller {
  const opens = (target: Target) => userMay('metrics.read', { user, scopes: by.scopes }, target, directory());
  return { kind: 'user', user, ...by, key: `user ${user.id}`, opens };
}

/** Whether the user, coming as they do, has the permission on what the target is. */
export function userMay(
  permission: PermissionName,
  { user, scopes }: Pick<UserCaller, 'user' | 'scopes'>,
  target: Target,
  { people }: Directory,
): boolean {
  return permits(permission, { admin: user.admin, role: people.roleOn(user.id, target), scopes });
}

/** One text for what does not exist and what is not the caller's to see. */
export function notFound(): PromgateError {
  return new PromgateError('not_found', 'not found: no such endpoint, or it is not yours to see');
}

/** A target may be a whole URL too (RFC 9112, 3.2.2); its host says nothing here. */
export function originForm(target: string): string {
  return target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?]*/i, '');
}

/**
 * Bindings, remembered for each target until the directory or the settings change. The function throws `unavailable` where no
 * server answers for the target, or the one that does must not be asked.
 */
export function bindingsOf({
  directory,
}: Pick<EntranceParts, 'directory'>): (target: Target, instance: InstanceRules) => Binding {
  let memory = new WeakMap<Target, Binding>();
  let generation = -1;
  let current: InstanceRules | null = null;
  return (target, instance) => {
    const now = directory();
    if (generation !== now.generation || current !== instance) {
      memory = new WeakMap();
      generation = now.generation;
      current = instance;
    }
    let binding = memory.get(target);
    if (binding === undefined) {
      const server = now.server(target);
      if (server === null) throw new PromgateError('unavailable', 'No prometheus server found');
      binding = bind(target, server, instance, now.purges);
      memory.set(target, binding);
    }
    return binding;
  };
}
