/**
 * A server's answer → the client, byte by byte as it comes. Back-pressure holds in both directions of time: a slow client
 * pauses the server's connection, a client that leaves ends the question.
 */
import type { ServerResponse } from 'node:http';
import type { PromgateError } from '../errors.ts';
import type { Receiver } from '../upstream/ask.ts';
import type { Head } from '../upstream/head.ts';

export interface RelayEvents {
  /** Called when the server's head is there; gives the response headers to add. */
  headers(): Record<string, string>;
  /** The server's connection may go on. */
  resume(): void;
  /** Nothing was sent yet: the error can still become an answer. */
  refuse(error: PromgateError): void;
  /** The answer broke off after it had begun. */
  broken(error: PromgateError): void;
  /** The last byte was handed to the operating system's side. */
  done(status: number): void;
}

/**
 * A receiver that streams into `response`. An answer that breaks off ends the client's connection without the final chunk
 * or the announced length, so that it can never be taken for a whole one.
 */
export function relayTo(response: ServerResponse, events: RelayEvents): Receiver {
  let head: Head | null = null;
  /** Bytes that are still to come where the length was announced, else NaN. */
  let left = Number.NaN;
  return {
    head(received) {
      head = received;
      left = received.contentLength ?? Number.NaN;
      response.writeHead(received.status, answerHeaders(received, events.headers()));
    },
    data(chunk) {
      left -= chunk.length;
      // Most answers are one chunk: head, body and end then leave in one write.
      if (left === 0) {
        response.end(chunk);
        return true;
      }
      const flowing = response.write(chunk);
      if (!flowing) response.once('drain', events.resume);
      return flowing;
    },
    end() {
      if (!response.writableEnded) response.end();
      events.done(head?.status ?? 0);
    },
    fail(error) {
      if (head === null) {
        events.refuse(error);
        return;
      }
      // HTTP/1.0 clients take an orderly end of the connection for the end of the answer.
      if (response.req.httpVersion === '1.0') response.socket?.resetAndDestroy();
      response.destroy();
      events.broken(error);
    },
  };
}

/** The only headers of the server that reach the client, beside our own. */
function answerHeaders(head: Head, own: Record<string, string>): Record<string, string | number> {
  const headers: Record<string, string | number> = own;
  if (head.contentType !== null) headers['Content-Type'] = head.contentType;
  if (head.contentLength !== null) headers['Content-Length'] = head.contentLength;
  if (head.gzip) headers['Content-Encoding'] = 'gzip';
  return headers;
}
