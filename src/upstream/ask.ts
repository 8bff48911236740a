/**
 * Asking a server: one request, its answer streamed to a receiver with back-pressure. Everything that can go wrong
 * arrives at the receiver as one error of the catalogue, whose text names the server but never its URL or credentials.
 * No redirect is followed.
 */
import type { Dispatcher, Pool } from 'undici';
import type { Server } from '../directory/model.ts';
import { internalError, type PromgateError } from '../errors.ts';
import { checkHead, type Head, readHead } from './head.ts';
import { answerTooLarge, timedOut, upstreamError } from './trouble.ts';

export interface Request {
  readonly method: 'GET' | 'POST';
  /** With the query string. */
  readonly path: string;
  /** Flat name, value list. */
  readonly headers: readonly string[];
  readonly body: string | null;
  /** Whether the answer may come gzip-encoded; else it must come as it is. */
  readonly gzip: boolean;
  /** Whether a good answer may be plain text or OpenMetrics; else only JSON is one. */
  readonly text: boolean;
  /** Milliseconds for the whole answer. */
  readonly timeout: number;
  /** Bytes of the body. */
  readonly maxResponse: number;
}

/** Gets either `head`, any number of `data`, `end`; or `fail` at any point, after which nothing follows. */
export interface Receiver {
  head(head: Head): void;
  /** Returns false to pause; `Asking.resume` goes on. The chunk may be kept. */
  data(chunk: Buffer): boolean;
  end(): void;
  fail(error: PromgateError): void;
}

/** A request under way. */
export interface Asking {
  /** Gives up; the server's connection is closed and the receiver hears nothing more. */
  abort(): void;
  resume(): void;
}

/**
 * A kept-alive connection may be closed by the server just as we write to it; what we ask is only ever a read, so ask anew,
 * once. That shows at once: a server that takes longer to break off may have fallen over this very question.
 */
const RETRIED = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);
const RETRY_WITHIN = 250;
/**
 * Bytes of an answer after which others get their turn: libuv hands over up to 2 MiB of one socket before it looks at the next, and
 * small answers would wait for that long again and again.
 */
const TURN = 512 * 1024;

/** Sends the request. `onDone` hears once of the outcome: an HTTP status or the code of the error that ended it. */
export function ask(pool: Pool, server: Server, request: Request, receiver: Receiver, onDone: (outcome: string) => void): Asking {
  const exchange = new Exchange(pool, server, request, receiver, onDone);
  exchange.send();
  return exchange;
}

class Exchange implements Dispatcher.DispatchHandler, Asking {
  readonly #pool: Pool;
  readonly #server: Server;
  readonly #request: Request;
  readonly #receiver: Receiver;
  readonly #onDone: (outcome: string) => void;
  readonly #deadline: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | null = null;
  #status = 0;
  #received = 0;
  /** Bytes since others had their turn. */
  #turn = 0;
  /** The receiver wants no more for now. */
  #paused = false;
  #retried = false;
  #startedAt = 0;
  #over = false;

  constructor(pool: Pool, server: Server, request: Request, receiver: Receiver, onDone: (outcome: string) => void) {
    this.#pool = pool;
    this.#server = server;
    this.#request = request;
    this.#receiver = receiver;
    this.#onDone = onDone;
    this.#deadline = setTimeout(() => this.#timeOut(), request.timeout);
  }

  send(): void {
    const { method, path, headers, body, gzip } = this.#request;
    const all = ['accept-encoding', gzip ? 'gzip' : 'identity', ...headers];
    if (body !== null) all.push('content-type', 'application/x-www-form-urlencoded');
    this.#pool.dispatch({ method, path, headers: all, body }, this);
  }

  abort(): void {
    if (this.#over) return;
    this.#finish('aborted');
    this.#controller?.abort(new Error('the client left'));
  }

  resume(): void {
    this.#paused = false;
    // Not at once: undici has one parser at work, which another answer may be in the middle of, and refuses to start a second.
    queueMicrotask(() => this.#goOn());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#startedAt = performance.now();
    // Given up while waiting for a connection.
    if (this.#over) controller.abort(new Error('given up'));
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // Informational heads (RFC 9110, 15.2) come before the answer's own.
    if (this.#over || (status >= 100 && status < 200)) return;
    const head = readHead(status, headers);
    const refusal = checkHead(head, this.#server, this.#request);
    if (refusal !== null) {
      this.#fail(refusal, String(status));
      controller.abort(refusal);
      return;
    }
    this.#status = status;
    this.#receiver.head(head);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return;
    this.#received += chunk.length;
    if (this.#received > this.#request.maxResponse) {
      const error = answerTooLarge(this.#server, this.#request.maxResponse);
      this.#fail(error, 'too_large');
      controller.abort(error);
      return;
    }
    this.#turn += chunk.length;
    if (!this.#receiver.data(chunk)) {
      this.#paused = true;
      controller.pause();
    } else if (this.#turn >= TURN) {
      this.#turn = 0;
      controller.pause();
      setImmediate(() => this.#goOn());
    }
  }

  #goOn(): void {
    if (!this.#paused && !this.#over) this.#controller?.resume();
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#finish(String(this.#status));
    try {
      this.#receiver.end();
    } catch (error) {
      // undici would tell nobody, and who has not heard of the end would wait for ever.
      this.#receiver.fail(internalError(error));
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error & { code?: string }): void {
    if (this.#over) return;
    if (
      this.#status === 0 &&
      !this.#retried &&
      RETRIED.has(error.code ?? '') &&
      performance.now() - this.#startedAt < RETRY_WITHIN
    ) {
      this.#retried = true;
      this.#controller = null;
      this.send();
      return;
    }
    this.#fail(upstreamError(this.#server, error), 'unreachable');
  }

  #timeOut(): void {
    const error = timedOut(this.#server, this.#request.timeout);
    this.#fail(error, 'timeout');
    this.#controller?.abort(error);
  }

  #fail(error: PromgateError, outcome: string): void {
    this.#finish(outcome);
    this.#receiver.fail(error);
  }

  #finish(outcome: string): void {
    this.#over = true;
    clearTimeout(this.#deadline);
    this.#onDone(outcome);
  }
}
