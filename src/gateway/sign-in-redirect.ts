/** Somebody who opens an endpoint in a browser, signed out, is sent to the sign-in page (contract §4). Programs are not: they get a 401. */
import type { IncomingMessage } from 'node:http';
import { PromgateError } from '../errors.ts';
import type { GatewaySettings } from './entrance.ts';
import { endVisit, type Visit, type VisitParts } from './visit.ts';

/** Whether a browser asks for a page, without credentials. */
export function isSignedOutPage({ method, headers }: IncomingMessage, thrown: unknown): boolean {
  if (!(thrown instanceof PromgateError) || thrown.code !== 'unauthorized') return false;
  return method === 'GET' && headers.authorization === undefined && /\btext\/html\b/.test(headers.accept ?? '');
}

/** `url` is the request's, in origin form: where to come back to. */
export function sendToSignIn(visit: Visit, url: string, { basePath }: GatewaySettings, parts: VisitParts): void {
  const location = `${basePath}/login?return_to=${encodeURIComponent(url)}`;
  visit.response.writeHead(303, { ...visit.headers, Location: location, 'Content-Length': 0, 'Cache-Control': 'no-store' });
  visit.response.end();
  endVisit(visit, 303, null, parts);
}
