/** Connection, TLS and protocol trouble with a server, in words that name the server and never its URL. */
import type { Server } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';

const CLOSED = 'closed the connection before its answer was complete';

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'cannot be reached: connection refused',
  ENOTFOUND: 'cannot be reached: its name does not resolve',
  EAI_AGAIN: 'cannot be reached: its name cannot be resolved at the moment',
  EHOSTUNREACH: 'cannot be reached: no route to it',
  ENETUNREACH: 'cannot be reached: no route to it',
  ETIMEDOUT: 'cannot be reached: connecting took too long',
  PROMGATE_OUTBOUND: 'may not be asked: its address is not public, and outbound.allow does not allow it',
  UND_ERR_CONNECT_TIMEOUT: 'cannot be reached: connecting took too long',
  ECONNRESET: CLOSED,
  EPIPE: CLOSED,
  UND_ERR_SOCKET: CLOSED,
  UND_ERR_RESPONSE: 'did not answer in valid HTTP',
  UND_ERR_HEADERS_OVERFLOW: 'did not answer in valid HTTP: its headers are too large',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: CLOSED,
};

/** Turns an error of undici, node:net or node:tls into `unavailable`; the operator's text keeps the original. */
export function upstreamError(server: Server, error: Error & { code?: string }): PromgateError {
  const code = error.code ?? '';
  const reason = REASONS[code] ?? protocolReason(error) ?? tlsReason(code) ?? 'cannot be reached';
  // With TLS 1.3 a server refuses the client's certificate after the handshake; often all that is seen of it is the end.
  const hint = reason === CLOSED && server.url.startsWith('https:') ? '; it may want a client certificate that it accepts' : '';
  return new PromgateError('unavailable', `server ${JSON.stringify(server.name)} ${reason}${hint}`, {
    operator: `${code === '' ? error.name : code}: ${error.message}`,
    cause: error,
  });
}

function protocolReason(error: Error): string | null {
  return error.name === 'HTTPParserError' ? 'did not answer in valid HTTP' : null;
}

function tlsReason(code: string): string | null {
  if (/^ERR_SSL_.*ALERT.*CERT/.test(code)) return 'cannot be reached: it wants a client certificate that it accepts';
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO') return 'cannot be reached: the TLS handshake failed';
  const certificate =
    code.startsWith('ERR_TLS_CERT') || code.startsWith('CERT_') || code.includes('_CERT') || code.startsWith('UNABLE_TO_');
  return certificate ? `cannot be reached: its TLS certificate is not accepted (${code})` : null;
}

/** The answer is larger than the limit. */
export function answerTooLarge(server: Server, limit: number): PromgateError {
  return new PromgateError(
    'too_large',
    `limit max_response exceeded: the answer of server ${JSON.stringify(server.name)} has more than ${limit} bytes`,
  );
}

/** `timeout` in milliseconds. */
export function timedOut(server: Server, timeout: number): PromgateError {
  return new PromgateError('timeout', `server ${JSON.stringify(server.name)} did not answer within ${timeout / 1000}s`);
}
