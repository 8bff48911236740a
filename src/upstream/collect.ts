/** A server's whole answer in memory, for the few questions whose answer's structure is looked at. */
import type { Pool } from 'undici';
import type { Server } from '../directory/model.ts';
import type { PromgateError } from '../errors.ts';
import { ask, type Receiver, type Request } from './ask.ts';
import type { Head } from './head.ts';

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

/** Asks and waits for the whole answer, whatever its status. Rejects with the `PromgateError` that ended it. */
export function askWhole(pool: Pool, server: Server, request: Request, onDone: (outcome: string) => void): Promise<Collected> {
  return new Promise((resolve, reject) => {
    ask(pool, server, request, collect(resolve, reject), onDone);
  });
}
