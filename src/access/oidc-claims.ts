/** What a provider says of somebody, taken from its ID token and its userinfo endpoint, neither of which is to be trusted in its shape. */
import { type Claims, claimAt } from './claims.ts';

/** Of text that is shown or stored. */
const MAX_LENGTH = 255;
/** RFC 5321, 4.5.3.1.3, without the brackets. */
const MAX_EMAIL = 254;

/**
 * Both together, the userinfo's over the ID token's: GitLab, as an example, has all groups only there. But whose it is, by whom and
 * for whom stays the ID token's; and an address is only as good as the `email_verified` that stands beside it.
 */
export function mergeClaims(idToken: Claims, userinfo: Claims): Claims {
  const merged: Record<string, unknown> = { ...idToken, ...userinfo };
  for (const name of ['iss', 'sub', 'aud', 'exp', 'iat', 'nonce']) merged[name] = idToken[name];
  const addressSource = Object.hasOwn(userinfo, 'email') ? userinfo : idToken;
  merged.email = addressSource.email;
  merged.email_verified = addressSource.email_verified;
  return merged;
}

/** At most 255 ASCII characters (OpenID Connect Core 1.0, 2); `null` for anything else. */
export function subjectOf(claims: Claims): string | null {
  const subject = claims.sub;
  return typeof subject === 'string' && /^[\x20-\x7e]{1,255}$/.test(subject) ? subject : null;
}

/**
 * The e-mail address that the provider made sure of; `null` where it did not say so. Only printable ASCII: beyond it there are
 * letters that pass for others.
 */
export function verifiedEmail(claims: Claims): string | null {
  const email = claims.email;
  if (claims.email_verified !== true || typeof email !== 'string' || email.length > MAX_EMAIL) return null;
  return /^[\x21-\x3f\x41-\x7e]+@[\x21-\x3f\x41-\x7e]+$/.test(email) ? email : null;
}

/** Upper and lower case are the same in `a` to `z`, and nowhere else: the Kelvin sign is no `k`. */
export function isSameAddress(a: string, b: string): boolean {
  return asciiLowerCase(a) === asciiLowerCase(b);
}

function asciiLowerCase(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** As people see it; `fallback` where the provider says none. */
export function displayName(claims: Claims, fallback: string): string {
  const name = claims.name;
  if (typeof name !== 'string') return fallback;
  return (
    name
      .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '')
      .trim()
      .slice(0, MAX_LENGTH)
      .toWellFormed() || fallback
  );
}

/** Of a username (see {@link fittingUsername}). */
const MAX_USERNAME = 63;

/**
 * A username made of the claim: what cannot stand in one becomes `-`. An address gives what is before its `@`. Always at least
 * one character and never digits alone, which would pass for an id.
 */
export function fittingUsername(claims: Claims, claim: string): string {
  const value = claimAt(claims, claim);
  const local = typeof value === 'string' ? value.slice(0, MAX_LENGTH).replace(/(.)@.*$/s, '$1') : '';
  const fitting = local
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^A-Za-z0-9_.-]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, MAX_USERNAME)
    .replace(/[.-]+$/, '');
  if (fitting === '') return 'user';
  return /^\d+$/.test(fitting) ? `user-${fitting}`.slice(0, MAX_USERNAME) : fitting;
}

/** The `count`th name like this one: `anna`, `anna-2`, `anna-3`. */
export function numberedUsername(username: string, count: number): string {
  if (count === 1) return username;
  const suffix = `-${count}`;
  return username.slice(0, MAX_USERNAME - suffix.length) + suffix;
}
