/**
 * Cross-origin access from browsers: off unless `cors.origins` lists the page's origin. Cookies are never part of it
 * (no `Access-Control-Allow-Credentials`): a page elsewhere must bring a token of its own.
 */
import type { IncomingMessage } from 'node:http';

const EXPOSED = 'X-Promgate-Cache, Server-Timing, X-Request-Id';

/** Headers for an answer to this request; empty where its origin is not allowed. */
export function corsHeaders(request: IncomingMessage, origins: readonly string[]): Record<string, string> {
  const allowed = allowedOrigin(request, origins);
  if (allowed === null) return origins.length === 0 || origins.includes('*') ? {} : { Vary: 'Origin' };
  return {
    'Access-Control-Allow-Origin': allowed,
    'Access-Control-Expose-Headers': EXPOSED,
    ...(allowed === '*' ? {} : { Vary: 'Origin' }),
  };
}

/** Headers for a preflight's 204, or `null` when the request is no preflight of an allowed origin. */
export function preflightHeaders(request: IncomingMessage, origins: readonly string[]): Record<string, string> | null {
  if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) return null;
  if (allowedOrigin(request, origins) === null) return null;
  return {
    ...corsHeaders(request, origins),
    'Access-Control-Allow-Methods': 'GET, POST, OPTIONS',
    'Access-Control-Allow-Headers': 'Accept, Authorization, Content-Type, X-Request-Id',
    'Access-Control-Max-Age': '600',
  };
}

function allowedOrigin(request: IncomingMessage, origins: readonly string[]): string | null {
  if (origins.length === 0) return null;
  const { origin } = request.headers;
  if (origin === undefined) return null;
  if (origins.includes(origin)) return origin;
  return origins.includes('*') ? '*' : null;
}
