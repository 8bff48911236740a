import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Promgate, startPromgate } from '../src/app.ts';
import { createLog } from '../src/ops/log.ts';
import { ask } from './support/ask.ts';
import { askedOf, honest, madeUpText } from './support/made-up.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';
import { startRedis, type TestRedis } from './support/redis.ts';
import { resetsBeforeHeaders, type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

/** Two replicas on one database that share a Redis, which fails in every way. Answers stay right, and come. */
const password = 'red-is-the-secret';
const base = 1_748_764_800;
type Points = readonly [first: number, last: number];
// A Redis that was too slow a few times is left alone for five seconds.
vi.setConfig({ testTimeout: 120_000 });
const soon = { timeout: 20_000 };
const whole: Points = [0, 240];

let upstream: StrictUpstream;
let redis: TestRedis;
let first: TestPromgate;
let second: Promgate;
let token: TestToken;
const logs: string[] = [];

beforeAll(async () => {
  [upstream, redis] = await Promise.all([startStrictUpstream(honest()), startRedis({ password })]);
  const servers = [{ name: 'main', url: upstream.url, kind: 'prometheus' }];
  const projects = [{ path: 'acme/shop', environments: [{ name: 'production' }], servers }];
  const log = createLog('debug', (line) => logs.push(line));
  first = await startTestPromgate({ resources: JSON.stringify({ projects }), settings: { cache: { redisUrl: redis.url } }, log });
  second = await startPromgate(first.settings, { log });
  token = await first.token('acme/shop');
  await expectShared();
});

afterAll(async () => {
  await second?.close();
  await first?.close();
  await redis?.stop();
  await upstream?.stop();
});

beforeEach(() => upstream.play(honest()));

let count = 0;
/** A query that was never asked before. */
const newQuery = () => `up_${++count}`;

interface Seen {
  readonly cache: string;
  /** Questions that the server got. */
  readonly asked: number;
}

/** Asks a replica, sees that the answer is right, and tells where it came from. */
async function look(at: { url: string }, query: string, [from, to]: Points = whole): Promise<Seen> {
  const before = upstream.requests.length;
  const params = new URLSearchParams({ query, start: `${base + from * 15}`, end: `${base + to * 15}`, step: '15' });
  const path = '/api/v1/query_range';
  const answer = await fetch(`${new URL(at.url).origin}/acme/shop/-/environments/production/prometheus${path}?${params}`, {
    headers: { authorization: token.basic },
  });
  expect([answer.status, await answer.text()]).toEqual([200, madeUpText({ path, params })]);
  return { cache: answer.headers.get('x-promgate-cache') ?? '', asked: upstream.requests.length - before };
}

const hit: Seen = { cache: 'hit', asked: 0 };
const miss: Seen = { cache: 'miss', asked: 1 };

/** `get hit`, `set stored` and so on. */
async function outcomes(name: string, of: readonly { opsUrl: string }[] = [first, second]): Promise<number> {
  const [operation, outcome] = name.split(' ');
  const series = `promgate_cache_shared_requests_total{operation="${operation}",outcome="${outcome}"} `;
  let sum = 0;
  for (const { opsUrl } of of) {
    const { body } = await ask(`${opsUrl}/metrics`);
    const line = body.split('\n').find((each) => each.startsWith(series));
    sum += line === undefined ? 0 : Number(line.slice(series.length));
  }
  return sum;
}

/** Asks the first replica for something new, and waits until Redis has it. */
async function stored(query: string, points: Points = whole): Promise<void> {
  const counts = async () => [await outcomes('set stored', [first]), await hurried()] as const;
  const [before, hurriedBefore] = await counts();
  await look(first, query, points);
  const over = async () => {
    const [now, hurriedNow] = await counts();
    return now > before || hurriedNow > hurriedBefore;
  };
  await expect.poll(over, soon).toBe(true);
  expect(await outcomes('set stored', [first])).toBeGreaterThan(before);
}

/** The same with a new query, which it gives. */
async function storedQuery(): Promise<string> {
  let query = '';
  await unhurried(async () => {
    query = newQuery();
    await stored(query);
  });
  return query;
}

/** Resolves when Redis works: what one replica has asked, the other one answers. The test's own limit of time is the limit. */
async function expectShared(): Promise<void> {
  for (;;) {
    const query = newQuery();
    await look(first, query);
    // Nobody waits for a value to be written.
    await delay(100);
    if ((await look(second, query)).cache === 'hit') return;
  }
}

/**
 * Resolves when nothing is on its way to Redis any more: each replica writes over one connection, one value after the other, and
 * the last one has arrived.
 */
async function quiet(): Promise<void> {
  for (;;) {
    await expectShared();
    const query = newQuery();
    await look(second, query);
    await delay(100);
    if ((await look(first, query)).cache === 'hit') return;
  }
}

/** How often Redis was too slow for a replica, or left alone for that. */
async function hurried(): Promise<number> {
  let sum = 0;
  for (const name of ['get timeout', 'get skipped', 'set timeout', 'set skipped']) sum += await outcomes(name);
  return sum;
}

/** Redis is given 50 ms for a reply. On a busy machine it may take longer: then `work`, which has failed for that, is done anew. */
async function unhurried(work: () => Promise<void>): Promise<void> {
  for (;;) {
    const before = await hurried();
    try {
      return await work();
    } catch (error) {
      if ((await hurried()) === before) throw error;
      await expectShared();
    }
  }
}

async function keys(): Promise<Buffer[]> {
  const reply = await redis.ask('KEYS', '*');
  return Array.isArray(reply) ? reply.filter((key) => Buffer.isBuffer(key)) : [];
}

/** Every value becomes what `change` makes of it. */
async function overwriteAll(change: (value: Buffer) => Buffer): Promise<void> {
  for (const key of await keys()) {
    const value = await redis.ask('GET', key);
    if (Buffer.isBuffer(value)) await redis.ask('SET', key, change(value), 'KEEPTTL');
  }
}

/** As `it`; see `unhurried`. */
const itShares = (name: string, work: () => Promise<void>) => it(name, () => unhurried(work));

describe('two replicas', () => {
  itShares('serve each other’s extents: what one has asked, the other one does not ask', async () => {
    const query = newQuery();
    await stored(query);
    expect(await look(second, query)).toEqual(hit);
    // From its own memory now.
    await redis.ask('FLUSHALL');
    expect(await look(second, query, [100, 200])).toEqual(hit);
  });

  itShares('ask only for what neither has', async () => {
    const query = newQuery();
    await stored(query, [0, 200]);
    const before = upstream.requests.length;
    expect(await look(second, query, [0, 240])).toEqual({ cache: 'partial', asked: 1 });
    const { params } = askedOf(await upstream.request(before));
    expect(Number(params.get('start'))).toBe(base + 201 * 15);
  });

  itShares('read what is there once, whoever asks at the same time', async () => {
    const query = newQuery();
    await stored(query);
    const before = await outcomes('get hit');
    const seen = await Promise.all(Array.from({ length: 50 }, () => look(second, query)));
    expect(seen.every(({ cache, asked }) => asked === 0 && (cache === 'hit' || cache === 'coalesced'))).toBe(true);
    expect((await outcomes('get hit')) - before).toBe(1);
  });
});

describe('values that nobody of us wrote', () => {
  /** The second replica looks at what is there for the query, makes `outcome` of it, and asks the server. */
  async function expectPassedOver(query: string, outcome: string): Promise<void> {
    const before = await outcomes(outcome);
    expect(await look(second, query)).toEqual(miss);
    expect(await outcomes(outcome)).toBe(before + 1);
    expect(await look(second, query)).toEqual(hit);
    // One failure after the other, and Redis would be left alone.
    await expectShared();
  }

  it.each<[string, string, (value: Buffer) => Buffer]>([
    ['random bytes', 'get invalid', (value) => randomBytes(value.length)],
    ['nothing', 'get miss', () => Buffer.alloc(0)],
    ['text', 'get invalid', () => Buffer.from('PONG')],
    ['the first half', 'get invalid', (value) => value.subarray(0, value.length / 2)],
    ['one more byte', 'get invalid', (value) => Buffer.concat([value, Buffer.alloc(1)])],
    ['another bit in the middle', 'get invalid', (value) => flipped(value, value.length >> 1)],
    ['another bit at the end', 'get invalid', (value) => flipped(value, value.length - 1)],
    ['another version', 'get invalid', (value) => flipped(value, 7)],
    ['9 MiB of zeros', 'get invalid', () => Buffer.alloc(9 * 2 ** 20)],
  ])('%s: are not looked at', (_, outcome, change) =>
    unhurried(async () => {
      await redis.ask('FLUSHALL');
      const query = newQuery();
      await stored(query);
      await overwriteAll(change);
      await expectPassedOver(query, outcome);
    }),
  );

  itShares('the value of another query under this one’s key: is not taken for it', async () => {
    await redis.ask('FLUSHALL');
    const [one, other] = [newQuery(), newQuery()];
    await stored(one);
    const [key = Buffer.alloc(0)] = await keys();
    await stored(other);
    const otherKey = (await keys()).find((each) => !each.equals(key)) ?? Buffer.alloc(0);
    const value = await redis.ask('GET', otherKey);
    if (!Buffer.isBuffer(value)) throw new Error('no value');
    await redis.ask('SET', key, value);
    await expectPassedOver(one, 'get invalid');
  });

  itShares('a list in place of a value: is not looked at', async () => {
    await redis.ask('FLUSHALL');
    const query = newQuery();
    await stored(query);
    for (const key of await keys()) {
      await redis.ask('DEL', key);
      await redis.ask('LPUSH', key, 'x');
    }
    await expectPassedOver(query, 'get error');
  });
});

describe('a Redis that is', () => {
  itShares('full: refuses what is new, and serves what it has', async () => {
    const query = newQuery();
    await stored(query);
    await redis.ask('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await redis.ask('CONFIG', 'SET', 'maxmemory', '1');
    try {
      const refused = await outcomes('set error');
      const other = newQuery();
      expect(await look(first, other)).toEqual(miss);
      await expect.poll(() => outcomes('set error'), soon).toBeGreaterThan(refused);
      expect(await look(first, other)).toEqual(hit);
      expect(await look(second, other)).toEqual(miss);
      expect(await look(second, query)).toEqual(hit);
    } finally {
      await redis.ask('CONFIG', 'SET', 'maxmemory', '0');
    }
    await expectShared();
  });

  it('frozen: holds up nobody for long, and is used again when it wakes', async () => {
    const query = await storedQuery();
    redis.pause();
    for (let turn = 0; turn < 10; turn++) {
      const other = newQuery();
      for (const replica of [first, second]) expect(await look(replica, other)).toEqual(miss);
      for (const replica of [first, second]) expect(await look(replica, other)).toEqual(hit);
    }
    expect(await look(first, query)).toEqual(hit);
    redis.resume();
    await expectShared();
  });

  it('killed and started anew: is missed by nobody, and is used again', async () => {
    const query = await storedQuery();
    const { port } = redis;
    redis.kill();
    const other = newQuery();
    for (const replica of [first, second]) expect(await look(replica, other)).toEqual(miss);
    expect(await look(first, query)).toEqual(hit);
    expect(await look(second, query)).toEqual(miss);
    await redis.stop();
    redis = await startRedis({ password, port });
    await expectShared();
  });

  it('killed while a replica waits for it: the server is asked instead', async () => {
    const query = await storedQuery();
    redis.pause();
    const looking = look(second, query);
    redis.kill();
    expect(await looking).toEqual(miss);
    const { port } = redis;
    await redis.stop();
    redis = await startRedis({ password, port });
    await expectShared();
  });

  it('emptied in the middle: what was there is asked for again', async () => {
    const query = await storedQuery();
    await redis.ask('FLUSHALL');
    expect(await look(second, query)).toEqual(miss);
  });
});

describe('a server that fails', () => {
  it('leaves nothing wrong in Redis', async () => {
    await quiet();
    await redis.ask('FLUSHALL');
    const query = newQuery();
    upstream.play(resetsBeforeHeaders);
    const answer = await fetch(
      `${first.endpoint('acme/shop:production')}/api/v1/query_range?query=${query}&start=${base}&end=${base + 3600}&step=15`,
      { headers: { authorization: token.basic } },
    );
    expect(answer.status).toBe(503);
    expect(await keys()).toEqual([]);
    upstream.play(honest());
    for (const replica of [first, second]) await look(replica, query);
  });
});

it('the password is in no line of the log', () => {
  expect(logs.length).toBeGreaterThan(0);
  expect(logs.filter((line) => line.includes(password))).toEqual([]);
});

function flipped(value: Buffer, at: number): Buffer {
  const other = Buffer.from(value);
  other[at] = (other[at] ?? 0) ^ 1;
  return other;
}
