/** What all pages have in common: frame, style, headers. No page has a script. */
import { hash } from 'node:crypto';
import type { FastifyReply } from 'fastify';
import { Html, html } from './html.ts';
import { style } from './style.ts';

export interface Page {
  readonly title: string;
  /** Below the head line; its sections are cards. */
  readonly body: Html;
  /** At the right of the head line. */
  readonly corner?: Html;
  /** For tables; else a column for a form. */
  readonly wide?: boolean;
}

const contentPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${hash('sha256', style, 'base64')}'`,
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

const mark = html`<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true"><path d="M3 21V10a9 9 0 0 1 18 0v11M8 21v-6l4-5 4 5v6"/></svg>`;

/** Sends a page as the whole answer. */
export function sendPage(reply: FastifyReply, status: number, page: Page): FastifyReply {
  return reply
    .code(status)
    .headers({
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': contentPolicy,
      // Under `no-referrer` browsers send `Origin: null` with forms, and then it says nothing of where they come from.
      'Referrer-Policy': 'same-origin',
      'X-Content-Type-Options': 'nosniff',
      'Cache-Control': 'no-store',
    })
    .send(documentOf(page).text);
}

function documentOf({ title, body, corner = html``, wide = false }: Page): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} – Promgate</title>
<style>${new Html(style)}</style>
</head>
<body class="${wide ? 'wide' : ''}">
<header>${mark}Promgate${corner}</header>
<main>
${body}
</main>
</body>
</html>
`;
}

/** What went wrong, above a form. */
export function alert(problem: string | null): Html {
  return problem === null ? html`` : html`<p role="alert">${sentence(problem)}</p>`;
}

/** Error texts begin small and have no full stop, because they mostly follow something else. */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}
