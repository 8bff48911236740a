/**
 * Whether a request that changes something comes from Promgate's own pages: a browser sends cookies along whoever makes it ask.
 * Two fences, each of which would do: what the browser says of who asks (`Origin`, `Sec-Fetch-Site`), and a token that only the
 * pages of this session hold. Source: OWASP's Cross-Site Request Forgery Prevention Cheat Sheet.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Session } from '../directory/people.ts';
import { PromgateError } from '../errors.ts';

/** The token of a session, in base64url. `key` is the keyring's for `csrf`. */
export function csrfToken(key: Buffer, session: Pick<Session, 'hash'>): string {
  return createHmac('sha256', key).update(session.hash).digest('base64url');
}

/** Throws `forbidden` where the browser says that another origin asks. Programs say nothing and pass: they have no cookies of others. */
export function checkOrigin(headers: IncomingHttpHeaders, externalUrl: string): void {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  const ownSite = site === undefined || site === 'same-origin' || site === 'none';
  if (!ownSite || (origin !== undefined && !isOwn(origin, host, externalUrl))) {
    throw new PromgateError(
      'forbidden',
      'the request comes from another site: use Promgate’s own pages, under their usual address',
    );
  }
}

/** The port is part of the host; the scheme is not compared with it, because TLS may end at a proxy. `null` is nobody's origin. */
function isOwn(origin: string, host: string | undefined, externalUrl: string): boolean {
  if (origin === new URL(externalUrl).origin) return true;
  return host !== undefined && (origin === `http://${host.toLowerCase()}` || origin === `https://${host.toLowerCase()}`);
}

/**
 * For whatever changes something and came with a session's cookie. `given` is the header `X-CSRF-Token` or the form's field
 * `csrf_token`. Throws `forbidden`.
 */
export function checkCsrf(
  headers: IncomingHttpHeaders,
  given: string | string[] | undefined,
  { key, session, externalUrl }: { key: Buffer; session: Pick<Session, 'hash'>; externalUrl: string },
): void {
  checkOrigin(headers, externalUrl);
  const expected = Buffer.from(csrfToken(key, session));
  const presented = Buffer.from(typeof given === 'string' ? given : '');
  if (presented.length !== expected.length || !timingSafeEqual(presented, expected)) {
    throw new PromgateError(
      'forbidden',
      'the CSRF token is missing or belongs to another session: load the page again, or send csrf_token of GET /-/api/v1/session as X-CSRF-Token',
    );
  }
}
