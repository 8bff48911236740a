/** Range queries: what is kept of them is answered from memory, and the server is asked for the rest. */
import { internalError } from '../errors.ts';
import type { Asking } from '../upstream/ask.ts';
import type { Head } from '../upstream/head.ts';
import { answerTooLarge, timedOut } from '../upstream/trouble.ts';
import { type AnswerReceiver, type CacheResult, received } from './answer.ts';
import { assemble, type Part } from './assemble.ts';
import type { Budget } from './budget.ts';
import type { RangePlan } from './cacheable.ts';
import { emit } from './emit.ts';
import { type Coverage, overlay, questionsFor } from './extents.ts';
import { type Held, whileHeld } from './held.ts';
import type { Piece, Span } from './piece.ts';
import type { RangeKeeper } from './range-keeper.ts';
import { Reading } from './reading.ts';
import { pieceSize } from './slice.ts';
import type { Question } from './source.ts';

/** Bytes of pieces of which nothing is held for a reader. */
const SMALL = 512 * 1024;

export interface RangeParts {
  readonly keeper: RangeKeeper;
  /** For answers that are being scanned. */
  readonly budget: Budget;
  /** Asks for another stretch of what the question asks, together with others who ask the same. */
  readonly askPart: (question: Question, parameters: string, receiver: AnswerReceiver) => Asking;
  /** What answers under way are made of. */
  readonly held: Held;
  /** Points of answers that the server was not asked for. */
  readonly saved: (points: number) => void;
}

/**
 * Answers from parts that are all there is of the span. Where too much is held for slow readers already, the server is asked: its
 * answer comes at the reader's pace, and nothing is held for it.
 */
export function answerFrom(
  parts: readonly Part[],
  question: Question,
  from: CacheResult,
  receiver: AnswerReceiver,
  { held, saved }: Pick<RangeParts, 'held' | 'saved'>,
): Asking {
  const { server, limits } = question.binding;
  const emitted = {
    chunks: assemble(parts),
    contentType: parts[0]?.piece.envelope.contentType ?? 'application/json',
    from,
    maxBytes: limits.maxResponse,
    tooLarge: () => answerTooLarge(server, limits.maxResponse),
    onEnd: saved,
  };
  // A small one is copied and handed over at once.
  if (parts.reduce((sum, { piece }) => sum + piece.bytes.length, 0) <= SMALL) return emit(emitted, receiver);
  const pieces = new Map(parts.map(({ piece }) => [piece, pieceSize(piece)]));
  return (
    whileHeld(held, pieces, receiver, (own) => emit(emitted, own)) ??
    question.source(question.asked.parameters, false, received(receiver, 'bypass'))
  );
}

/** Asks the server for what is not there. Looks into the shared memory before where that can spare a question. */
export function fetchRange(
  plan: RangePlan,
  question: Question,
  found: Coverage,
  receiver: AnswerReceiver,
  parts: RangeParts,
): Asking {
  const sharing = parts.keeper.askShared(plan, question.binding.cache, found);
  if (sharing === null) return fetchGaps(plan, question, found, receiver, parts);
  let current: Asking | null = null;
  let left = false;
  sharing
    .then((more) => {
      if (left) return;
      current =
        more.gaps.length === 0
          ? answerFrom(more.parts, question, 'hit', receiver, parts)
          : fetchGaps(plan, question, more, receiver, parts);
    })
    .catch((error: unknown) => receiver.fail(internalError(error)));
  return {
    abort() {
      left = true;
      current?.abort();
    },
    resume: () => current?.resume(),
  };
}

function fetchGaps(plan: RangePlan, question: Question, found: Coverage, receiver: AnswerReceiver, parts: RangeParts): Asking {
  const asked = questionsFor(found.gaps);
  // Gaps at both ends of few points are one: asked for as a part, the question would wait for its own answer.
  if (found.parts.length === 0 || isAll(asked, plan.span)) return fetchAll(plan, question, receiver, parts);
  const fetch = new GapFetch(plan, question, found.parts, receiver, parts);
  fetch.ask(asked);
  return fetch;
}

function isAll([first, second]: readonly Span[], span: Span): boolean {
  return second === undefined && first?.first === span.first && first.last === span.last;
}

/** Nothing is there, or nothing worth putting together: the answer streams through, and is looked at on its way. */
function fetchAll(plan: RangePlan, question: Question, receiver: AnswerReceiver, parts: RangeParts): Asking {
  const reading = new Reading(plan, plan.span, parts);
  const asking = question.source(question.asked.parameters, false, {
    head(head) {
      reading.head(head);
      receiver.head(head, 'miss');
    },
    data(chunk) {
      reading.data(chunk);
      return receiver.data(chunk);
    },
    end() {
      // First the answer: nothing that goes wrong in keeping it may cost it.
      receiver.end();
      const piece = reading.finish();
      if (piece !== null) parts.keeper.keep(plan, question.binding, piece, reading.told);
    },
    fail(error) {
      reading.release();
      receiver.fail(error);
    },
  });
  return {
    abort() {
      reading.release();
      asking.abort();
    },
    resume: () => asking.resume(),
  };
}

/**
 * The server asked for what is missing of a span. What it refuses is refused: it would refuse the whole question, too, but for
 * VictoriaMetrics, which may refuse a few points of what it answers whole. What cannot be put together with the rest (warnings, an
 * answer of another form) is asked for whole, and streams through.
 */
class GapFetch implements Asking {
  readonly #plan: RangePlan;
  readonly #question: Question;
  readonly #found: readonly Part[];
  readonly #receiver: AnswerReceiver;
  readonly #parts: RangeParts;
  readonly #fetched: Piece[] = [];
  readonly #readings: Reading[] = [];
  #running: Asking[] = [];
  #missing = 0;
  /** What the answer is made by once that is known; from then on the other questions are of no use. */
  #answer: Asking | null = null;
  readonly #begunAt = performance.now();
  #deadline: NodeJS.Timeout | undefined;
  /** One of the questions was refused: that is the answer. */
  #passing = false;
  #over = false;

  constructor(plan: RangePlan, question: Question, found: readonly Part[], receiver: AnswerReceiver, parts: RangeParts) {
    this.#plan = plan;
    this.#question = question;
    this.#found = found;
    this.#receiver = receiver;
    this.#parts = parts;
  }

  ask(spans: readonly Span[]): void {
    this.#missing = spans.length;
    for (const span of spans) {
      if (this.#over) return;
      const { start, end } = timesOf(this.#plan, span);
      let asking: Asking | null = null;
      const receiver = this.#gap(span, () => asking);
      asking = this.#parts.askPart(this.#question, this.#question.between(start, end), receiver);
      this.#running.push(asking);
      if (this.#over) this.#decidedBy(asking);
    }
  }

  abort(): void {
    this.#over = true;
    clearTimeout(this.#deadline);
    this.#answer?.abort();
    this.#stop();
  }

  resume(): void {
    this.#answer?.resume();
  }

  /** Of an answer that was joined late, what decides may have come before this was there. */
  #decidedBy(asking: Asking): void {
    if (this.#passing) this.#answer ??= asking;
    this.#stop();
  }

  #gap(span: Span, own: () => Asking | null): AnswerReceiver {
    const reading = new Reading(this.#plan, span, this.#parts);
    this.#readings.push(reading);
    let passing = false;
    let joined = false;
    return {
      head: (head, from) => {
        if (this.#over) return;
        joined = from === 'coalesced';
        if (head.status !== 200 && isVictoriaMetrics(head, this.#question)) this.#askWhole();
        else if (head.status !== 200) {
          passing = true;
          this.#passing = true;
          this.#over = true;
          this.#answer = own();
          this.#stop();
          this.#receiver.head(head, 'partial');
        } else if (!reading.head(head)) this.#askWhole();
      },
      data: (chunk) => {
        if (passing) return this.#receiver.data(chunk);
        if (!this.#over && !reading.data(chunk)) this.#askWhole();
        return true;
      },
      end: () => {
        if (passing) this.#receiver.end();
        if (this.#over) return;
        const piece = reading.finish();
        if (piece === null) this.#askWhole();
        else {
          this.#got(piece);
          // Who joins does not know how recent the points were when they were asked for; who asked for them keeps them.
          if (!joined) this.#parts.keeper.keep(this.#plan, this.#question.binding, piece, reading.told);
        }
      },
      fail: (error) => {
        if (passing) this.#receiver.fail(error);
        if (this.#over) return;
        this.#over = true;
        this.#stop();
        this.#receiver.fail(error);
      },
    };
  }

  #got(piece: Piece): void {
    this.#fetched.push(piece);
    if (--this.#missing > 0) return;
    this.#over = true;
    const all = overlay(this.#found, this.#fetched);
    this.#answer = answerFrom(all, this.#question, 'partial', this.#receiver, this.#parts);
  }

  #askWhole(): void {
    this.#over = true;
    this.#stop();
    const { server, limits } = this.#question.binding;
    const receiver = received(this.#receiver, 'bypass');
    // Whoever waits has waited for the parts already.
    const left = limits.timeout - (performance.now() - this.#begunAt);
    this.#deadline = setTimeout(
      () => {
        this.#answer?.abort();
        receiver.fail(timedOut(server, limits.timeout));
      },
      Math.max(1, left),
    );
    const ended = (tell: () => void) => {
      clearTimeout(this.#deadline);
      tell();
    };
    this.#answer = this.#question.source(this.#question.asked.parameters, false, {
      ...receiver,
      end: () => ended(receiver.end),
      fail: (error) => ended(() => receiver.fail(error)),
    });
  }

  /** Ends the questions that are of no use any more. */
  #stop(): void {
    for (const asking of this.#running) if (asking !== this.#answer) asking.abort();
    for (const reading of this.#readings) reading.release();
    this.#running = [];
  }
}

function isVictoriaMetrics(head: Head, { binding }: Question): boolean {
  return head.isVictoriaMetrics || binding.server.kind === 'victoriametrics';
}

/** Milliseconds of the first and last point. */
function timesOf({ grid }: RangePlan, { first, last }: Span): { start: number; end: number } {
  return { start: grid.phase + first * grid.step, end: grid.phase + last * grid.step };
}
