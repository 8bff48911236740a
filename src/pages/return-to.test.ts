import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { returnTo } from './return-to.ts';

describe('the way back after signing in', () => {
  it.each([
    [
      '/acme/shop/-/environments/production/prometheus/api/v1/query?query=up',
      '/acme/shop/-/environments/production/prometheus/api/v1/query?query=up',
    ],
    ['/', '/'],
    ['/a/../b', '/b'],
    ['/loginx', '/loginx'],
  ])('%j leads to %j', (given, expected) => {
    expect(returnTo(given, '')).toBe(expected);
  });

  it.each([
    undefined,
    ['/a'],
    '',
    'a',
    'https://evil.example',
    '//evil.example',
    '///evil.example',
    '/\\evil.example',
    '\\/evil.example',
    '/a\\..\\..\\\\evil.example',
    '/.//evil.example',
    '/%2e//evil.example',
    '/a/..//evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    '/a\r\nSet-Cookie: x=y',
    ' /a',
    '/a b',
    '/ä',
    'javascript:alert(1)',
    '/login',
    '/login?return_to=/login',
    '/login/oidc/gitlab',
    '/logout',
  ])('%j leads to the first page', (given) => {
    expect(returnTo(given, '')).toBe('/');
  });

  it.each(['/other', '/promgate', '/promgatex', '/promgate/../other', '/promgate/%2e%2e/other', '/promgate/login'])(
    '%j leads to the first page below a path',
    (given) => {
      expect(returnTo(given, '/promgate')).toBe('/promgate/');
    },
  );

  it('leads to the first page where it is longer than anybody needs', () => {
    expect(returnTo(`/${'a'.repeat(4096)}`, '')).toBe('/');
    expect(returnTo(`/${'a'.repeat(4095)}`, '')).not.toBe('/');
  });

  it('stays on the host and below the path, whatever is asked', () => {
    const piece = fc.constantFrom(
      '/',
      '//',
      '\\',
      '.',
      '..',
      '%2e',
      '%2f',
      '%5c',
      ':',
      '@',
      'evil.example',
      '?',
      '#',
      '\t',
      'promgate',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const found = new URL(returnTo(`/promgate/${pieces.join('')}`, '/promgate'), 'https://host.example/promgate/login');
        expect(found.origin).toBe('https://host.example');
        expect(found.pathname.startsWith('/promgate/')).toBe(true);
      }),
    );
  });
});
