import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../test/support/ports.ts';
import { type RedisOptions, startRedis, type TestRedis } from '../../test/support/redis.ts';
import { createCertificates } from '../../test/support/tls.ts';
import { createLog } from '../ops/log.ts';
import { encodePieces } from './codec.ts';
import type { Piece } from './piece.ts';
import { createSharedTier, type SharedTier } from './shared-tier.ts';

const secret = Buffer.alloc(32, 1);
const minute = 60_000;

/** A tier, and what was heard of it. */
interface Seen {
  readonly tier: SharedTier;
  /** As `get hit`. */
  readonly outcomes: string[];
  readonly logs: string[];
}

/** Does something when a test is over; tests that run at once each have their own. */
type AtEnd = (end: () => Promise<void>) => void;

function connect(url: string, key = secret, atEnd: AtEnd = onTestFinished): Seen {
  const outcomes: string[] = [];
  const logs: string[] = [];
  const log = createLog('info', (line) => logs.push(line));
  const tier = createSharedTier({
    url,
    secret: key,
    onOutcome: (operation, outcome) => outcomes.push(`${operation} ${outcome}`),
    log,
  });
  atEnd(() => tier.close());
  return { tier, outcomes, logs };
}

/** The same, when it is connected. */
async function connected(url: string, key = secret, atEnd: AtEnd = onTestFinished): Promise<Seen> {
  const seen = connect(url, key, atEnd);
  await eventually(() => get(seen, 'nothing'), 'miss');
  await stored(seen, 'something', []);
  return seen;
}

async function started(options: RedisOptions = {}, atEnd: AtEnd = onTestFinished): Promise<TestRedis> {
  const redis = await startRedis(options);
  atEnd(() => redis.stop());
  return redis;
}

/** Does something again and again until this comes of it: a busy machine may be too slow for one look, or Redis left alone. */
async function eventually<T>(look: () => T | Promise<T>, expected: T): Promise<void> {
  const deadline = Date.now() + 40_000;
  for (;;) {
    const found = await look();
    if (isDeepStrictEqual(found, expected)) return;
    // Says what is different.
    if (Date.now() > deadline) expect(found).toEqual(expected);
    await delay(20);
  }
}

/** How one look went. */
async function get({ tier, outcomes }: Seen, key: string): Promise<string | undefined> {
  const before = outcomes.length;
  await tier.get(key);
  return outcomes
    .slice(before)
    .find((outcome) => outcome.startsWith('get '))
    ?.slice(4);
}

/** How one write went. */
async function set(
  { tier, outcomes }: Seen,
  key: string,
  pieces: readonly Piece[] = [],
  ttl = minute,
): Promise<string | undefined> {
  const before = outcomes.length;
  tier.set(key, pieces, ttl);
  const outcome = () => outcomes.slice(before).find((outcome) => outcome.startsWith('set '));
  await eventually(() => outcome() !== undefined, true);
  return outcome()?.slice(4);
}

async function stored(seen: Seen, key: string, pieces: readonly Piece[]): Promise<void> {
  await eventually(() => set(seen, key, pieces), 'stored');
}

/** What is there, where something is. */
async function found({ tier }: Seen, key: string): Promise<readonly Piece[]> {
  let pieces: readonly Piece[] | null = null;
  await eventually(async () => {
    pieces = await tier.get(key);
    return pieces !== null;
  }, true);
  return pieces ?? [];
}

function pieceOf(first: number, bytes: Buffer = Buffer.from('{"__name__":"up"}[1,"1"],')): Piece {
  const [start, end] = [17, bytes.length];
  return {
    first,
    last: first + 9,
    fetchedAt: 1_700_000_000_000,
    envelope: { opening: Buffer.from('['), closing: Buffer.from(']'), contentType: 'application/json' },
    bytes,
    series: Uint32Array.of(0, start, 0, 1, 0, 0, 0, 0),
    index: Uint32Array.of(start, end),
  };
}

/** Of the form of `promgate:range:v1:`, all that there are. */
async function keysOf(redis: TestRedis): Promise<string[]> {
  return ((await redis.ask('KEYS', '*')) as Buffer[]).map(String);
}

const lines = ({ logs }: Seen) => logs.map((line) => `${JSON.parse(line).level}: ${JSON.parse(line).msg}`);
const notRead = 'warn: the shared cache is not read for now';
const notWritten = 'warn: the shared cache is not written for now';
const readAgain = 'info: the shared cache is read again';
const writtenAgain = 'info: the shared cache is written again';

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
  it.each([1_000, mebibyte - 1, mebibyte, mebibyte + 1, 2 * mebibyte, 3_000_000, 8 * mebibyte])(
    'carries a value of %d bytes unharmed',
    async (length) => {
      const seen = await connected(redis.url);
      const beside = (await encodePieces('value', [pieceOf(0, Buffer.alloc(100))], secret)).length - 100;
      const bytes = randomBytes(length - beside);
      await redis.ask('FLUSHALL');
      await stored(seen, 'value', [pieceOf(0, bytes)]);
      const [key = ''] = await keysOf(redis);
      expect(await redis.ask('STRLEN', key)).toBe(length);
      const [piece] = await found(seen, 'value');
      expect(piece?.bytes.equals(bytes)).toBe(true);
    },
  );

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

// At once, because each waits for what is left alone for a while.
describe.concurrent('where Redis', { timeout: 90_000 }, () => {
  it('is not there when it starts, nothing waits for it, and it is used as soon as it is', async ({ onTestFinished }) => {
    const port = await freePort();
    const seen = connect(`redis://127.0.0.1:${port}`, secret, onTestFinished);
    expect([await get(seen, 'a'), await set(seen, 'a')]).toEqual(['skipped', 'skipped']);
    await eventually(() => lines(seen).toSorted(), [notRead, notWritten]);
    expect(seen.logs.join()).toContain(`connect ECONNREFUSED 127.0.0.1:${port}`);
    await started({ port }, onTestFinished);
    await stored(seen, 'a', [pieceOf(0)]);
    expect(await found(seen, 'a')).toEqual([pieceOf(0)]);
    expect(lines(seen).slice(2).toSorted()).toEqual([readAgain, writtenAgain]);
  });

  it('is killed and comes back, it is left alone until then', async ({ onTestFinished }) => {
    const redis = await started({}, onTestFinished);
    const seen = await connected(redis.url, secret, onTestFinished);
    const running = Array.from({ length: 20 }, (_, i) => {
      seen.tier.set(`${i}`, [pieceOf(0)], minute);
      return seen.tier.get(`${i}`);
    });
    redis.kill();
    await Promise.all(running);
    await eventually(() => lines(seen).toSorted(), [notRead, notWritten]);
    expect([await get(seen, 'a'), await set(seen, 'a')]).toEqual(['skipped', 'skipped']);
    await started({ port: redis.port }, onTestFinished);
    await stored(seen, 'a', [pieceOf(0)]);
    expect(await found(seen, 'a')).toEqual([pieceOf(0)]);
    expect(lines(seen).slice(2).toSorted()).toEqual([readAgain, writtenAgain]);
  });

  it('stands still, each look ends all the same, then there are none until it goes on', async ({ onTestFinished }) => {
    const redis = await started({}, onTestFinished);
    const seen = await connected(redis.url, secret, onTestFinished);
    await stored(seen, 'a', [pieceOf(0)]);
    expect(await found(seen, 'a')).toEqual([pieceOf(0)]);
    redis.pause();
    seen.outcomes.length = 0;
    await Promise.all(Array.from({ length: 50 }, () => seen.tier.get('a')));
    // All at once are one failure.
    expect(new Set(seen.outcomes)).toEqual(new Set(['get timeout']));
    expect(lines(seen)).toEqual([]);
    await eventually(async () => {
      expect(await seen.tier.get('a')).toBeNull();
      return lines(seen);
    }, [notRead]);
    seen.outcomes.length = 0;
    for (let i = 0; i < 100; i++) expect(await seen.tier.get('a')).toBeNull();
    expect(new Set(seen.outcomes)).toEqual(new Set(['get skipped']));
    // A try that fails is not worth a line.
    await eventually(() => get(seen, 'a'), 'timeout');
    redis.resume();
    expect(await found(seen, 'a')).toEqual([pieceOf(0)]);
    expect(lines(seen)).toEqual([notRead, readAgain]);
  });

  it('stands still, no more than 64 values wait for it', async ({ onTestFinished }) => {
    const redis = await started({}, onTestFinished);
    const seen = await connected(redis.url, secret, onTestFinished);
    redis.pause();
    seen.outcomes.length = 0;
    for (let i = 0; i < 100; i++) seen.tier.set(`${i}`, [pieceOf(0)], minute);
    expect(seen.outcomes).toEqual(Array.from({ length: 36 }, () => 'set skipped'));
    await eventually(
      () => seen.outcomes.slice(36),
      Array.from({ length: 64 }, () => 'set timeout'),
    );
    redis.resume();
    await stored(seen, 'a', [pieceOf(0)]);
  });

  it('stands still, no more than 32 MiB wait for it', async ({ onTestFinished }) => {
    const redis = await started({}, onTestFinished);
    const seen = await connected(redis.url, secret, onTestFinished);
    redis.pause();
    seen.outcomes.length = 0;
    const large = [pieceOf(0, Buffer.alloc(7 * 1024 * 1024))];
    for (let i = 0; i < 10; i++) seen.tier.set(`${i}`, large, minute);
    expect(seen.outcomes).toEqual(Array.from({ length: 6 }, () => 'set skipped'));
    await eventually(
      () => seen.outcomes.slice(6),
      Array.from({ length: 4 }, () => 'set timeout'),
    );
  });

  it('is full, what it has is read, and it is written again when there is room', async ({ onTestFinished }) => {
    const redis = await started({}, onTestFinished);
    const seen = await connected(redis.url, secret, onTestFinished);
    await stored(seen, 'a', [pieceOf(0)]);
    await redis.ask('CONFIG', 'SET', 'maxmemory', '1');
    for (let i = 1; i <= 5; i++) expect(await set(seen, 'b', [pieceOf(0)])).toBe('error');
    expect(await set(seen, 'b', [pieceOf(0)])).toBe('skipped');
    expect(await found(seen, 'a')).toEqual([pieceOf(0)]);
    expect(lines(seen)).toEqual([notWritten]);
    expect(seen.logs.join()).toContain('OOM command not allowed');
    await redis.ask('CONFIG', 'SET', 'maxmemory', '0');
    await stored(seen, 'b', [pieceOf(0)]);
    expect(lines(seen)).toEqual([notWritten, writtenAgain]);
  });

  it('hangs, closing does not wait for it', async ({ onTestFinished }) => {
    const redis = await started({}, onTestFinished);
    const seen = await connected(redis.url, secret, onTestFinished);
    redis.pause();
    const looks = Array.from({ length: 10 }, () => seen.tier.get('a'));
    for (let i = 0; i < 10; i++) seen.tier.set('a', [pieceOf(0, Buffer.alloc(3_000_000))], minute);
    await seen.tier.close();
    expect(await Promise.all(looks)).toEqual(looks.map(() => null));
    // Not `timeout`: nothing was waited for.
    await eventually(() => seen.outcomes.filter((outcome) => outcome === 'set error').length, 10);
    await seen.tier.close();
  });
});

/** Somebody who answers each thing that is said to him with the same bytes (`null`: hangs up), until he passes all on to Redis. */
async function startImpostor(redis: TestRedis, says: string | null, atEnd: AtEnd) {
  let honest = false;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = honest ? dial(redis.port, '127.0.0.1') : null;
    for (const socket of [near, ...(far === null ? [] : [far])]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    if (far === null) near.on('data', () => (says === null ? near.destroy() : near.write(says)));
    else
      near
        .on('close', () => far.destroy())
        .pipe(far)
        .on('close', () => near.destroy())
        .pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return {
    url: `redis://127.0.0.1:${address !== null && typeof address !== 'string' ? address.port : 0}`,
    reform() {
      honest = true;
    },
  };
}

describe.concurrent('who talks rubbish', { timeout: 90_000 }, () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  it.for<[string, string | null]>([
    ['hangs up', null],
    ['speaks HTTP', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'],
    ['says what is no protocol', '\0\x01\x02rubbish\r\n'],
    ['replies with a number', ':1\r\n'],
    ['replies with a word', '+HELLO\r\n'],
    ['replies with nothing at all', '$-1\r\n'],
    ['replies with a list', '*2\r\n$1\r\na\r\n$1\r\nb\r\n'],
    ['replies with a list of more than there is', '*1000000000\r\n'],
    ['replies with a value that was never written', '$5\r\nhello\r\n'],
    ['replies with more than was asked for', `$2000000\r\n${'x'.repeat(2_000_000)}\r\n`],
    ['begins a reply and says no more', '$100\r\nhello'],
    ['begins a reply that would never end', '$99999999999999\r\nhello'],
    ['replies twice to each', '$0\r\n\r\n$0\r\n\r\n'],
    ['refuses everything', '-ERR no\r\n'],
    ['pushes what nobody asked for', '>2\r\n$3\r\nfoo\r\n$3\r\nbar\r\n'],
  ])('and %s, is believed nothing, and is believed again when he has reformed', async ([, says], { onTestFinished }) => {
    const impostor = await startImpostor(redis, says, onTestFinished);
    const seen = connect(impostor.url, secret, onTestFinished);
    await eventually(async () => {
      expect((await seen.tier.get('a')) ?? []).toEqual([]);
      await set(seen, 'a', [pieceOf(0)]);
      return lines(seen).includes(notWritten);
    }, true);
    expect(seen.outcomes).not.toContain('get hit');
    expect(seen.outcomes).not.toContain('set stored');
    impostor.reform();
    await stored(seen, 'a', [pieceOf(0)]);
    expect(await found(seen, 'a')).toEqual([pieceOf(0)]);
    expect(lines(seen).at(-1)).toMatch(/again$/);
  });
});
