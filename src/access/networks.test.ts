import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { NetworkError, networkMatcher, normalizeNetwork } from './networks.ts';

describe('normalizeNetwork', () => {
  it.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['192.0.2.7', '192.0.2.7/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:DB8:0:0::/32', '2001:db8::/32'],
    ['::1', '::1/128'],
    ['::/0', '::/0'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
    ['::ffff:192.0.2.7', '192.0.2.7/32'],
    ['fe80::/10', 'fe80::/10'],
  ])('writes %s as %s', (text, network) => {
    expect(normalizeNetwork(text)).toBe(network);
    expect(normalizeNetwork(network)).toBe(network);
  });

  it.each([
    '',
    'x',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0/8',
    '010.0.0.0/8',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    'fe80::1%lo',
    ' ::1',
  ])('refuses %j', (text) => {
    expect(() => normalizeNetwork(text)).toThrow(NetworkError);
  });

  it.each([
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['192.0.2.255/31', '192.0.2.254/31'],
    ['2001:db8::1/64', '2001:db8::/64'],
  ])('refuses %s, which has host bits, and names %s', (text, right) => {
    expect(() => normalizeNetwork(text)).toThrow(right);
  });
});

describe('networkMatcher', () => {
  const allowed = networkMatcher(['10.0.0.0/8', '2001:db8::/32', '192.0.2.7/32']);

  it.each(['10.0.0.0', '10.255.255.255', '192.0.2.7', '2001:db8::1', '::ffff:10.1.2.3', '::ffff:a01:203'])(
    'lets %s in',
    (address) => {
      expect(allowed(address)).toBe(true);
    },
  );

  it.each(['11.0.0.0', '192.0.2.8', '2001:db9::1', '::1', '::ffff:11.1.2.3', '', 'localhost', '10.0.0.1/8'])(
    'keeps %j out',
    (address) => {
      expect(allowed(address)).toBe(false);
    },
  );

  it('of no networks matches nothing', () => {
    expect(networkMatcher([])('127.0.0.1')).toBe(false);
  });

  it('agrees with arithmetic on IPv4, plain and mapped', () => {
    const address = fc.nat(0xffff_ffff);
    fc.assert(
      fc.property(address, address, fc.integer({ min: 0, max: 32 }), (base, other, length) => {
        const block = 2 ** (32 - length);
        const network = Math.floor(base / block) * block;
        const near = network + (other % (2 * block));
        const inside = near < network + block;
        if (near > 0xffff_ffff) return;
        const matches = networkMatcher([normalizeNetwork(`${dotted(network)}/${length}`)]);
        expect(matches(dotted(near))).toBe(inside);
        expect(matches(`::ffff:${dotted(near)}`)).toBe(inside);
      }),
    );
  });
});

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}
