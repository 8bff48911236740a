/**
 * What answers under way are made of. The store may have given it up since; it stays in memory until its last reader has all of
 * it. So that many slow readers together hold no more than a certain amount, there is a bound on it.
 */
import { PromgateError } from '../errors.ts';
import type { Asking } from '../upstream/ask.ts';
import type { AnswerReceiver } from './answer.ts';

export interface Held {
  /**
   * Counts what an answer is made of, with its bytes, once for all answers that are made of it. Gives what is called when the answer
   * is over; `null`: there is no room. `giveUp` may be called later, when others lack room: it ends the answer.
   */
  hold(parts: ReadonlyMap<object, number>, giveUp: () => void): (() => void) | null;
  /** Bytes that are counted. */
  readonly bytes: number;
}

/** Bytes of parts that are not worth counting: the answer has gone to the operating system, or waits there whole. */
const SMALL = 1024 * 1024;
/** Milliseconds that an answer may take where others lack room: as long as one from a server, by default. */
const PATIENCE = 30_000;

interface Holder {
  readonly since: number;
  readonly giveUp: () => void;
}

/** At most `most` bytes. `now` is a clock of milliseconds that never goes back. */
export function createHeld(most: number, now: () => number = () => performance.now()): Held {
  let bytes = 0;
  /** How many answers are made of it. */
  const uses = new Map<object, number>();
  /** The oldest first. */
  const holders = new Set<Holder>();

  function lacksRoom(parts: ReadonlyMap<object, number>): boolean {
    let more = 0;
    for (const [part, size] of parts) if (!uses.has(part)) more += size;
    return bytes + more > most;
  }

  function hold(parts: ReadonlyMap<object, number>, giveUp: () => void): (() => void) | null {
    let all = 0;
    for (const size of parts.values()) all += size;
    if (all <= SMALL) return () => undefined;
    const since = now();
    for (const oldest of holders) {
      if (since - oldest.since < PATIENCE || !lacksRoom(parts)) break;
      oldest.giveUp();
    }
    if (lacksRoom(parts)) return null;
    for (const [part, size] of parts) {
      const before = uses.get(part) ?? 0;
      if (before === 0) bytes += size;
      uses.set(part, before + 1);
    }
    const holder = { since, giveUp };
    holders.add(holder);
    return () => {
      if (!holders.delete(holder)) return;
      for (const [part, size] of parts) {
        const left = (uses.get(part) ?? 1) - 1;
        if (left > 0) uses.set(part, left);
        else {
          uses.delete(part);
          bytes -= size;
        }
      }
    };
  }

  return {
    hold,
    get bytes() {
      return bytes;
    },
  };
}

/** Begins an answer that is made of `parts`, which are held until it is over; `null`: there is no room for them. */
export function whileHeld(
  held: Held,
  parts: ReadonlyMap<object, number>,
  receiver: AnswerReceiver,
  begin: (receiver: AnswerReceiver) => Asking,
): Asking | null {
  let asking: Asking | null = null;
  const release = held.hold(parts, () => {
    abort();
    receiver.fail(new PromgateError('timeout', 'the client is too slow for an answer whose memory others need'));
  });
  if (release === null) return null;
  const abort = () => {
    release();
    asking?.abort();
  };
  const begun = begin({
    head: (head, from) => receiver.head(head, from),
    data: (chunk) => receiver.data(chunk),
    end() {
      release();
      receiver.end();
    },
    fail(error) {
      release();
      receiver.fail(error);
    },
  });
  asking = begun;
  return { abort, resume: () => begun.resume() };
}
