import { describe, expect, it } from 'vitest';
import { createOutbound } from '../upstream/outbound.ts';
import { baseUrl, hostOrNetwork } from './values.ts';

const read = (text: string) => hostOrNetwork(text, '/');

describe('an entry of outbound.allow', () => {
  it.each([
    ['prometheus.internal', 'prometheus.internal'],
    ['Prometheus.INTERNAL.', 'prometheus.internal'],
    ['localhost', 'localhost'],
    ['node-1.monitoring_eu.svc', 'node-1.monitoring_eu.svc'],
    ['cafe', 'cafe'],
    ['dead.beef', 'dead.beef'],
    ['0xabc.example', '0xabc.example'],
    ['10.example', '10.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['Bücher.example', 'xn--bcher-kva.example'],
    ['10.1.0.0/16', '10.1.0.0/16'],
    ['10.1.2.3', '10.1.2.3/32'],
    ['FD00::/8', 'fd00::/8'],
    ['::1', '::1/128'],
    ['::ffff:10.1.0.0/112', '10.1.0.0/16'],
  ])('%s is read as %s', (text, value) => {
    expect(read(text)).toEqual({ value });
  });

  it.each([
    ...['*.internal', '*', 'a b', 'prometheus:9090', 'http://prometheus', 'prometheus/metrics', 'user@prometheus', '[::1]', ''],
    ...['.internal', 'a..b', '.', '..', 'prometheus..', `${'a'.repeat(64)}.example`, `${'a.'.repeat(127)}aa`],
    ...['%6cocalhost', 'local\thost', 'localhost#', 'localhost?', 'a\\b', 'fe80::1%lo'],
  ])('%j is neither a host nor a network, and it is said what would be', (text) => {
    expect(read(text)).toEqual({ expected: expect.stringContaining('a host name without wildcards or port, such as') });
  });

  it.each([
    ...[
      '2130706433',
      '0x7f000001',
      '0x7f.1',
      '0177.0.0.1',
      '127.1',
      '127.0.0.1.',
      '10.0.0.256',
      '1.2.3.4.5',
      'foo.0x1f',
      'foo.1',
    ],
    ...['１２７.0.0.1', '10.1.2.3/8', '10.0.0.0/33', '::/129', '1/8', 'cafe/8', '0', '0x'],
  ])('%s, which looks like an address and is not written as one, is refused', (text) => {
    expect(read(text)).not.toHaveProperty('value');
  });

  it.each(['Prometheus.Internal.', 'Bücher.example', 'a_b'])('%s is found by a URL that names it', async (text) => {
    const reading = read(text);
    if (!('value' in reading)) throw new Error(text);
    const outbound = createOutbound([reading.value], async () => [{ address: '10.0.0.1', family: 4 }]);
    await expect(outbound.resolve(new URL(`http://${text}`).hostname)).resolves.toHaveLength(1);
  });
});

describe('external_url', () => {
  it('may have a path, whose slash at the end does not count', () => {
    expect(baseUrl('https://ops.example/promgate/', '/')).toEqual({ value: 'https://ops.example/promgate' });
  });

  it.each([
    'https://ops.example/a;b',
    'https://ops.example/?a',
    'https://ops.example/#a',
    'https://u@ops.example',
    'ops.example',
    'ftp://ops.example',
  ])('is not %s', (text) => {
    expect(baseUrl(text, '/')).toMatchObject({ expected: expect.stringContaining('http or https URL') });
  });
});
