import { networkInterfaces } from 'node:os';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PromgateError } from '../errors.ts';
import { isPublic } from './not-public.ts';
import { checkOutbound, createOutbound, type Lookup, OutboundError } from './outbound.ts';

const names: Readonly<Record<string, readonly string[]>> = {
  'public.example': ['93.184.215.14', '2606:2800:21f:cb07:6820:80da:af6b:8b2c'],
  'private.example': ['10.1.2.3'],
  'mixed.example': ['93.184.215.14', '10.1.2.3'],
  'mixed6.example': ['93.184.215.14', 'fd00::1'],
  'empty.example': [],
  localhost: ['127.0.0.1', '::1'],
};
const lookup: Lookup = async (hostname) => {
  const addresses = names[hostname.replace(/\.$/, '')];
  if (addresses === undefined) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: 'ENOTFOUND' });
  return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
};

describe('an address that is not public', () => {
  it.each([
    ['0.0.0.0', '0.255.255.255', ['1.0.0.0']],
    ['10.0.0.0', '10.255.255.255', ['9.255.255.255', '11.0.0.0']],
    ['100.64.0.0', '100.127.255.255', ['100.63.255.255', '100.128.0.0']],
    ['127.0.0.0', '127.255.255.255', ['126.255.255.255', '128.0.0.0']],
    ['168.63.129.16', '168.63.129.16', ['168.63.129.15', '168.63.129.17']],
    ['169.254.0.0', '169.254.255.255', ['169.253.255.255', '169.255.0.0']],
    ['172.16.0.0', '172.31.255.255', ['172.15.255.255', '172.32.0.0']],
    ['192.0.0.0', '192.0.0.255', ['191.255.255.255', '192.0.1.0']],
    ['192.0.2.0', '192.0.2.255', ['192.0.1.255', '192.0.3.0']],
    ['192.88.99.0', '192.88.99.255', ['192.88.98.255', '192.88.100.0']],
    ['192.168.0.0', '192.168.255.255', ['192.167.255.255', '192.169.0.0']],
    ['198.18.0.0', '198.19.255.255', ['198.17.255.255', '198.20.0.0']],
    ['198.51.100.0', '198.51.100.255', ['198.51.99.255', '198.51.101.0']],
    ['203.0.113.0', '203.0.113.255', ['203.0.112.255', '203.0.114.0']],
    ['224.0.0.0', '255.255.255.255', ['223.255.255.255']],
    ['::', '1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', ['2000::']],
    ['2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', ['2000:ffff::', '2001:200::']],
    ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', ['2001:db7:ffff::', '2001:db9::']],
    ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff', ['2001:ffff::', '2003::']],
    ['3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', ['3ffe:ffff::', '3fff:1000::']],
    ['4000::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', ['3fff:ffff::']],
  ])('lies between %s and %s, both included; beside them are public ones', (first, last, beside) => {
    expect([first, last].filter(isPublic)).toEqual([]);
    expect(beside.filter(isPublic)).toEqual(beside);
  });

  it.each([
    ['metadata', ['169.254.169.254', '169.254.170.2', '100.100.100.200', '192.0.0.192', 'fd00:ec2::254', 'fd20:ce::254']],
    ['unspecified and loopback', ['::', '::1', '0.0.0.0', '127.0.0.1', '127.1.2.3']],
    ['IPv4-mapped', ['::ffff:127.0.0.1', '::ffff:7f00:1', '0:0:0:0:0:ffff:a01:203', '::ffff:93.184.215.14']],
    ['IPv4-compatible and -translated', ['::127.0.0.1', '::ffff:0:127.0.0.1']],
    ['NAT64', ['64:ff9b::127.0.0.1', '64:ff9b::93.184.215.14', '64:ff9b:1::10.0.0.1']],
    ['tunnels', ['2002:7f00:1::', '2001:0:102:304::1']],
    ['unique local, link-local, site-local', ['fc00::1', 'fdff::1', 'fe80::1', 'fe80::1%lo', 'fec0::1']],
    ['multicast', ['224.0.0.1', 'ff02::1', 'ff0e::1']],
    [
      'discard, dummy, documentation, benchmarks',
      ['100::1', '100:0:0:1::1', '2001:db8::1', '3fff::1', '2001:2::1', '2001:20::1'],
    ],
    ['not assigned', ['1fff::1', '4000::1', '5f00::1', '8000::1', 'e000::1']],
  ])('is one of %s', (_, addresses) => {
    expect(addresses.filter(isPublic)).toEqual([]);
    const { allows } = createOutbound([]);
    expect(addresses.filter(allows)).toEqual([]);
  });

  it('is none of the others', () => {
    const { allows } = createOutbound([]);
    const addresses = [
      '1.1.1.1',
      '8.8.8.8',
      '93.184.215.14',
      '172.32.0.1',
      '192.1.0.1',
      '223.255.255.255',
      '2606:4700::1111',
      '2a00::1',
    ];
    expect(addresses.filter((address) => !allows(address))).toEqual([]);
  });

  it('is each of this machine’s own', () => {
    const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    expect(own.length).toBeGreaterThan(0);
    expect(own.map(({ address }) => address).filter(createOutbound([]).allows)).toEqual([]);
  });

  it('is whatever is no address', () => {
    const { allows } = createOutbound(['0.0.0.0/0', '::/0']);
    expect(['', 'localhost', '127.1', '0x7f000001', '2130706433', '10.0.0.1/8', '[::1]'].filter(allows)).toEqual([]);
  });
});

describe('outbound.allow', () => {
  it.each([
    ['10.1.0.0/16', '10.1.2.3', true],
    ['10.1.0.0/16', '10.2.0.0', false],
    ['10.1.0.0/16', '::ffff:10.1.2.3', true],
    ['10.1.0.0/16', '::ffff:a01:203', true],
    ['10.1.0.0/16', '::ffff:10.2.0.0', false],
    ['10.1.0.0/16', '::10.1.2.3', false],
    ['10.1.0.0/16', '64:ff9b::10.1.2.3', false],
    ['10.1.0.0/16', '2002:a01:203::', false],
    ['64:ff9b::/96', '64:ff9b::10.1.2.3', true],
    ['64:ff9b::/96', '10.1.2.3', false],
    ['fd00::/8', 'fd12::1', true],
    ['fd00::/8', 'fc12::1', false],
    ['::/0', 'fd12::1', true],
    ['::/0', '127.0.0.1', false],
    ['::/0', '::ffff:127.0.0.1', false],
    ['0.0.0.0/0', '127.0.0.1', true],
    ['0.0.0.0/0', '::1', false],
    ['fe80::/10', 'fe80::1%lo', true],
    ['169.254.169.254/32', '169.254.169.254', true],
    ['169.254.169.254/32', '169.254.169.253', false],
  ])('with %s lets %s be reached: %s', (network, address, allowed) => {
    expect(createOutbound([network]).allows(address)).toBe(allowed);
  });

  it('with a host lets be reached whatever it resolves to, and no other name of the same address', async () => {
    const outbound = createOutbound(['private.example'], lookup);
    await expect(outbound.resolve('private.example')).resolves.toEqual([{ address: '10.1.2.3', family: 4 }]);
    await expect(outbound.resolve('private.example.')).resolves.toHaveLength(1);
    for (const other of ['mixed.example', 'a.private.example', 'xprivate.example', '10.1.2.3', 'private.example..']) {
      await expect(outbound.resolve(other)).rejects.toThrow();
    }
  });

  it('with a host does not let a name without addresses pass', async () => {
    await expect(createOutbound(['empty.example'], lookup).resolve('empty.example')).rejects.toThrow(OutboundError);
  });
});

describe('a URL of a server', () => {
  const refused = async (url: string, allow: readonly string[] = [], by = lookup): Promise<PromgateError> => {
    const error = await checkOutbound(url, allow, by).then(
      () => null,
      (error: unknown) => error,
    );
    if (!(error instanceof PromgateError)) throw new Error(`${url}: ${error}`);
    return error;
  };

  it.each(['http://public.example', 'https://public.example:9090/prom', 'http://93.184.215.14', 'http://[2606:4700::1111]:9090'])(
    '%s is public',
    async (url) => {
      await expect(checkOutbound(url, [], lookup)).resolves.toBeUndefined();
    },
  );

  it.each([
    ...['http://127.0.0.1', 'http://127.0.0.1:9090/x', 'http://127.0.0.1.', 'http://2130706433', 'http://017700000001'],
    ...['http://0x7f000001', 'http://0X7F.0.0.1', 'http://0177.0.0.1', 'http://0177.0x0.0.1', 'http://127.1', 'http://127.0.1'],
    ...[
      'http://0',
      'http://0x',
      'http://0.0.0.0',
      'http://00000000000000000000177.1',
      'http://169.254.169.254',
      'http://0xa9fea9fe',
    ],
    ...['http://[::1]', 'http://[::]', 'http://[0:0:0:0:0:0:0:1]', 'http://[::ffff:127.0.0.1]', 'http://[::ffff:7f00:1]'],
    ...[
      'http://[::127.0.0.1]',
      'http://[64:ff9b::7f00:1]',
      'http://[2002:7f00:1::]',
      'http://[fe80::1]',
      'http://[fd00:ec2::254]',
    ],
    ...['http://１２７.０.０.１', 'http://127。0。0。1', 'http://①②⑦.0.0.1', 'http://%31%32%37.0.0.1', 'http://127%2e0%2e0%2e1'],
    ...[
      'http://localhost',
      'http://LOCALHOST',
      'http://localhost.',
      'http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ',
      'http://%6cocalhost',
      'http://loc\talhost',
    ],
    ...['http://public.example@127.0.0.1', 'http://public.example:80@127.0.0.1/', 'http://a%40public.example@127.0.0.1'],
    ...['http://127.0.0.1\\@public.example', 'http://127.0.0.1#@public.example', 'http://127.0.0.1?@public.example'],
    ...[
      'http:127.0.0.1',
      'http:///127.0.0.1',
      'http:\\\\127.0.0.1',
      ' http://127.0.0.1',
      'HTTP://127.0.0.1',
      'ht\ntp://127.0.0.1',
    ],
    ...[
      'http://private.example',
      'http://mixed.example',
      'http://mixed6.example',
      'http://empty.example',
      'http://unknown.example',
    ],
  ])('%j is refused: where it points is not public', async (url) => {
    const error = await refused(url);
    expect(error.code).toBe('bad_data');
    expect(error.message).toContain(`the host "${new URL(url).hostname.replace(/[[\]]/g, '')}" is not allowed`);
    expect(error.message).toContain('an administrator can set such a server, or allow the host in outbound.allow');
  });

  it.each([
    ...['', 'x', 'http://', 'http://[fe80::1%25lo]', 'http://[::1', 'http://4294967296', 'http://1.2.3.4.5', 'http://foo.0x1f'],
    ...['ftp://public.example', 'file:///etc/passwd', 'unix:///run/x', 'javascript:1', '//public.example', 'public.example'],
  ])('%j is none', async (url) => {
    expect((await refused(url)).message).toBe('the URL of a server must be one such as https://prometheus.example:9090');
  });

  it.each([
    ['http://private.example', 'private.example'],
    ['http://PRIVATE.example.:9090/x', 'private.example'],
    ['http://mixed.example', '10.1.2.0/24'],
    ['http://0x7f.1:9090', '127.0.0.0/8'],
    ['http://[::ffff:127.0.0.1]', '127.0.0.1/32'],
    ['http://[::1]', '::1/128'],
  ])('%s is allowed by %s', async (url, entry) => {
    await refused(url);
    await expect(checkOutbound(url, [entry], lookup)).resolves.toBeUndefined();
  });

  it('gets the same answer for a name of the internal network as for one that does not exist', async () => {
    const messages = ['private.example', 'mixed.example', 'unknown.example', 'empty.example'].map(async (host) => {
      const { message } = await refused(`http://${host}`);
      expect(message).not.toMatch(/\d/);
      return message.replace(host, 'host');
    });
    expect(new Set(await Promise.all(messages)).size).toBe(1);
  });

  it('is refused where its name does not resolve in time', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const refusal = refused('http://slow.example', ['slow.example'], () => new Promise(() => undefined));
    await vi.runAllTimersAsync();
    expect((await refusal).message).toContain('its name must resolve');
  });
});
