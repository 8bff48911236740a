import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts';

describe('durations', () => {
  it.each([
    ['0', 0],
    ['0s', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['1h30m', 5_400_000],
    ['31d', 31 * 86_400_000],
    ['1y2w3d4h5m6s7ms', 365 * 86_400_000 + 17 * 86_400_000 + 4 * 3_600_000 + 306_007],
  ])('%s is %d milliseconds', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it.each(['', '30', '-1s', '1.5h', '30 s', '30S', '1s1h', '1h1h', '1h30', 's', 'forever', '30s\n', `${'9'.repeat(20)}y`])(
    '%j is no duration',
    (text) => {
      expect(parseDuration(text)).toBeNull();
    },
  );

  it.each([
    [0, '0'],
    [90_000, '1m30s'],
    [31 * 86_400_000, '31d'],
    [14 * 86_400_000, '2w'],
    [1, '1ms'],
  ])('%d milliseconds are written %s', (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });

  it('what is written is read as the same', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (n) => parseDuration(formatDuration(n)) === n));
  });
});

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['4096', 4096],
    ['10B', 10],
    ['10MB', 10_000_000],
    ['128KiB', 131_072],
    ['64MiB', 67_108_864],
    ['64 mib', 67_108_864],
    ['2GiB', 2 ** 31],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(['', '64M', '1.5MiB', '-1', 'MiB', '1e3', '64MiB ', '64MiB\n', '1 parsec', `${'9'.repeat(20)}`])(
    '%j is no size',
    (text) => {
      expect(parseSize(text)).toBeNull();
    },
  );

  it('what is written is read as the same', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (n) => parseSize(formatSize(n)) === n));
    expect(formatSize(65_536)).toBe('64KiB');
    expect(formatSize(1500)).toBe('1500B');
  });
});
