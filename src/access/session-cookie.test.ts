import { describe, expect, it } from 'vitest';
import { clearSessionCookie, isCrossSite, readSessionCookie, sessionCookie, setSessionCookie } from './session-cookie.ts';

const value = 'A'.repeat(43);
const other = 'B'.repeat(43);

describe('the session cookie', () => {
  it.each([
    ['https://promgate.example', `__Host-promgate_session=${value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=604800`],
    [
      'https://ops.example/promgate',
      `__Secure-promgate_session=${value}; Path=/promgate; Secure; HttpOnly; SameSite=Lax; Max-Age=604800`,
    ],
    ['http://localhost:9490', `promgate_session=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800`],
    ['http://localhost:9490/a/b', `promgate_session=${value}; Path=/a/b; HttpOnly; SameSite=Lax; Max-Age=604800`],
  ])('of %s is as narrow as can be', (url, expected) => {
    const cookie = sessionCookie(url);
    expect(setSessionCookie(cookie, value, 7 * 86_400_000)).toBe(expected);
    expect(clearSessionCookie(cookie)).toBe(expected.replace(value, '').replace('604800', '0'));
    expect(readSessionCookie(expected.split(';')[0], cookie)).toBe(value);
  });

  it.each([
    [undefined, null],
    ['', null],
    [`promgate_session=${value}`, value],
    [`a=1; promgate_session=${value};b=2`, value],
    [`promgate_session=${value}; promgate_session=${value}`, value],
    [`promgate_session=${value}; promgate_session=${other}`, null],
    [`promgate_session=${other}; promgate_session=${value}`, null],
    [`promgate_session=; promgate_session=${value}`, null],
    [`xpromgate_session=${value}`, null],
    [`promgate_session2=${value}`, null],
    [`__Host-promgate_session=${value}`, null],
    [`PROMGATE_SESSION=${value}`, null],
    [`promgate_session=${value}A`, null],
    [`promgate_session="${value}"`, null],
    ['promgate_session', null],
  ])('in %j is %j', (header, expected) => {
    expect(readSessionCookie(header, sessionCookie('http://localhost'))).toBe(expected);
  });

  it('counts for pages alone where another site made the browser ask', () => {
    expect(isCrossSite({ 'sec-fetch-site': 'cross-site' })).toBe(true);
    for (const site of ['same-origin', 'same-site', 'none']) expect(isCrossSite({ 'sec-fetch-site': site })).toBe(false);
    expect(isCrossSite({})).toBe(false);
  });
});
