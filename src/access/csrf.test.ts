import { describe, expect, it } from 'vitest';
import { checkCsrf, checkOrigin, csrfToken } from './csrf.ts';

const externalUrl = 'https://ops.example/promgate';
const key = Buffer.alloc(32, 1);
const session = { hash: 'ab'.repeat(32) };

describe('where a request comes from', () => {
  it.each([
    { host: 'ops.example' },
    { host: 'ops.example', origin: 'https://ops.example' },
    { host: '127.0.0.1:9490', origin: 'https://ops.example' },
    { host: '127.0.0.1:9490', origin: 'http://127.0.0.1:9490', 'sec-fetch-site': 'same-origin' },
    { host: 'OPS.example', origin: 'https://ops.example', 'sec-fetch-site': 'none' },
  ])('%j is here', (headers) => {
    expect(() => checkOrigin(headers, externalUrl)).not.toThrow();
  });

  it.each([
    { host: 'ops.example', origin: 'https://evil.example' },
    { host: 'ops.example', origin: 'null' },
    { host: 'ops.example', origin: '' },
    { host: 'ops.example', origin: 'https://ops.example.evil.example' },
    { host: 'ops.example', origin: 'https://ops.example:8443' },
    { host: 'ops.example:8443', origin: 'http://ops.example' },
    { host: 'ops.example', origin: 'https://ops.example@evil.example' },
    { host: 'ops.example', origin: 'https://ops.example', 'sec-fetch-site': 'cross-site' },
    { host: 'ops.example', 'sec-fetch-site': 'cross-site' },
    { host: 'ops.example', origin: 'https://ops.example', 'sec-fetch-site': 'same-site' },
    { host: 'ops.example', 'sec-fetch-site': 'something-new' },
  ])('%j is another site', (headers) => {
    expect(() => checkOrigin(headers, externalUrl)).toThrow(expect.objectContaining({ code: 'forbidden' }));
    // The right token does not make up for it.
    const token = csrfToken(key, session);
    expect(() => checkCsrf(headers, token, { key, session, externalUrl })).toThrow(
      expect.objectContaining({ code: 'forbidden' }),
    );
  });
});

describe('a CSRF token', () => {
  const headers = { host: 'ops.example' };
  const check = (given: string | string[] | undefined) => () => checkCsrf(headers, given, { key, session, externalUrl });
  const token = csrfToken(key, session);

  it('is good for its session alone, and says nothing of it', () => {
    expect(check(token)).not.toThrow();
    expect(token).not.toContain(session.hash);
    expect(check(csrfToken(key, { hash: 'cd'.repeat(32) }))).toThrow();
    expect(check(csrfToken(Buffer.alloc(32, 2), session))).toThrow();
  });

  it.each([[undefined], [''], [token.slice(1)], [`${token}A`], [[token]], [session.hash]])('is not %j', (given) => {
    expect(check(given)).toThrow(expect.objectContaining({ code: 'forbidden' }));
  });
});
