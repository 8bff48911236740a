/**
 * The control API below `/-/api/v1`: who asks → may they → the operation, in one transaction with its audit events → the answer.
 * What a caller may not do is answered like what does not exist.
 */
import { hash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { clientAddress } from '../access/client-address.ts';
import type { Oidc } from '../access/oidc.ts';
import type { Passwords } from '../access/passwords.ts';
import { type PermissionName, permissions, permits } from '../access/permissions.ts';
import type { Throttle } from '../access/throttle.ts';
import type { Settings } from '../config/settings.ts';
import type { Directory } from '../directory/snapshot.ts';
import { PromgateError } from '../errors.ts';
import type { GatewaySettings } from '../gateway/entrance.ts';
import { methodNotAllowed } from '../gateway/open.ts';
import { beginVisit, countRefusal, endVisit, errorOf, type Visit, type VisitParts } from '../gateway/visit.ts';
import type { Actor, AuditAction, AuditEvent, AuditObject } from '../ops/audit.ts';
import { theInstance } from '../ops/audit.ts';
import type { Refusals } from '../ops/refusals.ts';
import { recordEvents } from '../storage/audit.ts';
import { userObject } from '../storage/audit-objects.ts';
import type { Keyring } from '../storage/crypto.ts';
import type { Database } from '../storage/database.ts';
import type { Trx } from '../storage/schema.ts';
import { databaseTrouble } from '../storage/trouble.ts';
import type { AskServer } from '../upstream/collect.ts';
import { type ApiCaller, type CallerParts, identifyApiCaller } from './caller.ts';
import { inputOf } from './input.ts';
import { findNamed, findObject, roleOn } from './objects.ts';
import type { About, Call, Operation } from './operation.ts';
import { bodyProblem, noSuchThing, sendProblem } from './problem.ts';

/** What operations work with, beside the transaction. */
export interface ApiServices extends CallerParts {
  readonly database: Database;
  readonly keyring: Keyring;
  readonly directory: () => Directory;
  /** Brings the snapshot up to date at once: what somebody has changed holds for their next question. */
  readonly refresh: () => Promise<void>;
  readonly askServer: AskServer;
  readonly settings: () => GatewaySettings;
  readonly allSettings: () => Settings;
  readonly refusals: Refusals;
  readonly passwords: Passwords;
  readonly throttle: Throttle;
  readonly oidc: Oidc;
}

export interface ControlApiParts extends ApiServices, VisitParts {
  readonly stopping: () => boolean;
}

export const apiPrefix = '/-/api/v1';
const MAX_BODY = 1024 * 1024;

interface Begun {
  readonly visit: Visit;
  caller: ApiCaller | null;
}

/** A plugin with all the operations' routes. */
export function controlApi(
  operations: readonly Operation[],
  parts: ControlApiParts,
): (app: FastifyInstance, options: object, done: () => void) => void {
  const begun = new WeakMap<FastifyRequest, Begun>();

  return (app, _options, done) => {
    app.removeContentTypeParser('text/plain');
    app.setErrorHandler((thrown, request, reply) => refuse(request, reply, thrown));
    for (const [path, own] of Map.groupBy(operations, (each) => each.path)) {
      const byMethod = new Map(own.map((each) => [each.method as string, each]));
      const allow = [...byMethod.keys()].join(', ');
      app.route({
        method: app.supportedMethods,
        url: apiPrefix + path.replaceAll(/\{(\w+)\}/g, ':$1'),
        exposeHeadRoute: false,
        bodyLimit: MAX_BODY,
        // Before the body is read: whoever may not ask cannot make us read one.
        onRequest: async (request, reply) => {
          begin(request, reply);
          const known = beginningOf(request);
          const chosen = byMethod.get(request.method);
          if (chosen?.permission !== null || request.headers.authorization !== undefined)
            known.caller = await parts.database.read((trx) => identifyApiCaller(trx, request.raw, known.visit.id, parts));
          if (chosen === undefined) throw methodNotAllowed(allow);
        },
        handler: (request, reply) => answer(byMethod.get(request.method) as Operation, request, reply),
      });
    }
    done();
  };

  async function answer(operation: Operation, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { visit, caller: known } = beginningOf(request);
    const anonymous = anonymousCaller(request, visit);
    const caller = known ?? anonymous;
    const input = {
      caller,
      now: Date.now(),
      headers: request.headers,
      params: request.params as Record<string, string>,
      query: inputOf(operation.query, request.query, 'query') as never,
      body: inputOf(operation.body, request.body, 'body'),
      services: parts,
    };
    const events: AuditEvent[] = [];
    let told = false;
    const inTransaction = async (trx: Trx, object: AuditObject, prepared: unknown): Promise<unknown> => {
      const call: Call = {
        ...input,
        trx,
        object,
        prepared,
        record(action: AuditAction, about = object, detail = {}) {
          told = true;
          events.push({ actor: caller.actor, action, object: about, detail });
        },
        recorded() {
          told = true;
        },
        unchanged() {
          told = true;
        },
        async may(permission, about) {
          const allowed = await mayHe(trx, caller, permission, about);
          if (!allowed) noteRefusal(operation, permission, caller, about);
          return allowed;
        },
        header: (name, value) => void reply.header(name, value),
      };
      if (operation.current !== undefined)
        checkUnchanged(request, operation, tagOf(shaped(operation, await operation.current(call))));
      const result = await operation.run(call);
      if (operation.transaction === 'write') {
        if (!told) throw new Error(`${operation.id} changed something without a word to the audit log`);
        await recordEvents(trx, events, input.now);
      }
      return result;
    };
    const authorized = async (trx: Trx): Promise<AuditObject> => {
      // Once more, in the transaction itself: what ended meanwhile has ended.
      if (known !== null) Object.assign(caller, await identifyApiCaller(trx, request.raw, visit.id, parts));
      return authorize(trx, operation, caller, input);
    };
    let prepared: unknown;
    if (operation.prepare !== undefined) {
      const object = await parts.database.read(authorized);
      prepared = await operation.prepare({ ...input, object });
    }
    const transaction = operation.transaction === 'write' ? parts.database.write : parts.database.read;
    let result = await transaction(async (trx) => inTransaction(trx, await authorized(trx), prepared));
    if (operation.transaction === 'write') await parts.refresh();
    if (operation.finish !== undefined) result = await operation.finish(result, parts, caller);
    return send(operation, request, reply, result);
  }

  /** Throws `not_found`, and lets the audit log know of changes that were refused. */
  async function authorize(
    trx: Trx,
    operation: Operation,
    caller: ApiCaller,
    input: { params: Readonly<Record<string, string>>; query: unknown; body: unknown },
  ): Promise<AuditObject> {
    const { permission, about } = operation;
    if (permission === null) return theInstance;
    if (about.kind === 'self' || about.kind === 'visible') {
      const object = userObject(caller.user);
      if (permits(permission, { admin: caller.user.admin, role: 'owner', scopes: caller.scopes })) return object;
      throw refused(operation, permission, caller, object);
    }
    const object = await objectOf(trx, about, input);
    if (object !== null && (await mayHe(trx, caller, permission, object))) return object;
    throw refused(operation, permission, caller, object);
  }

  function refused(
    operation: Operation,
    permission: PermissionName,
    caller: ApiCaller,
    object: AuditObject | null,
  ): PromgateError {
    if (object !== null) noteRefusal(operation, permission, caller, object);
    const { scope } = permissions[permission];
    // What a token was not made for is no secret: its owner may look up all of it.
    if (caller.scopes !== null && (scope === null || !caller.scopes.includes(scope))) {
      const needed = scope === null ? 'signing in: no personal token may do this' : `a personal token with the scope ${scope}`;
      return new PromgateError('forbidden', `this needs ${needed}`);
    }
    return noSuchThing();
  }

  /** Of changes alone: who may not look is told that there is nothing. */
  function noteRefusal({ transaction }: Operation, permission: PermissionName, { actor }: ApiCaller, object: AuditObject): void {
    if (transaction === 'write') parts.refusals.note({ actor, action: 'refused', object, detail: { permission } });
  }

  function send(operation: Operation, request: FastifyRequest, reply: FastifyReply, result: unknown): FastifyReply {
    if (operation.answer === null) return reply.code(operation.status).send();
    if (operation.lines) {
      const lines = linesOf(operation, result as AsyncIterable<readonly unknown[]>);
      return reply.type('application/x-ndjson').send(Readable.from(lines, { objectMode: false }));
    }
    const shape = shaped(operation, result);
    if (operation.etag) {
      const tag = tagOf(shape);
      reply.header('ETag', tag);
      if (request.method === 'GET' && request.headers['if-none-match'] === tag) return reply.code(304).send();
    }
    const next = (shape as { next?: unknown }).next;
    if (typeof next === 'number') reply.header('Link', `<${nextPage(request, next)}>; rel="next"`);
    return reply.code(operation.status).send(shape);
  }

  /** Below the base path, as the client asked for it. */
  function nextPage(request: FastifyRequest, next: number): string {
    const url = new URL(request.url, 'http://localhost');
    url.searchParams.set('after', String(next));
    return `${parts.settings().basePath}${url.pathname}${url.search}`;
  }

  function begin(request: FastifyRequest, reply: FastifyReply): void {
    const visit = beginVisit(request.raw, reply.raw, request.id, {});
    visit.endpoint = 'api';
    begun.set(request, { visit, caller: null });
    reply.headers({ 'X-Request-Id': visit.id, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store' });
    if (parts.stopping()) reply.header('Connection', 'close');
    reply.raw.once('close', () => endVisit(visit, reply.raw.writableFinished ? reply.statusCode : null, null, parts));
  }

  function refuse(request: FastifyRequest, reply: FastifyReply, thrown: unknown): void {
    const { visit } = beginningOf(request);
    const error = errorOf(visit, bodyProblem(thrown, MAX_BODY) ?? databaseTrouble(thrown) ?? thrown);
    countRefusal(visit, error, parts);
    // What is left of the body is not read.
    if (!request.raw.complete) reply.header('Connection', 'close');
    sendProblem(reply, error);
    endVisit(visit, error.status, error, parts);
  }

  function beginningOf(request: FastifyRequest): Begun {
    const known = begun.get(request);
    if (known === undefined) throw new Error('a request without its beginning');
    return known;
  }

  function anonymousCaller(request: FastifyRequest, visit: Visit): ApiCaller {
    const address = clientAddress(request.raw, parts.settings().isTrustedProxy);
    const actor: Actor = { kind: 'anonymous', id: null, name: '', address, requestId: visit.id };
    return { user: { id: 0, username: '', admin: false }, session: null, personalTokenId: null, scopes: [], actor };
  }
}

async function objectOf(
  trx: Trx,
  about: Exclude<About, { kind: 'self' | 'visible' }>,
  input: { params: Readonly<Record<string, string>>; query: unknown; body: unknown },
): Promise<AuditObject | null> {
  if (about.kind === 'instance') return theInstance;
  if (about.kind !== 'named') return findObject(trx, about.kind, input.params[about.param] ?? '');
  const named = await findNamed(trx, String((input[about.in] as Record<string, unknown>)[about.field]));
  return named !== null && (about.kinds as readonly string[]).includes(named.kind) ? named : null;
}

async function mayHe(trx: Trx, caller: ApiCaller, permission: PermissionName, object: AuditObject): Promise<boolean> {
  const { admin, id } = caller.user;
  return permits(permission, { admin, role: await roleOn(trx, id, object), scopes: caller.scopes });
}

/** Throws `precondition_required` and `precondition_failed` (RFC 6585, section 3; RFC 9110, section 13.1.1). */
function checkUnchanged({ method, headers }: FastifyRequest, { summary }: Operation, tag: string): void {
  const given = headers['if-match'];
  if (given === undefined) {
    if (method === 'DELETE') return;
    throw new PromgateError(
      'precondition_required',
      `to ${summary.charAt(0).toLowerCase()}${summary.slice(1)}, bring the ETag of what you have read as If-Match, or If-Match: * whatever it is now`,
    );
  }
  const tags = given.split(',').map((each) => each.trim());
  if (tags.includes('*') || tags.includes(tag)) return;
  throw new PromgateError('precondition_failed', 'somebody else has changed it since you read it: read it again');
}

/** The same for the same content, in whatever order its keys are. */
function tagOf(shape: unknown): string {
  const sorted = JSON.stringify(shape, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return `"${hash('sha256', sorted, 'base64url').slice(0, 22)}"`;
}

/** A text of whole lines for each page. */
async function* linesOf(operation: Operation, pages: AsyncIterable<readonly unknown[]>): AsyncGenerator<string> {
  for await (const page of pages) yield page.map((item) => `${JSON.stringify(shaped(operation, item))}\n`).join('');
}

/**
 * Only what is documented goes out; an answer that does not fit its own document is a mistake of ours. What a removal says is there
 * now (`current`) goes as it is.
 */
function shaped({ answer }: Operation, result: unknown): unknown {
  return answer === null ? result : answer.parse(result);
}
