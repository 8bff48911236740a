/** What all plugins with pages share: who is signed in, forms, errors as pages, counting and logging. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { clientAddress } from '../access/client-address.ts';
import { readSessionCookie, type SessionCookie, sessionCookie } from '../access/session-cookie.ts';
import { identifySession, type SessionActivity, type SessionLimits, type SignedIn } from '../access/sessions.ts';
import type { OidcProvider } from '../config/identity.ts';
import type { Directory } from '../directory/snapshot.ts';
import { internalError, PromgateError } from '../errors.ts';
import { decodeForm } from '../gateway/form.ts';
import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import { databaseTrouble } from '../storage/trouble.ts';
import { html } from './html.ts';
import { type Page, sendPage, sentence } from './layout.ts';

/** Bytes. */
const MAX_FORM = 16 * 1024;
/** In metrics and logs. */
const ENDPOINT = 'page';

export interface PageSettings {
  readonly externalUrl: string;
  /** Path of `externalUrl`, without trailing slash. */
  readonly basePath: string;
  readonly sessions: SessionLimits;
  readonly isTrustedProxy: (address: string) => boolean;
  readonly providers: readonly Pick<OidcProvider, 'name' | 'label'>[];
}

export interface PageScopeParts {
  readonly directory: () => Pick<Directory, 'people'>;
  /** Brings the snapshot up to date at once: a browser that was just signed in is to find its session. */
  readonly refresh: () => Promise<void>;
  readonly activity: Pick<SessionActivity, 'lastSeen' | 'note'>;
  /** As they are now. */
  readonly settings: () => PageSettings;
  readonly metrics: Pick<Metrics, 'request'>;
  readonly log: Pick<Log, 'request'>;
  readonly stopping: () => boolean;
}

/** To be called first by a plugin, whose routes then may throw and read forms (`formOf`). */
export function openPageScope(app: FastifyInstance, parts: PageScopeParts): void {
  const errors = new WeakMap<FastifyRequest, PromgateError>();

  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: MAX_FORM },
    async (_request: FastifyRequest, body: string) => fieldsOf(body),
  );
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('X-Request-Id', request.id);
    if (parts.stopping()) reply.header('Connection', 'close');
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const { statusCode: status, elapsedTime } = reply;
    parts.metrics.request(ENDPOINT, status, elapsedTime / 1000);
    const fields = { requestId: request.id, endpoint: ENDPOINT, status, durationMs: Math.round(elapsedTime * 1000) / 1000 };
    parts.log.request(() => fields, errors.get(request) ?? null);
    done();
  });
  app.setErrorHandler((thrown, request, reply) => {
    const error = errorOf(thrown);
    errors.set(request, error);
    // What is left of the body is not read.
    if (!request.raw.complete) reply.header('Connection', 'close');
    const page = errorPage(error, request.id, parts.settings().basePath);
    return sendPage(reply.headers(error.headers ?? {}), error.status, page);
  });
}

function errorOf(thrown: unknown): PromgateError {
  if (thrown instanceof PromgateError) return thrown;
  const { code, statusCode } = thrown as { code?: unknown; statusCode?: unknown };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new PromgateError('too_large', `the form is larger than ${MAX_FORM} bytes`);
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new PromgateError('unsupported_media_type', 'a form needs the content type application/x-www-form-urlencoded');
  }
  if (statusCode === 400) return new PromgateError('bad_data', 'malformed request');
  return databaseTrouble(thrown) ?? internalError(thrown);
}

function errorPage(error: PromgateError, requestId: string, basePath: string): Page {
  const title = error.status >= 500 ? 'Something went wrong' : 'This did not work';
  const text = error.code === 'internal' ? `Promgate’s log has it under the request id ${requestId}.` : sentence(error.message);
  return {
    title,
    body: html`<section><h1>${title}</h1><p role="alert">${text}</p><p><a href="${basePath}/">To the start page</a></p></section>`,
  };
}

/** Each field once: what stands there twice could be read one way here and another way elsewhere. */
function fieldsOf(body: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of decodeForm(body)) {
    if (fields.has(name)) throw new PromgateError('bad_data', 'a field of the form is there twice');
    fields.set(name, value);
  }
  return fields;
}

/** A field of the form that was sent, empty where it is missing. */
export function field(request: FastifyRequest, name: string): string {
  return request.body instanceof Map ? (request.body.get(name) ?? '') : '';
}

/** A parameter of the URL, where it is there once. */
export function parameter(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : undefined;
}

/** Who asks for a page, as far as it is known. */
export interface Visitor {
  readonly settings: PageSettings;
  readonly cookie: SessionCookie;
  readonly signedIn: SignedIn | null;
  /** What a new session needs to know: see `SessionOrigin`. */
  readonly origin: { readonly address: string; readonly userAgent: string | undefined; readonly previousCookie: string | null };
}

export function visitorOf({ raw: request }: FastifyRequest, parts: PageScopeParts, now = Date.now()): Visitor {
  const settings = parts.settings();
  const { headers } = request;
  const cookie = sessionCookie(settings.externalUrl);
  const { people } = parts.directory();
  return {
    settings,
    cookie,
    signedIn: identifySession(headers.cookie, cookie, people, parts.activity, settings.sessions, now),
    origin: {
      address: clientAddress(request, settings.isTrustedProxy),
      userAgent: headers['user-agent'],
      previousCookie: readSessionCookie(headers.cookie, cookie),
    },
  };
}

/** After a form: a GET of another page. */
export function goTo(reply: FastifyReply, path: string): FastifyReply {
  return reply.header('Cache-Control', 'no-store').redirect(path, 303);
}
