/** The head of a server's answer: what is kept of it, and what makes it no answer of a Prometheus. */
import type { Server } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import { answerTooLarge, type Request } from './ask.ts';

export interface Head {
  readonly status: number;
  readonly contentType: string | null;
  readonly gzip: boolean;
  /** `null` with chunked encoding. */
  readonly contentLength: number | null;
  /** Whether the end of the body can be told from a lost connection. */
  readonly framed: boolean;
  /** An encoding other than gzip, which nobody asked for. */
  readonly foreignEncoding: string | null;
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
    foreignEncoding: encoding === null || encoding === 'gzip' || encoding === 'identity' ? null : encoding,
  };
}

function text(value: string | string[] | undefined): string | null {
  return typeof value === 'string' ? value : (value?.[0] ?? null);
}

/**
 * What Prometheus and its relatives send (VictoriaMetrics `stream+json` for a range vector). Anything else, HTML above
 * all, must not come from our own address.
 */
const MEDIA_TYPE = /^(?:application\/(?:stream\+)?json|text\/plain|application\/openmetrics-text)\s*(?:;|$)/i;

/**
 * `null`, or why this answer is not passed on. A 401 or 403 concerns our own credentials, not the client's, and would
 * make its Grafana ask for another password; an answer without framing could end early without anybody noticing.
 */
export function checkHead(head: Head, server: Server, request: Request): PromgateError | null {
  const { status } = head;
  const name = `server ${JSON.stringify(server.name)}`;
  if (status === 401 || status === 403 || status === 407)
    return unavailable(`${name} does not accept Promgate's credentials (${status})`);
  if (status >= 300 && status < 400) return unavailable(`${name} answered with a redirect (${status}), which is not followed`);
  if (head.foreignEncoding !== null || (head.gzip && !request.gzip))
    return unavailable(`${name} used a content encoding that was not asked for`);
  if (!head.framed) return unavailable(`${name} sent an answer of unknown length`);
  if (head.contentLength !== null && head.contentLength > request.maxResponse) return answerTooLarge(server, request.maxResponse);
  const empty = status === 204 || head.contentLength === 0;
  if (!empty && !MEDIA_TYPE.test(head.contentType ?? ''))
    return unavailable(`${name} did not answer as Prometheus does (status ${status}, not JSON)`);
  return null;
}

function unavailable(message: string): PromgateError {
  return new PromgateError('unavailable', message);
}
