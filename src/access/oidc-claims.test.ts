import { describe, expect, it } from 'vitest';
import {
  displayName,
  fittingUsername,
  isSameAddress,
  mergeClaims,
  numberedUsername,
  subjectOf,
  verifiedEmail,
} from './oidc-claims.ts';

describe('claims of the ID token and the userinfo endpoint', () => {
  it('come together, the userinfo’s first', () => {
    const merged = mergeClaims({ sub: 's', groups_direct: ['a'], groups: ['a'] }, { sub: 's', groups: ['a', 'b'], name: 'Anna' });
    expect(merged).toMatchObject({ groups: ['a', 'b'], groups_direct: ['a'], name: 'Anna' });
  });

  it('never change by whom, for whom and of whom the ID token is', () => {
    const idToken = { iss: 'https://id.example', sub: 's', aud: 'promgate', exp: 1, iat: 1, nonce: 'n' };
    const other = { iss: 'x', sub: 'x', aud: 'x', exp: 2, iat: 2, nonce: 'x' };
    expect(mergeClaims(idToken, other)).toMatchObject(idToken);
  });

  it('never make one’s address verified by the word of the other', () => {
    const verified = { sub: 's', email: 'anna@a.example', email_verified: true };
    expect(verifiedEmail(mergeClaims(verified, { email: 'boss@a.example' }))).toBeNull();
    expect(verifiedEmail(mergeClaims({ email: 'boss@a.example' }, { email_verified: true }))).toBeNull();
    expect(verifiedEmail(mergeClaims(verified, {}))).toBe('anna@a.example');
    expect(verifiedEmail(mergeClaims({}, verified))).toBe('anna@a.example');
  });
});

describe('a verified address', () => {
  it.each([
    '',
    'anna',
    '@a.example',
    'anna@',
    'a@b@c',
    'anna @a.example',
    'anna@a.example\n',
    'änna@a.example',
    `${'x'.repeat(251)}@a.b`,
    1,
    null,
  ])('is not %j', (email) => {
    expect(verifiedEmail({ email, email_verified: true })).toBeNull();
  });
});

describe('an address is the same', () => {
  it('in upper and lower case of A to Z, and not with letters that fold to these in Unicode', () => {
    expect(isSameAddress('Anna@A.example', 'aNNA@a.EXAMPLE')).toBe(true);
    expect('\u212a'.toLowerCase()).toBe('k');
    expect(isSameAddress('\u212aim@a.example', 'kim@a.example')).toBe(false);
  });
});

describe('a subject', () => {
  it('is a text of at most 255 ASCII characters', () => {
    expect(subjectOf({ sub: 'x'.repeat(255) })).toBe('x'.repeat(255));
    for (const sub of ['', 'x'.repeat(256), 'ä', 'a\n', 1, null, undefined]) expect(subjectOf({ sub })).toBeNull();
  });
});

describe('a name', () => {
  it('is shown without what cannot be seen, or the fallback is', () => {
    expect(displayName({ name: '  Anna \u0000\u202eA. ' }, 'anna')).toBe('Anna A.');
    for (const name of ['', ' ', '\u200b', 1, undefined]) expect(displayName({ name }, 'anna')).toBe('anna');
    expect(displayName({ name: 'x'.repeat(999) }, 'anna')).toHaveLength(255);
  });
});

describe('a username', () => {
  it.each([
    ['anna', 'anna'],
    ['_anna', '_anna'],
    ['.anna.', 'anna'],
    ['--x', 'x'],
    ['@anna', 'anna'],
    ['a b/c', 'a-b-c'],
    ['7', 'user-7'],
    ['9'.repeat(80), `user-${'9'.repeat(58)}`],
    ['日本', 'user'],
  ])('of %j is %j', (claim, username) => {
    expect(fittingUsername({ nick: claim }, 'nick')).toBe(username);
    expect(username).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/);
  });

  it('stays as short as it has to be with a number', () => {
    expect(numberedUsername('anna', 1)).toBe('anna');
    expect(numberedUsername('anna', 2)).toBe('anna-2');
    expect(numberedUsername('x'.repeat(63), 12)).toBe(`${'x'.repeat(60)}-12`);
  });
});
