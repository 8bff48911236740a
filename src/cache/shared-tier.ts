/**
 * The memory that processes share, in Valkey or Redis. It only ever saves time: when it is slow, full, gone or talks rubbish,
 * an answer comes as it would without it. Reading and writing have a connection each, so that a large value on its way there
 * does not hold up a small one on its way here.
 */
import { createHmac } from 'node:crypto';
import type { Log } from '../ops/log.ts';
import { type Breaker, createBreaker } from './breaker.ts';
import { decodePieces, encodedLength, encodePieces, statedLength } from './codec.ts';
import type { Piece } from './piece.ts';
import { LinkBusy, openRedisLink, type RedisLink, RedisTimeout, reasonOf } from './redis-link.ts';

export interface SharedTier {
  /** `null`: not there, or the tier is slow, gone or broken. Never rejects. */
  get(key: string): Promise<readonly Piece[] | null>;
  /** Fire and forget; the pieces are in rising order and do not overlap. `ttl` in milliseconds. Never throws. */
  set(key: string, pieces: readonly Piece[], ttl: number): void;
  close(): Promise<void>;
}

/** `skipped`: it was not even tried, or given up because of how much is read by others at once. `invalid`: what lay there was nothing that we had written. */
export type SharedOutcome = 'hit' | 'miss' | 'stored' | 'skipped' | 'timeout' | 'error' | 'invalid';

export interface SharedTierOptions {
  /** `redis://` or `rediss://`. */
  readonly url: string;
  /** The same in all processes that share, and known to nobody else. */
  readonly secret: Buffer;
  readonly onOutcome: (operation: 'get' | 'set', outcome: SharedOutcome) => void;
  readonly log: Log;
}

/**
 * Milliseconds without a reply to anything that is read, while a client waits for its answer. In one network a reply takes less than
 * one, and 3 for a whole part at 1 Gbit/s; what it saves is a question to a server, which takes tens. More could cost more than it saves.
 */
const GET_SILENCE = 50;
/** Milliseconds for a value to be read, when Redis is busy with what others read. */
const LONGEST_GET = 1_000;
/** Milliseconds without a reply to anything that is written. Nobody waits for it. */
const SET_SILENCE = 1_000;
/** Bytes of a value. A longer one would hold up others, here and in Redis, for longer than it saves. */
const LARGEST = 8 * 1024 * 1024;
/** Bytes that are read at once: short values come between the parts of long ones, and no reply is longer. */
const PART = 256 * 1024;
/** Read at first: most values are no longer, and of the others it tells how long they are. */
const BEGINNING = 64 * 1024;
/** Values that are read at once, and bytes of those that are longer than a beginning; what is asked for beyond that is not read. */
const MOST_READS = 512;
const MOST_READ = 4 * LARGEST;
/** Values and bytes on their way to Redis; what comes while there are so many is not written. */
const MOST_WRITES = 64;
const MOST_WRITTEN = 4 * LARGEST;

/** Connects in the background. */
export function createSharedTier({ url, secret, onOutcome, log }: SharedTierOptions): SharedTier {
  const reads = openLane(url, 'read', log);
  const writes = openLane(url, 'written', log);
  let getsRunning = 0;
  /** Of the long values that are being read. */
  let bytesRead = 0;
  let writesRunning = 0;
  let bytesRunning = 0;

  /** The value whole; `null`: there is none. Throws where there is something else. `reserve` throws when there is no room for so many bytes. */
  async function read(redisKey: string, deadline: number, reserve: (bytes: number) => void): Promise<Buffer | null> {
    const part = async (from: number, to: number) => {
      const reply = await reads.link.ask(['GETRANGE', redisKey, String(from), String(to - 1)], GET_SILENCE, deadline);
      if (!Buffer.isBuffer(reply) || reply.length > to - from) throw new OutOfStep('not a reply to what was asked');
      return reply;
    };
    const beginning = await part(0, BEGINNING);
    if (beginning.length < BEGINNING) return beginning.length === 0 ? null : beginning;
    const length = statedLength(beginning) ?? 0;
    if (length < BEGINNING || length > LARGEST) throw new InvalidValue('a value of a length that is never written');
    reserve(length);
    const value = Buffer.allocUnsafe(length);
    let at = beginning.copy(value);
    while (at < length) {
      const end = Math.min(at + PART, length);
      const next = await part(at, end);
      // Evicted, or replaced by a shorter one meanwhile.
      if (next.length < end - at) return null;
      at += next.copy(value, at);
    }
    return value;
  }

  async function get(key: string): Promise<readonly Piece[] | null> {
    if (getsRunning >= MOST_READS || !reads.link.ready || !reads.breaker.allows()) {
      onOutcome('get', 'skipped');
      return null;
    }
    const startedAt = performance.now();
    let reserved = 0;
    getsRunning++;
    try {
      const value = await read(redisKeyOf(key), startedAt + LONGEST_GET, (bytes) => {
        if (bytesRead + bytes > MOST_READ) throw new LinkBusy('too much is read at once');
        reserved = bytes;
        bytesRead += bytes;
      });
      const pieces = value === null ? null : await decodePieces(key, value, secret);
      if (value !== null && pieces === null) throw new InvalidValue('a value that we did not write');
      reads.breaker.passed();
      onOutcome('get', pieces === null ? 'miss' : 'hit');
      return pieces;
    } catch (error) {
      // Redis did reply, if not to this.
      if (error instanceof LinkBusy) reads.breaker.passed();
      else failed(reads, startedAt, error);
      onOutcome('get', outcomeOf(error));
      return null;
    } finally {
      getsRunning--;
      bytesRead -= reserved;
    }
  }

  function set(key: string, pieces: readonly Piece[], ttl: number): void {
    const length = encodedLength(key, pieces);
    const fits = length <= LARGEST && ttl >= 1 && writesRunning < MOST_WRITES && bytesRunning + length <= MOST_WRITTEN;
    if (fits && writes.link.ready && writes.breaker.allows()) void write(key, pieces, ttl, length);
    else onOutcome('set', 'skipped');
  }

  async function write(key: string, pieces: readonly Piece[], ttl: number, length: number): Promise<void> {
    writesRunning++;
    bytesRunning += length;
    const startedAt = performance.now();
    try {
      const value = await encodePieces(key, pieces, secret);
      const reply = await writes.link.ask(['SET', redisKeyOf(key), value, 'PX', String(Math.ceil(ttl))], SET_SILENCE);
      if (reply !== 'OK') throw new OutOfStep('not a reply to what was asked');
      writes.breaker.passed();
      onOutcome('set', 'stored');
    } catch (error) {
      failed(writes, startedAt, error);
      onOutcome('set', outcomeOf(error));
    }
    writesRunning--;
    bytesRunning -= length;
  }

  /** From outside one cannot tell what a key stands for, and installations with different secrets keep out of each other's way. */
  function redisKeyOf(key: string): string {
    return `promgate:range:v1:${createHmac('sha256', secret).update(key).digest('base64url')}`;
  }

  return {
    get,
    set,
    async close() {
      await Promise.all([reads.link.close(), writes.link.close()]);
    },
  };
}

/** Reading or writing: a connection, and whether it is worth trying. */
interface Lane {
  readonly link: RedisLink;
  readonly breaker: Breaker;
}

function openLane(url: string, what: 'read' | 'written', log: Log): Lane {
  const breaker = createBreaker({
    opened: (reason) => log.warn(`the shared cache is not ${what} for now`, { reason }),
    closed: () => log.info(`the shared cache is ${what} again`),
  });
  return { link: openRedisLink(url, breaker.failed), breaker };
}

function failed({ link, breaker }: Lane, startedAt: number, error: unknown): void {
  breaker.failed(startedAt, reasonOf(error));
  // The next try may come to another machine, as after a failover, and to replies that are in step with what is asked.
  if (breaker.open || error instanceof OutOfStep) link.drop(reasonOf(error));
}

class InvalidValue extends Error {}
class OutOfStep extends InvalidValue {}

function outcomeOf(error: unknown): SharedOutcome {
  if (error instanceof RedisTimeout) return 'timeout';
  if (error instanceof LinkBusy) return 'skipped';
  return error instanceof InvalidValue ? 'invalid' : 'error';
}
