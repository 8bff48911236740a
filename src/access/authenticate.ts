/** Credentials on the data plane (contract §4): who asks, and may they ask here. */
import { timingSafeEqual } from 'node:crypto';
import type { Target, Token } from '../directory/model.ts';
import type { Directory } from '../directory/snapshot.ts';
import { networkMatcher } from './networks.ts';
import { hashToken, isTokenText } from './token-text.ts';

/**
 * The token that an `Authorization` header holds, `null` for every kind of failure alike: none, malformed, unknown,
 * revoked, expired, wrong username, wrong network. `clientAddress` is asked only for tokens that are bound to networks.
 * `connection` is what the header came by: the same one mostly brings the same header.
 */
export function authenticate(
  authorization: string | undefined,
  connection: object,
  directory: Pick<Directory, 'tokenByHash'>,
  clientAddress: () => string,
  now: number,
): Token | null {
  if (authorization === undefined) return null;
  const presented = read(authorization, connection);
  if (presented === null) return null;
  const { username, hash } = presented;
  const token = directory.tokenByHash(hash);
  if (token === undefined || !isAlive(token, hash, now)) return null;
  if (username !== null && username !== token.username) return null;
  if (token.allowedNetworks.length > 0 && !networksOf(token)(clientAddress())) return null;
  return token;
}

/** Whether a token opens the endpoint of `target`: its own, or anything below it. */
export function covers(token: Token, target: Target): boolean {
  return contains(token.target, target);
}

/** Whether `target` is `scope` itself, or lies below it. */
export function contains(scope: Target, target: Target): boolean {
  if (scope.level === 'environment') return target.level === 'environment' && target.environment === scope.environment;
  const project =
    target.level === 'environment' ? target.environment.project : target.level === 'project' ? target.project : null;
  if (scope.level === 'project') return project === scope.project;
  let group = target.level === 'group' ? target.group : (project?.group ?? null);
  while (group !== null && group !== scope.group) group = group.parent;
  return group !== null;
}

/** What a header says of who asks. */
interface Presented {
  /** `null` with Bearer, which names nobody. */
  readonly username: string | null;
  /** Of the token's text. */
  readonly hash: string;
}

/** What each connection brought last. Only what follows from the header alone: whether it opens anything is looked up each time. */
const last = new WeakMap<object, { readonly header: Buffer; readonly presented: Presented | null }>();

function read(authorization: string, connection: object): Presented | null {
  const header = Buffer.from(authorization);
  const known = last.get(connection);
  if (known !== undefined && isSame(header, known.header)) return known.presented;
  const credentials = readCredentials(authorization);
  const presented =
    credentials === null || !isTokenText(credentials.secret)
      ? null
      : { username: credentials.username, hash: hashToken(credentials.secret) };
  last.set(connection, { header, presented });
  return presented;
}

function readCredentials(authorization: string): { username: string | null; secret: string } | null {
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
  return isSame(Buffer.from(a), Buffer.from(b));
}

function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
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
