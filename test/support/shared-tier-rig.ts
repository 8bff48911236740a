import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { expect, onTestFinished } from 'vitest';
import type { Piece } from '../../src/cache/piece.ts';
import { createSharedTier, type SharedTier } from '../../src/cache/shared-tier.ts';
import { createLog } from '../../src/ops/log.ts';
import { type RedisOptions, startRedis, type TestRedis } from './redis.ts';

export const secret = Buffer.alloc(32, 1);
export const minute = 60_000;

/** A tier, and what was heard of it. */
interface Seen {
  readonly tier: SharedTier;
  /** As `get hit`. */
  readonly outcomes: string[];
  readonly logs: string[];
}

/** Does something when a test is over; tests that run at once each have their own. */
export type AtEnd = (end: () => Promise<void>) => void;

export function connect(url: string, key = secret, atEnd: AtEnd = onTestFinished): Seen {
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
export async function connected(url: string, key = secret, atEnd: AtEnd = onTestFinished): Promise<Seen> {
  const seen = connect(url, key, atEnd);
  await eventually(() => get(seen, 'nothing'), 'miss');
  await stored(seen, 'something', []);
  return seen;
}

export async function started(options: RedisOptions = {}, atEnd: AtEnd = onTestFinished): Promise<TestRedis> {
  const redis = await startRedis(options);
  atEnd(() => redis.stop());
  return redis;
}

/** Does something again and again until this comes of it: a busy machine may be too slow for one look, or Redis left alone. */
export async function eventually<T>(look: () => T | Promise<T>, expected: T): Promise<void> {
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
export async function get({ tier, outcomes }: Seen, key: string): Promise<string | undefined> {
  const before = outcomes.length;
  await tier.get(key);
  return outcomes
    .slice(before)
    .find((outcome) => outcome.startsWith('get '))
    ?.slice(4);
}

/** How one write went. */
export async function set(
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

export async function stored(seen: Seen, key: string, pieces: readonly Piece[]): Promise<void> {
  await eventually(() => set(seen, key, pieces), 'stored');
}

/** What is there, where something is. */
export async function found({ tier }: Seen, key: string): Promise<readonly Piece[]> {
  let pieces: readonly Piece[] | null = null;
  await eventually(async () => {
    pieces = await tier.get(key);
    return pieces !== null;
  }, true);
  return pieces ?? [];
}

export function pieceOf(first: number, bytes: Buffer = Buffer.from('{"__name__":"up"}[1,"1"],')): Piece {
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
export async function keysOf(redis: TestRedis): Promise<string[]> {
  return ((await redis.ask('KEYS', '*')) as Buffer[]).map(String);
}

export const lines = ({ logs }: Seen) => logs.map((line) => `${JSON.parse(line).level}: ${JSON.parse(line).msg}`);
export const notRead = 'warn: the shared cache is not read for now';
export const notWritten = 'warn: the shared cache is not written for now';
export const readAgain = 'info: the shared cache is read again';
export const writtenAgain = 'info: the shared cache is written again';
