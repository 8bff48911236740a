/** The head of a server's answer: what is kept of it, and what makes it no answer of a Prometheus. */
import type { Server } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import type { Request } from './ask.ts';
import { answerTooLarge } from './trouble.ts';

export interface Head {
  readonly status: number;
  readonly contentType: string | null;
  readonly gzip: boolean;
  /** `null` with chunked encoding. */
  readonly contentLength: number | null;
  /** Whether the end of the body can be told from a lost connection. */
  readonly framed: boolean;
  /** The `Date` header as it came. */
  readonly date: string | null;
  /** An encoding other than gzip, which nobody asked for. */
  readonly foreignEncoding: string | null;
  /** `Cache-Control: no-store`: Thanos says so of partial answers. */
  readonly noStore: boolean;
  /** As it tells with each answer. */
  readonly isVictoriaMetrics: boolean;
}

type Headers = Record<string, string | string[] | undefined>;

export function readHead(status: number, headers: Headers): Head {
  const encoding = text(headers['content-encoding']);
  const length = text(headers['content-length']);
  const bodiless = status === 204;
  return {
    status,
    contentType: text(headers['content-type']),
    gzip: encoding === 'gzip',
    contentLength: bodiless || length === null ? null : Number(length),
    framed: bodiless || length !== null || text(headers['transfer-encoding']) !== null,
    date: text(headers.date),
    foreignEncoding: encoding === null || encoding === 'gzip' || encoding === 'identity' ? null : encoding,
    noStore: text(headers['cache-control'])?.toLowerCase().includes('no-store') === true,
    isVictoriaMetrics: headers['x-server-hostname'] !== undefined,
  };
}

function text(value: string | string[] | undefined): string | null {
  return typeof value === 'string' ? value : (value?.[0] ?? null);
}

/** What Prometheus and its relatives send; VictoriaMetrics says `stream+json` for a range vector. */
const JSON_TYPE = /^application\/(?:stream\+)?json\s*(?:;|$)/i;
/** The exposition formats of `federate`. */
const TEXT_TYPE = /^(?:text\/plain|application\/openmetrics-text)\s*(?:;|$)/i;

/**
 * `null`, or why this answer is not passed on. docs/decisions/003 has the reasons. A text that is no JSON is never shown:
 * HTML would come from our own address, and VictoriaMetrics' plain errors quote the address and the whole request, the
 * server's fixed parameters included.
 */
export function checkHead(head: Head, server: Server, request: Request): PromgateError | null {
  const { status } = head;
  const name = `server ${JSON.stringify(server.name)}`;
  if (status === 401 || status === 403 || status === 407) {
    return unavailable(`${name} does not accept Promgate's credentials (${status})`);
  }
  if (status < 200) return unavailable(`${name} did not answer in valid HTTP (status ${status})`);
  if (status >= 300 && status < 400) return unavailable(`${name} answered with a redirect (${status}), which is not followed`);
  if (status === 205 || status >= 600) return unavailable(`${name} answered with a status that no Prometheus has (${status})`);
  if (head.foreignEncoding !== null || (head.gzip && !request.gzip)) {
    return unavailable(`${name} used a content encoding that was not asked for`);
  }
  if (!head.framed) return unavailable(`${name} sent an answer of unknown length`);
  if (head.contentLength !== null && head.contentLength > request.maxResponse) return answerTooLarge(server, request.maxResponse);
  if (status === 204 || JSON_TYPE.test(head.contentType ?? '')) return null;
  if (status === 200 && request.text && TEXT_TYPE.test(head.contentType ?? '')) return null;
  if (status === 404 || status === 405 || status === 501) {
    return new PromgateError('not_found', `${name} does not have this endpoint (${status})`);
  }
  if (status === 400)
    return new PromgateError('bad_data', `${name} does not have this endpoint or cannot read the request (400)`);
  return unavailable(`${name} did not answer as Prometheus does (status ${status}, not JSON)`);
}

function unavailable(message: string): PromgateError {
  return new PromgateError('unavailable', message);
}
