/**
 * Proof while running: of a sampled part of the answers from the cache, the server is asked the same, and both are compared. A
 * difference is counted and logged, and what was kept is replaced by what the server says now.
 */
import type { Log } from '../ops/log.ts';
import type { Receiver } from '../upstream/ask.ts';
import { isObject, parseJson } from '../upstream/json.ts';
import { assemble, type Part } from './assemble.ts';
import type { Budget } from './budget.ts';
import type { RangePlan, WholePlan } from './cacheable.ts';
import { isClean, isKeepable } from './keep.ts';
import type { Piece } from './piece.ts';
import type { RangeKeeper } from './range-keeper.ts';
import { Reading } from './reading.ts';
import { cutPiece } from './slice.ts';
import type { Question } from './source.ts';
import type { Store, WholeAnswer } from './store.ts';

export interface Shadow {
  /** May ask and compare, later; never throws. */
  range(plan: RangePlan, question: Question, kept: readonly Part[]): void;
  whole(plan: WholePlan, question: Question, kept: WholeAnswer): void;
}

export interface ShadowParts {
  readonly store: Store;
  readonly keeper: RangeKeeper;
  /** For answers that are being scanned. */
  readonly budget: Budget;
  /** From 0 to 1. */
  readonly rate: () => number;
  readonly log: Log;
  readonly compared: (result: 'match' | 'mismatch' | 'skipped') => void;
}

/** Comparisons that run at once: the server has others to serve. */
const AT_ONCE = 2;
/** Bytes of an answer that is compared whole. */
const MOST = 4 * 1024 * 1024;

export function createShadow({ store, keeper, budget, rate, log, compared }: ShadowParts): Shadow {
  let running = 0;

  function sampled(): boolean {
    const part = rate();
    if (part === 0 || Math.random() >= part) return false;
    if (running < AT_ONCE) return true;
    compared('skipped');
    return false;
  }

  /** `look` tells whether the server says the same; `null`: its answer cannot be compared. */
  function compare(question: Question, parameters: string, look: Look, onMismatch: () => void): void {
    running++;
    let over = false;
    const done = (same: boolean | null) => {
      if (over) return;
      over = true;
      running--;
      compared(same === null ? 'skipped' : same ? 'match' : 'mismatch');
      if (same !== false) return;
      log.error('a kept answer differs from what the server says now', { server: question.binding.server.name });
      onMismatch();
    };
    try {
      question.source(parameters, false, {
        head: look.head,
        data: look.data,
        end: () => done(look.end()),
        fail() {
          look.fail?.();
          done(null);
        },
      });
    } catch {
      done(null);
    }
  }

  return {
    range(plan, question, kept) {
      if (!sampled()) return;
      const first = kept[0]?.span.first ?? plan.span.first;
      const last = kept.at(-1)?.span.last ?? plan.span.last;
      const { step, phase } = plan.grid;
      const reading = new Reading(plan, { first, last }, { keeper, budget });
      let fresh: Piece | null = null;
      const look: Look = {
        head: (head) => void reading.head(head),
        data(chunk) {
          reading.data(chunk);
          return true;
        },
        end() {
          fresh = reading.finish();
          return fresh === null ? null : agrees(fresh, kept);
        },
        fail: () => reading.release(),
      };
      compare(question, question.between(phase + first * step, phase + last * step), look, () => {
        if (fresh !== null) keeper.replace(plan, question.binding, fresh, reading.told);
      });
    },
    whole(plan, question, kept) {
      // What series and names there are may be others now.
      if (plan.settledFrom === Number.NEGATIVE_INFINITY || !sampled()) return;
      let chunks: Buffer[] | null = [];
      let bytes = 0;
      let keepable = false;
      const look: Look = {
        head(head) {
          keepable = isKeepable(head);
        },
        data(chunk) {
          bytes += chunk.length;
          if (bytes > MOST) chunks = null;
          chunks?.push(chunk);
          return true;
        },
        end() {
          const body = keepable && chunks !== null ? Buffer.concat(chunks) : null;
          return body === null || !isClean(body) ? null : body.equals(kept.body) || dataOf(body) === dataOf(kept.body);
        },
      };
      compare(question, question.asked.parameters, look, () => store.delete(plan.key));
    },
  };
}

interface Look extends Pick<Receiver, 'head' | 'data'> {
  end(): boolean | null;
  fail?(): void;
}

/** Byte by byte, where the kept parts are. */
function agrees(fresh: Piece, kept: readonly Part[]): boolean {
  return kept.every(({ piece, span }) => {
    const now = assemble([{ piece: cutPiece(fresh, span), span, cached: false }]);
    const before = assemble([{ piece, span, cached: true }]);
    return areSame(now, before);
  });
}

/** The same bytes, however they are divided. */
function areSame(a: Iterator<Buffer, unknown>, b: Iterator<Buffer, unknown>): boolean {
  let left: Buffer = Buffer.alloc(0);
  let right: Buffer = left;
  for (;;) {
    const [nextLeft, nextRight] = [next(a, left), next(b, right)];
    if (nextLeft === null || nextRight === null) return nextLeft === nextRight;
    const length = Math.min(nextLeft.length, nextRight.length);
    if (nextLeft.compare(nextRight, 0, length, 0, length) !== 0) return false;
    left = nextLeft.subarray(length);
    right = nextRight.subarray(length);
  }
}

/** What is left, or else what comes next; `null`: nothing. */
function next(chunks: Iterator<Buffer, unknown>, left: Buffer): Buffer | null {
  let chunk = left;
  while (chunk.length === 0) {
    const made = chunks.next();
    if (made.done) return null;
    chunk = made.value;
  }
  return chunk;
}

/**
 * The result that an answer gives, its series in one order: a server may give those of one moment in any, and after that what the
 * question cost it.
 */
function dataOf(body: Buffer): string | null {
  const answer = parseJson(body);
  if (!isObject(answer) || !isObject(answer.data)) return null;
  const { resultType, result } = answer.data;
  const inOrder = resultType === 'vector' || resultType === 'matrix';
  const series = Array.isArray(result) && inOrder ? result.map((one) => JSON.stringify(one)).sort() : result;
  return JSON.stringify([resultType, series]);
}
