/** Answers that are kept as they are: instant queries in the past, and for a short time what series and names there are. */
import type { Asking } from '../upstream/ask.ts';
import { answerTooLarge } from '../upstream/trouble.ts';
import { type AnswerReceiver, headOf, received } from './answer.ts';
import type { Budget } from './budget.ts';
import type { WholePlan } from './cacheable.ts';
import { type Emitted, emit } from './emit.ts';
import { type Held, whileHeld } from './held.ts';
import { isClean, isKeepable, serverTime } from './keep.ts';
import type { Question } from './source.ts';
import type { Store, WholeAnswer } from './store.ts';

/** Bytes of an answer that is kept: it is looked through and copied in one go. */
const MOST = 4 * 1024 * 1024;

/** What is there and not too old; `null`: nothing. */
export function lookWhole(store: Store, { key, maxAge }: WholePlan): WholeAnswer | null {
  const entry = store.get(key);
  if (entry?.kind !== 'whole') return null;
  const age = Date.now() - entry.fetchedAt;
  // Below 0: the clock was set back, and how old it is cannot be told.
  return age >= 0 && age < maxAge ? entry : null;
}

/** Bytes that are handed over at once. A longer answer comes at the reader's pace. */
const AT_ONCE = 256 * 1024;

/** Answers from what is there, or from the server where too much is held for slow readers already. */
export function answerWhole(kept: WholeAnswer, question: Question, receiver: AnswerReceiver, held: Held): Asking {
  const { body, contentType } = kept;
  if (body.length <= AT_ONCE) {
    receiver.head(headOf(contentType, body.length), 'hit');
    receiver.data(body);
    receiver.end();
    return ANSWERED;
  }
  const { server, limits } = question.binding;
  const emitted: Emitted = {
    chunks: slices(body),
    contentType,
    from: 'hit',
    maxBytes: limits.maxResponse,
    tooLarge: () => answerTooLarge(server, limits.maxResponse),
    onEnd: () => undefined,
  };
  return (
    whileHeld(held, new Map([[kept, body.length]]), receiver, (own) => emit(emitted, own)) ??
    question.source(question.asked.parameters, false, received(receiver, 'bypass'))
  );
}

function* slices(body: Buffer): Generator<Buffer, { savedPoints: number }> {
  for (let at = 0; at < body.length; at += AT_ONCE) yield body.subarray(at, at + AT_ONCE);
  return { savedPoints: 0 };
}

const ANSWERED: Asking = { abort() {}, resume() {} };

/** Asks, and keeps the answer where it may be kept. It streams through meanwhile. */
export function fetchWhole(plan: WholePlan, question: Question, receiver: AnswerReceiver, store: Store, budget: Budget): Asking {
  const most = Math.min(MOST, store.largest);
  const askedAt = Date.now();
  /** `null`: it is not kept. */
  let contentType: string | null = null;
  let chunks: Buffer[] = [];
  let bytes = 0;
  const release = () => {
    budget.give(bytes);
    contentType = null;
    chunks = [];
    bytes = 0;
  };
  const asking = question.source(question.asked.parameters, false, {
    head(head) {
      if (isKeepable(head) && serverTime(head, askedAt) >= plan.settledFrom) contentType = head.contentType;
      receiver.head(head, 'miss');
    },
    data(chunk) {
      if (contentType !== null) {
        if (bytes + chunk.length > most || !budget.take(chunk.length)) release();
        else {
          bytes += chunk.length;
          chunks.push(chunk);
        }
      }
      return receiver.data(chunk);
    },
    end() {
      // First the answer: nothing that goes wrong in keeping it may cost it.
      receiver.end();
      if (contentType !== null) {
        const body = copyOf(chunks, bytes);
        if (isClean(body)) store.set(plan.key, { kind: 'whole', body, contentType, fetchedAt: askedAt });
        release();
      }
    },
    fail(error) {
      release();
      receiver.fail(error);
    },
  });
  return {
    abort() {
      release();
      asking.abort();
    },
    resume: () => asking.resume(),
  };
}

/** In a buffer of its own: those that come from the network are parts of larger ones. */
function copyOf(chunks: readonly Buffer[], bytes: number): Buffer {
  const body = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  for (const chunk of chunks) at += chunk.copy(body, at);
  return body;
}
