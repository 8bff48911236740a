/** The session's cookie: its name and attributes, writing and reading it (RFC 6265bis, 4.1.3: the prefixes of names). */
import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** 32 random bytes in base64url. */
const VALUE = /^[A-Za-z0-9_-]{43}$/;

export interface SessionCookie {
  readonly name: string;
  /** Path and, under https, `Secure`. */
  readonly attributes: string;
}

/**
 * How the cookie is called and where it goes for this `external_url`. The prefix makes a browser refuse one of the name that
 * another host of the domain, or the same host without TLS, wants to set.
 */
export function sessionCookie(externalUrl: string): SessionCookie {
  const { protocol, pathname } = new URL(externalUrl);
  const path = pathname.replace(/\/$/, '');
  if (protocol !== 'https:') return { name: 'promgate_session', attributes: `Path=${path || '/'}` };
  if (path === '') return { name: '__Host-promgate_session', attributes: 'Path=/; Secure' };
  return { name: '__Secure-promgate_session', attributes: `Path=${path}; Secure` };
}

/** The value of `Set-Cookie` that gives the browser the session. `lifetime` in milliseconds. */
export function setSessionCookie({ name, attributes }: SessionCookie, value: string, lifetime: number): string {
  return `${name}=${value}; ${attributes}; HttpOnly; SameSite=Lax; Max-Age=${Math.floor(lifetime / 1000)}`;
}

/** The value of `Set-Cookie` that makes the browser forget it. */
export function clearSessionCookie({ name, attributes }: SessionCookie): string {
  return `${name}=; ${attributes}; HttpOnly; SameSite=Lax; Max-Age=0`;
}

/**
 * The session cookie's value in a `Cookie` header; `null` where there is none, it cannot be one, or there are several that
 * differ: somebody slipped one in, and which it is nobody knows.
 */
export function readSessionCookie(header: string | undefined, { name }: SessionCookie): string | null {
  if (header === undefined || !header.includes(name)) return null;
  let value: string | null = null;
  for (const part of header.split(';')) {
    const equals = part.indexOf('=');
    if (equals === -1 || part.slice(0, equals).trim() !== name) continue;
    const found = part.slice(equals + 1).trim();
    if (value !== null && found !== value) return null;
    value = found;
  }
  return value !== null && VALUE.test(value) ? value : null;
}

/** What is stored of a cookie's value. It needs no salt or stretching: it is random itself. */
export function hashSessionCookie(value: string): string {
  return hash('sha256', value);
}

/**
 * Whether another site made the browser ask (Fetch Metadata). Its cookies then count for nothing but pages: `SameSite=Lax` lets
 * them come along with links. Browsers that do not say it, and programs, pass.
 */
export function isCrossSite(headers: IncomingHttpHeaders): boolean {
  return headers['sec-fetch-site'] === 'cross-site';
}
