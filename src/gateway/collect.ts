/** A server's whole answer in memory, for the few endpoints whose structure is looked at. */
import type { PromgateError } from '../errors.ts';
import type { Receiver } from '../upstream/ask.ts';
import type { Head } from '../upstream/head.ts';

export interface Collected {
  readonly head: Head;
  readonly body: Buffer;
}

/** A receiver that ends in one call, with the answer or the error. Its size is bounded by the request's `maxResponse`. */
export function collect(done: (answer: Collected) => void, failed: (error: PromgateError) => void): Receiver {
  let head: Head | null = null;
  const chunks: Buffer[] = [];
  return {
    head(received) {
      head = received;
    },
    data(chunk) {
      chunks.push(chunk);
      return true;
    },
    end() {
      if (head !== null) done({ head, body: Buffer.concat(chunks) });
    },
    fail: failed,
  };
}
