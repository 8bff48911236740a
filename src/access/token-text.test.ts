import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { hashToken, isTokenText, newTokenText } from './token-text.ts';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

describe('token text', () => {
  it('has the form that a secret scanner looks for', () => {
    for (let i = 0; i < 100; i++) expect(newTokenText()).toMatch(/^promgate_[0-9A-Za-z]{38}$/);
  });

  it('ends in the CRC-32 of what precedes, in base 62, most significant digit first', () => {
    for (let i = 0; i < 100; i++) {
      const text = newTokenText();
      const value = [...text.slice(-6)].reduce((sum, digit) => sum * 62 + alphabet.indexOf(digit), 0);
      expect(value).toBe(crc32(text.slice(0, -6)));
    }
  });

  it('pads a small checksum with zeros', () => {
    // Worked out apart from this program: the CRC-32 of the first 41 characters is 263.
    expect(isTokenText('promgate_0000000000000000000000000000CJvs00004F')).toBe(true);
  });

  it('is recognised, and not with any one character changed', () => {
    const text = newTokenText();
    expect(isTokenText(text)).toBe(true);
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom(...alphabet), (at, character) => {
        const changed = text.slice(0, at) + character + text.slice(at + 1);
        expect(isTokenText(changed)).toBe(changed === text);
      }),
    );
  });

  it.each(['', 'promgate_', `${'x'.repeat(47)}`])('is not %j', (text) => {
    expect(isTokenText(text)).toBe(false);
    expect(isTokenText(`${newTokenText()}\n`)).toBe(false);
    expect(isTokenText(` ${newTokenText()}`)).toBe(false);
  });

  it('draws every character about equally often', () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 5000; i++) for (const c of newTokenText().slice(9, 41)) counts.set(c, (counts.get(c) ?? 0) + 1);
    const expected = (5000 * 32) / 62;
    expect([...counts.keys()].sort().join('')).toBe(alphabet);
    // A seventh standard deviation: taking bytes modulo 62 would give the first characters a quarter more.
    for (const count of counts.values()) expect(Math.abs(count - expected)).toBeLessThan(7 * Math.sqrt(expected));
  });

  it('is stored as SHA-256 in lower-case hex', () => {
    expect(hashToken('promgate_x')).toBe(createHash('sha256').update('promgate_x', 'utf8').digest('hex'));
  });
});
