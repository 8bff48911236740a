/** Credentials on the data plane (contract §4): who asks, and may they ask here. */
import { timingSafeEqual } from 'node:crypto';
import type { Target, Token } from '../directory/model.ts';
import type { Directory } from '../directory/snapshot.ts';
import { networkMatcher } from './networks.ts';
import { hashToken, isTokenText } from './token-text.ts';

/**
 * The token that an `Authorization` header holds, `null` for every kind of failure alike: none, malformed, unknown,
 * revoked, expired, wrong username, wrong network. `clientAddress` is asked only for tokens that are bound to networks.
 */
export function authenticate(
  authorization: string | undefined,
  directory: Pick<Directory, 'tokenByHash'>,
  clientAddress: () => string,
  now: number,
): Token | null {
  const credentials = readCredentials(authorization);
  if (credentials === null || !isTokenText(credentials.secret)) return null;
  const hash = hashToken(credentials.secret);
  const token = directory.tokenByHash(hash);
  if (token === undefined || !isAlive(token, hash, now)) return null;
  if (credentials.username !== null && credentials.username !== token.username) return null;
  if (token.allowedNetworks.length > 0 && !networksOf(token)(clientAddress())) return null;
  return token;
}

/** Whether a token opens the endpoint of `target`: its own, or anything below it. */
export function covers(token: Token, target: Target): boolean {
  const scope = token.target;
  if (scope.level === 'environment') return target.level === 'environment' && target.environment === scope.environment;
  const project =
    target.level === 'environment' ? target.environment.project : target.level === 'project' ? target.project : null;
  if (scope.level === 'project') return project === scope.project;
  let group = target.level === 'group' ? target.group : (project?.group ?? null);
  while (group !== null && group !== scope.group) group = group.parent;
  return group !== null;
}

interface Credentials {
  /** `null` with Bearer, which names nobody. */
  readonly username: string | null;
  readonly secret: string;
}

function readCredentials(authorization: string | undefined): Credentials | null {
  if (authorization === undefined) return null;
  const space = authorization.indexOf(' ');
  const scheme = authorization.slice(0, space).toLowerCase();
  const value = authorization.slice(space + 1).trim();
  if (scheme === 'bearer') return { username: null, secret: value };
  if (scheme !== 'basic') return null;
  const decoded = Buffer.from(value, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon === -1 ? null : { username: decoded.slice(0, colon), secret: decoded.slice(colon + 1) };
}

function isAlive(token: Token, hash: string, now: number): boolean {
  if (token.expiresAt !== null && token.expiresAt <= now) return false;
  if (sameText(hash, token.hash)) return true;
  return token.previousHash !== null && sameText(hash, token.previousHash) && (token.previousExpiresAt ?? 0) > now;
}

/** Compares secrets in a time that depends on their lengths alone. */
function sameText(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

const matchers = new WeakMap<Token, (address: string) => boolean>();

function networksOf(token: Token): (address: string) => boolean {
  let matcher = matchers.get(token);
  if (matcher === undefined) {
    matcher = networkMatcher(token.allowedNetworks);
    matchers.set(token, matcher);
  }
  return matcher;
}
