/** What people are told who open the pages where the browser drops the session's cookie, so that signing in would do nothing. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Html, html } from './html.ts';

/**
 * A line with a link to `path` below the usual address, where that has TLS and the browser seems to have none; else nothing.
 * `what` is what to do there.
 */
export function notKeptHere({ headers }: IncomingMessage, externalUrl: string, what: string, path: string): Html {
  const isKept = !externalUrl.startsWith('https:') || seesTls(headers, externalUrl);
  if (isKept) return new Html('');
  return html`<p role="alert">${what} at <a href="${externalUrl}${path}">${externalUrl}</a>: your browser will not keep the session at this address.</p>`;
}

/**
 * TLS mostly ends at a proxy, which may pass on another `Host`. So what the browser itself says counts first: the page it came
 * from, then that it says anything about the site that asks (Fetch Metadata, 2: only over TLS and to its own machine).
 */
function seesTls(headers: IncomingHttpHeaders, externalUrl: string): boolean {
  const from = urlOf(headers.referer);
  const here = urlOf(`https://${headers.host}`);
  if (from !== null && from.host === urlOf(`${from.protocol}//${headers.host}`)?.host) return from.protocol === 'https:';
  if (headers['sec-fetch-site'] !== undefined) return true;
  return here?.host === new URL(externalUrl).host;
}

function urlOf(text: string | undefined): URL | null {
  return text !== undefined && URL.canParse(text) ? new URL(text) : null;
}
