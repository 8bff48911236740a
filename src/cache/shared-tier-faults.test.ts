import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../test/support/ports.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import {
  type AtEnd,
  connect,
  connected,
  eventually,
  found,
  get,
  lines,
  minute,
  notRead,
  notWritten,
  pieceOf,
  readAgain,
  secret,
  set,
  started,
  stored,
  writtenAgain,
} from '../../test/support/shared-tier-rig.ts';

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

  it('is asked for more at once than it can send soon, some is not read, and it is not left alone for that', async ({
    onTestFinished,
  }) => {
    const redis = await started({}, onTestFinished);
    const seen = await connected(redis.url, secret, onTestFinished);
    const large = [pieceOf(0, Buffer.alloc(7 * 1024 * 1024))];
    const keys = Array.from({ length: 16 }, (_, i) => `${i}`);
    for (const key of keys) await stored(seen, key, large);
    for (let round = 0; round < 6; round++) {
      seen.outcomes.length = 0;
      const all = await Promise.all(keys.map((key) => seen.tier.get(key)));
      // No more than 32 MiB: four of them. A machine that is busy too may not read even those in a second.
      expect(all.filter((pieces) => pieces !== null).length).toBeLessThanOrEqual(4);
      expect(seen.outcomes.filter((outcome) => outcome !== 'get hit' && outcome !== 'get skipped')).toEqual([]);
    }
    await eventually(() => get(seen, '0'), 'hit');
    expect(lines(seen)).toEqual([]);
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
