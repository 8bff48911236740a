/** Prometheus' error envelope (contract §6): the only form in which the data plane says no. */
import type { ServerResponse } from 'node:http';
import { errorCatalogue, type PromgateError } from '../errors.ts';

/** The body of an error answer. */
export function errorBody(error: PromgateError): string {
  return JSON.stringify({ status: 'error', errorType: errorCatalogue[error.code].errorType, error: error.message });
}

/** Sends an error as the whole answer; ends the connection afterwards where the request's body was not read to its end. */
export function sendError(response: ServerResponse, error: PromgateError, headers: Record<string, string> = {}): void {
  sendJson(response, error.status, errorBody(error), { ...headers, ...error.headers });
}

/** Sends a small JSON text as the whole answer. */
function sendJson(response: ServerResponse, status: number, body: string, headers: Record<string, string>): void {
  const bodyUnread = !response.req.complete && !hasNoBody(response);
  response.writeHead(status, {
    ...headers,
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
    ...(bodyUnread ? { Connection: 'close' } : {}),
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

function hasNoBody(response: ServerResponse): boolean {
  const { headers } = response.req;
  return headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0';
}
