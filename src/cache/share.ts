/**
 * Asking once: identical questions that are in flight share one answer. Whoever joins gets all of it, from its first byte, at its
 * own pace; whoever leaves leaves alone, and only when nobody is left is the question called off.
 */
import { internalError, PromgateError } from '../errors.ts';
import type { Asking } from '../upstream/ask.ts';
import type { Head } from '../upstream/head.ts';
import type { AnswerReceiver, CacheResult } from './answer.ts';

export interface Sharing {
  /**
   * Joins the flight of `key`; where there is none, or it is too far on, starts one. `start` hands the answer to the receiver that
   * it is given, at once or later. Those who join are told that their answer is `coalesced`.
   */
  join(key: string, receiver: AnswerReceiver, start: (receiver: AnswerReceiver) => Asking): Asking;
  /** Bytes of answers that are held for those who have not read them yet. */
  heldBytes(): number;
}

/** Bytes of an answer that may have come when somebody still joins: they are held until then. */
const JOINABLE = 1024 * 1024;
/** Bytes that may be held for slow readers, of all answers together. Beyond it an answer comes as fast as its slowest reader. */
const HELD = 64 * 1024 * 1024;
/** A reader that holds up others, and takes less than so many bytes in so many milliseconds, has to leave. */
const LEAST_TAKEN = 1024 * 1024;
const STALLED = 5_000;

interface Budget {
  held: number;
  /** Answers that come no faster than their slowest reader because there is no room. */
  readonly waiting: Set<Flight>;
}

export function createSharing(): Sharing {
  const flights = new Map<string, Flight>();
  const budget: Budget = { held: 0, waiting: new Set() };
  return {
    join(key, receiver, start) {
      const known = flights.get(key);
      if (known !== undefined) return known.join(receiver, true);
      const flight: Flight = new Flight(budget, () => {
        if (flights.get(key) === flight) flights.delete(key);
      });
      flights.set(key, flight);
      const asking = flight.join(receiver, false);
      flight.start(start);
      return asking;
    },
    heldBytes: () => budget.held,
  };
}

/** One answer on its way to all who asked for it. */
class Flight implements AnswerReceiver {
  readonly #budget: Budget;
  /** Called once when nobody can join any more. */
  readonly #close: () => void;
  readonly #readers = new Set<Reader>();
  #source: Asking | null = null;
  #joinable = true;
  #head: Head | null = null;
  #from: CacheResult = 'bypass';
  /** What came and may still be read; the first of them is number `#dropped` of all. */
  #chunks: Buffer[] = [];
  #dropped = 0;
  #received = 0;
  #paused = false;
  #ended = false;
  #watching = false;
  /** Nobody is left. */
  #left = false;

  constructor(budget: Budget, close: () => void) {
    this.#budget = budget;
    this.#close = close;
  }

  start(start: (receiver: AnswerReceiver) => Asking): void {
    try {
      this.#source = start(this);
    } catch (error) {
      // Whoever joins later would wait for ever.
      this.fail(internalError(error));
      return;
    }
    if (this.#left) this.#source.abort();
  }

  join(receiver: AnswerReceiver, late: boolean): Asking {
    const reader = new Reader(this, receiver, late);
    this.#readers.add(reader);
    if (this.#head !== null) {
      reader.head(this.#head, this.#from);
      this.pump(reader);
      // All others may have paused.
      this.goOn();
    }
    return reader;
  }

  head(head: Head, from: CacheResult): void {
    this.#head = head;
    this.#from = from;
    for (const reader of this.#readers) reader.head(head, from);
  }

  data(chunk: Buffer): boolean {
    this.#received += chunk.length;
    this.#chunks.push(chunk);
    this.#budget.held += chunk.length;
    if (this.#joinable && (this.#received > JOINABLE || this.#budget.held > HELD)) this.#noMore();
    for (const reader of this.#readers) this.pump(reader);
    this.#drop();
    this.#paused = this.#mustPause();
    return !this.#paused;
  }

  end(): void {
    this.#ended = true;
    this.#budget.waiting.delete(this);
    this.#noMore();
    for (const reader of this.#readers) this.pump(reader);
    this.#drop();
  }

  fail(error: PromgateError): void {
    this.#ended = true;
    this.#budget.waiting.delete(this);
    this.#noMore();
    const readers = [...this.#readers];
    this.#readers.clear();
    this.#drop();
    for (const reader of readers) if (!reader.over) reader.fail(error);
  }

  /** Hands a reader what it has not had, until it wants no more for now. */
  pump(reader: Reader): void {
    while (!reader.paused && !reader.over) {
      const chunk = this.#chunks[reader.next - this.#dropped];
      if (chunk === undefined) {
        if (this.#ended && this.#readers.delete(reader)) reader.end();
        return;
      }
      reader.data(chunk);
    }
  }

  /** A reader goes on, or has left. */
  changed(reader: Reader): void {
    if (reader.over) this.#readers.delete(reader);
    else this.pump(reader);
    this.#goOn();
  }

  /** After readers went on or left. */
  #goOn(): void {
    this.#drop();
    if (this.#ended) return;
    if (this.#readers.size === 0) {
      this.#ended = true;
      this.#left = true;
      this.#budget.waiting.delete(this);
      this.#noMore();
      this.#drop();
      this.#source?.abort();
    } else this.goOn();
  }

  /** Lets more come if that was stopped and need not be any more. */
  goOn(): void {
    if (this.#ended || !this.#paused || this.#mustPause()) return;
    this.#paused = false;
    this.#source?.resume();
  }

  /** Whoever has hardly moved after a while, while others wait for it, is cut off. */
  #watch(): void {
    if (this.#watching) return;
    const waiting = [...this.#readers].filter(({ paused }) => paused);
    const before = waiting.map(({ taken }) => taken);
    this.#watching = true;
    setTimeout(() => {
      this.#watching = false;
      if (this.#ended || [...this.#readers].every(({ paused }) => paused)) return;
      for (const [i, reader] of waiting.entries()) {
        // It may have taken all that there was.
        if (reader.over || !reader.paused || reader.taken - (before[i] ?? 0) >= LEAST_TAKEN) continue;
        this.#readers.delete(reader);
        reader.fail(new PromgateError('timeout', 'the client took too little of an answer for which others wait'));
      }
      this.#goOn();
    }, STALLED).unref();
  }

  #noMore(): void {
    if (!this.#joinable) return;
    this.#joinable = false;
    this.#close();
  }

  /** The quickest sets the pace as long as there is room to hold what the others have not read; else it is called when there is. */
  #mustPause(): boolean {
    let some = false;
    let all = true;
    for (const { paused } of this.#readers) {
      if (paused) some = true;
      else all = false;
    }
    const lacksRoom = some && !all && this.#budget.held > HELD;
    if (lacksRoom) {
      this.#budget.waiting.add(this);
      this.#watch();
    }
    return all || lacksRoom;
  }

  /** Forgets what nobody will read. */
  #drop(): void {
    if (this.#joinable) return;
    let next = this.#dropped + this.#chunks.length;
    for (const reader of this.#readers) next = Math.min(next, reader.next);
    const count = next - this.#dropped;
    if (count === 0) return;
    for (const chunk of this.#chunks.splice(0, count)) this.#budget.held -= chunk.length;
    this.#dropped = next;
    const { held, waiting } = this.#budget;
    if (waiting.size === 0 || held > HELD) return;
    const flights = [...waiting];
    waiting.clear();
    for (const flight of flights) flight.goOn();
  }
}

/** One who asked. */
class Reader implements Asking {
  readonly #flight: Flight;
  readonly #receiver: AnswerReceiver;
  readonly #late: boolean;
  /** Number of the chunk that it gets next. */
  next = 0;
  /** Bytes that it got. */
  taken = 0;
  paused = false;
  over = false;

  constructor(flight: Flight, receiver: AnswerReceiver, late: boolean) {
    this.#flight = flight;
    this.#receiver = receiver;
    this.#late = late;
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    this.#flight.changed(this);
  }

  resume(): void {
    if (!this.paused || this.over) return;
    this.paused = false;
    this.#flight.changed(this);
  }

  head(head: Head, from: CacheResult): void {
    this.#receiver.head(head, this.#late ? 'coalesced' : from);
  }

  data(chunk: Buffer): void {
    this.next++;
    this.taken += chunk.length;
    if (!this.#receiver.data(chunk)) this.paused = true;
  }

  end(): void {
    this.over = true;
    this.#receiver.end();
  }

  fail(error: PromgateError): void {
    this.over = true;
    this.#receiver.fail(error);
  }
}
