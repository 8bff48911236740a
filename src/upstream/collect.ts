/** A server's whole answer in memory, for the few questions whose answer's structure is looked at. */
import type { Server } from '../directory/model.ts';
import type { PromgateError } from '../errors.ts';
import type { Receiver } from './ask.ts';
import type { Binding } from './binding.ts';
import type { Head } from './head.ts';
import type { Pools } from './pools.ts';
import { createAskStream } from './stream.ts';

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

/**
 * Asks a binding's server for `path` with urlencoded `parameters` and waits for the whole answer, whatever its status.
 * Rejects with `PromgateError`; with the signal's reason where that gives up.
 */
export type AskServer = (binding: Binding, path: string, parameters: string, signal?: AbortSignal) => Promise<Collected>;

/** What is asked in this way is looked at, not passed on: label names, rules, metadata, one parsed query. */
const MAX_COLLECTED = 32 * 1024 * 1024;

/** `onDone` hears of each outcome as `ask` tells it, with the seconds it took. */
export function createAskServer(pools: Pools, onDone: (server: Server, outcome: string, seconds: number) => void): AskServer {
  const askStream = createAskStream(pools, onDone);
  return (binding, path, parameters, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const post = path === '/api/v1/format_query' || path === '/api/v1/parse_query';
      const options = { post, gzip: false, text: false, maxResponse: MAX_COLLECTED };
      const asking = askStream(binding, path, parameters, options, collect(resolve, reject));
      signal?.addEventListener('abort', () => {
        asking.abort();
        reject(signal.reason);
      });
    });
}
