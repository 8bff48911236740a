/** What is answered without credentials: health checks below every prefix, and preflights of allowed origins. */
import { PromgateError } from '../errors.ts';
import { preflightHeaders } from './cors.ts';
import { otherEndpoints } from './routes.ts';
import type { Visit } from './visit.ts';

const TEXTS: Readonly<Record<string, string>> = {
  '/-/healthy': 'Promgate is Healthy.\n',
  '/-/ready': 'Promgate is Ready.\n',
};

/**
 * Answers and returns the status, or returns `null` where credentials are needed. Says nothing about what exists: every
 * prefix is healthy. Throws `method_not_allowed`.
 */
export function answerOpen(visit: Visit, below: string, corsOrigins: readonly string[]): number | null {
  const { request, response } = visit;
  const preflight = preflightHeaders(request, corsOrigins);
  if (preflight !== null) {
    response.writeHead(204, { ...visit.headers, ...preflight });
    response.end();
    return 204;
  }
  const text = Object.hasOwn(TEXTS, below) ? TEXTS[below] : undefined;
  if (text === undefined) return null;
  visit.endpoint = otherEndpoints.health;
  if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed('GET, HEAD');
  response.writeHead(200, { ...visit.headers, 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': text.length });
  response.end(request.method === 'HEAD' ? undefined : text);
  return 200;
}

/** `allow` is the value of the `Allow` header. */
export function methodNotAllowed(allow: string): PromgateError {
  return new PromgateError('method_not_allowed', `method not allowed; allowed: ${allow}`, { headers: { Allow: allow } });
}
