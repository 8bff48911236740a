/** Answers that are kept as they are: instant queries in the past, and for a short time what series and names there are. */
import type { Asking } from '../upstream/ask.ts';
import { type AnswerReceiver, headOf } from './answer.ts';
import type { Budget } from './budget.ts';
import type { WholePlan } from './cacheable.ts';
import { isClean, isKeepable, serverTime } from './keep.ts';
import type { Question } from './source.ts';
import type { Store, WholeAnswer } from './store.ts';

/** Bytes of an answer that is kept: it is looked through and copied in one go. */
const MOST = 4 * 1024 * 1024;

/** What is there and not too old; `null`: nothing. */
export function lookWhole(store: Store, { key, maxAge }: WholePlan): WholeAnswer | null {
  const entry = store.get(key);
  return entry?.kind === 'whole' && Date.now() - entry.fetchedAt < maxAge ? entry : null;
}

/** Answers from what is there, at once. */
export function answerWhole({ body, contentType }: WholeAnswer, receiver: AnswerReceiver): Asking {
  receiver.head(headOf(contentType, body.length), 'hit');
  receiver.data(body);
  receiver.end();
  return ANSWERED;
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
      if (contentType !== null) {
        const body = copyOf(chunks, bytes);
        if (isClean(body)) store.set(plan.key, { kind: 'whole', body, contentType, fetchedAt: askedAt });
        release();
      }
      receiver.end();
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
