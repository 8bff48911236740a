import { createHash, randomBytes } from 'node:crypto';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import {
  connect,
  connected,
  eventually,
  found,
  get,
  keysOf,
  lines,
  minute,
  notRead,
  notWritten,
  pieceOf,
  secret,
  set,
  started,
  stored,
} from '../../test/support/shared-tier-rig.ts';
import { createCertificates } from '../../test/support/tls.ts';
import { encodePieces } from './codec.ts';

describe('the shared tier', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  it('gives one process what another has put there, for as long as it was to be kept', async () => {
    await redis.ask('FLUSHALL');
    const [one, other] = [await connected(redis.url), await connected(redis.url)];
    await redis.ask('FLUSHALL');
    const pieces = [pieceOf(0), pieceOf(10)];
    await eventually(() => set(one, 'a', pieces, minute + 0.5), 'stored');
    expect(await found(other, 'a')).toEqual(pieces);
    await eventually(() => get(other, 'b'), 'miss');
    const [key = ''] = await keysOf(redis);
    const left = Number(await redis.ask('PTTL', key));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(minute + 1);
    await redis.ask('PEXPIRE', key, '1');
    await eventually(() => get(other, 'a'), 'miss');
  });

  it('keeps out of the way of an installation with another secret', async () => {
    const [one, other] = [await connected(redis.url), await connected(redis.url, Buffer.alloc(32, 2))];
    await stored(one, 'a', [pieceOf(0)]);
    await eventually(() => get(other, 'a'), 'miss');
    await stored(other, 'a', [pieceOf(10)]);
    expect(await found(one, 'a')).toEqual([pieceOf(0)]);
    expect(await found(other, 'a')).toEqual([pieceOf(10)]);
  });

  it('has keys that begin alike and do not tell what they stand for', async () => {
    const seen = await connected(redis.url);
    await redis.ask('FLUSHALL');
    await stored(seen, 'policy sum(up)', [pieceOf(0)]);
    await stored(seen, 'policy sum(down)', [pieceOf(0)]);
    const keys = await keysOf(redis);
    expect(keys).toHaveLength(2);
    for (const key of keys) expect(key).toMatch(/^promgate:range:v1:[\w-]{43}$/);
    const plain = createHash('sha256').update('policy sum(up)').digest('base64url');
    expect(keys).not.toContain(`promgate:range:v1:${plain}`);
  });

  const mebibyte = 1024 * 1024;
  it.each([
    1_000,
    65_535,
    65_536,
    65_537,
    327_680,
    327_681,
    mebibyte - 1,
    mebibyte,
    mebibyte + 1,
    2 * mebibyte,
    3_000_000,
    8 * mebibyte,
  ])('carries a value of %d bytes unharmed', async (length) => {
    const seen = await connected(redis.url);
    const beside = (await encodePieces('value', [pieceOf(0, Buffer.alloc(100))], secret)).length - 100;
    const bytes = randomBytes(length - beside);
    await redis.ask('FLUSHALL');
    await stored(seen, 'value', [pieceOf(0, bytes)]);
    const [key = ''] = await keysOf(redis);
    expect(await redis.ask('STRLEN', key)).toBe(length);
    const [piece] = await found(seen, 'value');
    expect(piece?.bytes.equals(bytes)).toBe(true);
  });

  it('writes nothing that is over 8 MiB, or that is not to be kept', async () => {
    const seen = await connected(redis.url);
    await redis.ask('FLUSHALL');
    expect(await set(seen, 'large', [pieceOf(0, Buffer.alloc(8 * mebibyte))])).toBe('skipped');
    for (const ttl of [0, -1, Number.NaN]) expect(await set(seen, 'old', [pieceOf(0)], ttl)).toBe('skipped');
    await stored(seen, 'good', [pieceOf(0)]);
    expect(await keysOf(redis)).toHaveLength(1);
  });

  it('takes nothing that others have put there', async () => {
    const seen = await connected(redis.url);
    const placeOf = async (key: string) => {
      await redis.ask('FLUSHALL');
      await stored(seen, key, [pieceOf(0)]);
      return (await keysOf(redis))[0] ?? '';
    };
    const elsewhere = (await redis.ask('GET', await placeOf('b'))) as Buffer;
    const place = await placeOf('a');
    const own = (await redis.ask('GET', place)) as Buffer;
    const large = await encodePieces('a', [pieceOf(0, Buffer.alloc(2_000_000))], secret);
    const planted = {
      rubbish: randomBytes(300),
      'long rubbish': randomBytes(9 * mebibyte),
      "another key's": elsewhere,
      'of who has another secret': await encodePieces('a', [pieceOf(0)], Buffer.alloc(32, 2)),
      'cut short': own.subarray(0, -1),
      'too long': Buffer.concat([own, Buffer.of(0)]),
      'long, and other than it says': Buffer.concat([large.subarray(0, 1_500_000), Buffer.alloc(600_000, 1)]),
      'of more than 8 MiB': await encodePieces('a', [pieceOf(0, Buffer.alloc(8 * mebibyte))], secret),
    };
    for (const [name, value] of Object.entries(planted)) {
      await redis.ask('SET', place, value);
      await eventually(async () => [name, await get(seen, 'a')], [name, 'invalid']);
      await stored(seen, 'a', [pieceOf(0)]);
      expect(await found(seen, 'a')).toEqual([pieceOf(0)]);
    }
    // What was evicted and came back shorter, between two parts.
    await redis.ask('SET', place, large.subarray(0, 1_500_000));
    await eventually(() => get(seen, 'a'), 'miss');
    await redis.ask('DEL', place);
    await redis.ask('RPUSH', place, 'a list');
    await eventually(() => get(seen, 'a'), 'error');
    // None of it is a reason to leave Redis alone.
    expect(lines(seen)).toEqual([]);
  });

  it('has two connections, however often it is asked, and none when it is closed', async () => {
    const clients = async () => String(await redis.ask('CLIENT', 'LIST')).match(/cmd=(getrange|set) /g)?.length ?? 0;
    await eventually(clients, 0);
    const warnings: unknown[] = [];
    const warned = (warning: unknown) => warnings.push(warning);
    process.on('warning', warned);
    const seen = await connected(redis.url);
    await Promise.all(Array.from({ length: 500 }, (_, i) => seen.tier.get(`${i}`)));
    await eventually(clients, 2);
    await seen.tier.close();
    await eventually(clients, 0);
    expect([await get(seen, 'a'), await set(seen, 'a')]).toEqual(['skipped', 'skipped']);
    process.off('warning', warned);
    expect(warnings).toEqual([]);
  });
});

describe('the right to use Redis', () => {
  it('is no more than to read parts of strings and to write them, below one prefix', async () => {
    const redis = await started({ users: ['promgate on >s3cret/@: ~promgate:* +getrange +set'] });
    const seen = await connected(`redis://promgate:${encodeURIComponent('s3cret/@:')}@127.0.0.1:${redis.port}`);
    await stored(seen, 'a', [pieceOf(0)]);
    expect(await found(seen, 'a')).toEqual([pieceOf(0)]);
  });

  it('may be that to another database than the first', async () => {
    const redis = await started({ password: 'p w' });
    await connected(`${redis.url}/3`);
    expect(String(await redis.ask('INFO', 'keyspace'))).toMatch(/^db3:keys=1,/m);
  });

  it.each(['redis://:hunter2@', 'redis://', 'redis://hunter2:hunter2@', 'redis://:hunter2%@'])(
    'is missed with %s: there is no shared cache, and no password in the logs',
    async (beginning) => {
      const redis = await started({ password: 'another' });
      const seen = connect(`${beginning}127.0.0.1:${redis.port}`);
      await eventually(async () => {
        await get(seen, 'a');
        await set(seen, 'a');
        return lines(seen).toSorted();
      }, [notRead, notWritten]);
      expect(await seen.tier.get('a')).toBeNull();
      expect(seen.logs.join()).not.toContain('hunter2');
    },
  );

  it('is used over TLS where the certificate is good', async () => {
    const { ca, server, stranger } = await createCertificates();
    const known = getCACertificates('default');
    setDefaultCACertificates([...known, ca]);
    onTestFinished(() => setDefaultCACertificates(known));
    const redis = await started({ tls: { ca, server }, password: 'p' });
    const seen = await connected(redis.url);
    await stored(seen, 'a', [pieceOf(0)]);
    expect(await found(seen, 'a')).toEqual([pieceOf(0)]);

    const other = await started({ tls: { ca: stranger.cert, server: stranger } });
    const refused = connect(other.url);
    await eventually(() => lines(refused).toSorted(), [notRead, notWritten]);
    expect(refused.logs.join()).toMatch(/self-signed certificate/);
    expect(await get(refused, 'a')).toBe('skipped');
  });
});
