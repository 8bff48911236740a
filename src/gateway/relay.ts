/**
 * An answer → the client, as it comes. Back-pressure holds in both directions of time: a slow client pauses what the answer
 * comes from, a client that leaves ends the question.
 */
import type { ServerResponse } from 'node:http';
import type { AnswerReceiver, CacheResult } from '../cache/answer.ts';
import type { PromgateError } from '../errors.ts';
import type { Head } from '../upstream/head.ts';
import { type Encoding, encoding, isWorthwhile } from './compress.ts';

/** Milliseconds that a client may take nothing while more is there for it. What it has not read is held, or held up, for it. */
const UNREAD = 60_000;
/** Bytes of an answer for which copying it once more is cheaper than a second piece of memory. */
const SMALL = 8192;

export interface RelayEvents {
  /** Called when the answer's head is there; gives the response headers to add, as name, value, name, value. */
  headers(from: CacheResult): string[];
  /** More may come. */
  resume(): void;
  /** So many bytes of the body were handed on. */
  sent(bytes: number): void;
  /** Nothing was sent yet: the error can still become an answer. */
  refuse(error: PromgateError): void;
  /** The answer broke off after it had begun. */
  broken(error: PromgateError): void;
  /** The last byte was handed to the operating system's side. */
  done(status: number): void;
}

/**
 * A receiver that streams into `response`, gzip-encoded where the client takes that (`gzip`). An answer that breaks off ends
 * the client's connection without the final chunk or the announced length, so that it can never be taken for a whole one.
 */
export function relayTo(response: ServerResponse, gzip: boolean, events: RelayEvents): AnswerReceiver {
  let status = 0;
  /** Bytes that are still to come where the length was announced, else NaN. */
  let left = Number.NaN;
  let encoder: Encoding | null = null;

  function data(chunk: Buffer): boolean {
    left -= chunk.length;
    events.sent(chunk.length);
    // Most answers are one chunk: head, body and end then leave in one write.
    if (left === 0) {
      // As a text of the same bytes a small one goes into one piece of memory with its head, and to the kernel as one.
      if (chunk.length <= SMALL) response.end(chunk.toString('latin1'), 'latin1');
      else response.end(chunk);
      return true;
    }
    const flowing = response.write(chunk);
    if (!flowing) {
      response.setTimeout(UNREAD);
      response.once('drain', drained);
    }
    return flowing;
  }

  function drained(): void {
    response.setTimeout(0);
    (encoder ?? events).resume();
  }

  function end(): void {
    if (!response.writableEnded) response.end();
    events.done(status);
  }

  function fail(error: PromgateError): void {
    if (status === 0) {
      events.refuse(error);
      return;
    }
    // HTTP/1.0 clients take an orderly end of the connection for the end of the answer.
    if (response.req.httpVersion === '1.0') response.socket?.resetAndDestroy();
    response.destroy();
    events.broken(error);
  }

  return {
    head(received, from) {
      const sent = gzip && isWorthwhile(received) ? { ...received, gzip: true, contentLength: null } : received;
      if (sent !== received) {
        encoder = encoding({ data, end, fail }, events.resume);
        response.once('close', encoder.destroy);
      }
      status = sent.status;
      left = sent.contentLength ?? Number.NaN;
      response.writeHead(status, answerHeaders(sent, events.headers(from)));
    },
    data: (chunk) => (encoder ?? { data }).data(chunk),
    end: () => (encoder ?? { end }).end(),
    fail: (error) => (encoder ?? { fail }).fail(error),
  };
}

/** The only headers of the server that reach the client, beside our own. */
function answerHeaders(head: Head, own: string[]): string[] {
  if (head.contentType !== null) own.push('Content-Type', head.contentType);
  if (head.contentLength !== null) own.push('Content-Length', String(head.contentLength));
  if (head.gzip) own.push('Content-Encoding', 'gzip');
  return own;
}
