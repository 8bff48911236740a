/** One answer to a range query on its way: scanned, within what all may take together, and with what its head told of it. */
import type { Head } from '../upstream/head.ts';
import type { Budget } from './budget.ts';
import type { RangePlan } from './cacheable.ts';
import { isKeepable, serverTime } from './keep.ts';
import type { Piece, Span } from './piece.ts';
import type { RangeKeeper, Told } from './range-keeper.ts';
import { createScanner, type Scanner } from './scan.ts';

export interface ReadingParts {
  readonly keeper: Pick<RangeKeeper, 'largest'>;
  /** For answers that are being scanned. */
  readonly budget: Budget;
}

/** Bytes that a scanner needs for each byte of an answer, with its index and room to grow. */
const NEEDED = 2.5;

/** See the head of this file. */
export class Reading {
  readonly #plan: RangePlan;
  readonly #span: Span;
  readonly #parts: ReadingParts;
  readonly #askedAt = Date.now();
  #scanner: Scanner | null = null;
  #taken = 0;
  /** What the head told; only of use where there is a piece in the end. */
  told: Told = { serverTime: 0, roundsTimes: true };

  constructor(plan: RangePlan, span: Span, parts: ReadingParts) {
    this.#plan = plan;
    this.#span = span;
    this.#parts = parts;
  }

  /** Each of these returns whether it can still come to something. */
  head(head: Head): boolean {
    if (!isKeepable(head)) return false;
    this.told = { serverTime: serverTime(head, this.#askedAt), roundsTimes: head.isVictoriaMetrics };
    this.#scanner = createScanner(this.#plan.grid, this.#span, head.contentType, this.#parts.keeper.largest);
    return true;
  }

  data(chunk: Buffer): boolean {
    if (this.#scanner === null) return false;
    const needed = Math.ceil(chunk.length * NEEDED);
    const hasRoom = this.#parts.budget.take(needed);
    if (hasRoom) this.#taken += needed;
    if (hasRoom && this.#scanner.push(chunk)) return true;
    this.release();
    return false;
  }

  finish(): Piece | null {
    const piece = this.#scanner?.finish(this.#askedAt) ?? null;
    this.release();
    return piece;
  }

  release(): void {
    this.#scanner = null;
    this.#parts.budget.give(this.#taken);
    this.#taken = 0;
  }
}
