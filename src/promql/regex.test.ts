import { describe, expect, it } from 'vitest';
import { matchesEmpty, RegexError } from './regex.ts';

describe('matchesEmpty', () => {
  it.each([
    '',
    '.*',
    'a?',
    'a*?',
    'a{0,3}',
    '|a',
    'a|',
    '(a*)+',
    '(?i)',
    '(?i:a)*',
    '^$',
    '\\A\\z',
    '\\B',
    '(|){1000}',
    '\\Q\\E',
    'a{0}',
    '(?s-i:.*)',
    '()',
  ])('%s matches the empty text', (pattern) => {
    expect(matchesEmpty(pattern)).toBe(true);
  });

  it.each([
    '.+',
    'a',
    'a+',
    '[^a]',
    '[]a]',
    '[a-z-]',
    '[[:alpha:]]',
    '\\d',
    '\\pL',
    '\\p{Greek}',
    '\\.',
    'a{1,}',
    'a{,3}',
    '\\b',
    '(?P<x>a)',
    '\\x{1F600}',
    '\\012',
    '\\Qa.*\\E',
    '\\ ',
    '(a|b)c*',
    'x{2}y{3}',
    '漢',
  ])('%s does not', (pattern) => {
    expect(matchesEmpty(pattern)).toBe(false);
  });

  it.each([
    ['(', 'missing closing )'],
    ['a)', 'unexpected )'],
    ['[a', 'missing closing ]'],
    ['[', 'missing closing ]'],
    ['*', 'missing argument to repetition operator'],
    ['a|*', 'missing argument to repetition operator'],
    ['a**', 'invalid nested repetition operator'],
    ['a{2}{3}', 'invalid nested repetition operator'],
    ['a{1001}', 'invalid repeat count'],
    ['a{3,2}', 'invalid repeat count'],
    ['(a{100}){11}', 'invalid repeat count'],
    ['[z-a]', 'invalid character class range'],
    ['(?=a)', 'invalid or unsupported Perl syntax'],
    ['(?<=a)', 'invalid or unsupported Perl syntax'],
    ['(?!a)', 'invalid or unsupported Perl syntax'],
    ['(a)\\1', 'invalid escape sequence'],
    ['\\Z', 'invalid escape sequence'],
    ['\\q', 'invalid escape sequence'],
    ['a\\', 'trailing backslash'],
    ['(?P<x>a)(?P<x>b)', 'duplicate capture group name'],
    [`${'('.repeat(300)}${')'.repeat(300)}`, 'nests too deeply'],
  ])('%s is refused as Go refuses it', (pattern, message) => {
    expect(() => matchesEmpty(pattern)).toThrow(RegexError);
    expect(() => matchesEmpty(pattern)).toThrow(message);
  });
});
