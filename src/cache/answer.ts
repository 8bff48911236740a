/** How an answer reaches whoever asked, wherever it comes from. */
import type { PromgateError } from '../errors.ts';
import type { Receiver } from '../upstream/ask.ts';
import type { Head } from '../upstream/head.ts';

/** What the cache had to do with an answer: the `X-Promgate-Cache` header and the metric (contract §5). */
export type CacheResult = 'hit' | 'partial' | 'miss' | 'bypass' | 'coalesced';

/** As `Receiver`; the head comes with where the answer is from. */
export interface AnswerReceiver {
  head(head: Head, from: CacheResult): void;
  /** Returns false to pause; `Asking.resume` goes on. The chunk may be kept, and is never changed. */
  data(chunk: Buffer): boolean;
  end(): void;
  fail(error: PromgateError): void;
}

/** Whoever only knows servers: what it receives goes on as being from `from`. */
export function received(receiver: AnswerReceiver, from: CacheResult): Receiver {
  return {
    head: (head) => receiver.head(head, from),
    data: (chunk) => receiver.data(chunk),
    end: () => receiver.end(),
    fail: (error) => receiver.fail(error),
  };
}

/** The head of an answer that we make. `length` null: not known yet. */
export function headOf(contentType: string | null, length: number | null, status = 200): Head {
  return {
    status,
    contentType,
    gzip: false,
    contentLength: length,
    framed: true,
    date: null,
    foreignEncoding: null,
    noStore: false,
    isVictoriaMetrics: false,
  };
}
