/**
 * A route of Promgate's own API on the gateway that is about questions: POST with a JSON body, for whoever may ask them: with an
 * endpoint's token, too, unlike the control API. What comes of it is counted and logged as any question is; errors are problem documents.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../access/caller.ts';
import type { Target } from '../directory/model.ts';
import { namedTarget } from '../directory/named.ts';
import { type EntranceParts, type GatewaySettings, identify, notFound } from '../gateway/entrance.ts';
import { methodNotAllowed } from '../gateway/open.ts';
import { beginVisit, countRefusal, endVisit, errorOf, type Visit, type VisitParts } from '../gateway/visit.ts';
import type { Rates } from '../guard/rates.ts';
import { databaseTrouble } from '../storage/trouble.ts';
import { bodyProblem, sendProblem } from './problem.ts';

export interface ApiParts extends EntranceParts, VisitParts {
  readonly rates: Rates;
  readonly settings: () => GatewaySettings;
  readonly stopping: () => boolean;
  /** Whoever brings a personal token; `null`: the request has none. Rejects with `unauthorized` for a bad one. */
  readonly withPersonalToken: (request: IncomingMessage) => Promise<Caller | null>;
  /** Throws `forbidden` for a request that comes with a session's cookie, and may not be meant by its user. */
  readonly checkCsrf: (request: IncomingMessage) => void;
}

export interface ApiRoute {
  /** Below the path of `external_url`. */
  readonly url: string;
  /** Its name in metrics and logs. */
  readonly endpoint: string;
  /** Bytes. */
  readonly maxBody: number;
  /** Makes the answer, which is sent as JSON. What it learns of target and server it notes in the visit. */
  readonly answer: (body: unknown, caller: Caller, visit: Visit) => Promise<object>;
}

/** A plugin with the one route. */
export function apiRoute(
  parts: ApiParts,
  { url, endpoint, maxBody, answer }: ApiRoute,
): (app: FastifyInstance, options: object, done: () => void) => void {
  const visits = new WeakMap<FastifyRequest, Visit>();

  return (app, _options, done) => {
    app.removeContentTypeParser('text/plain');
    app.setErrorHandler((thrown, request, reply) => refuse(request, reply, thrown));
    app.route({
      method: app.supportedMethods,
      url,
      exposeHeadRoute: false,
      bodyLimit: maxBody,
      // Before the body is read: whoever may not ask cannot make us read one.
      onRequest: async (request, reply) => {
        const visit = begin(request, reply);
        visit.caller = await callerOf(request.raw);
        if (request.method !== 'POST') throw methodNotAllowed('POST');
      },
      handler: async (request, reply) => {
        const visit = visitOf(request);
        // Once more: while the body came, what it came with may have ended.
        const caller = await callerOf(request.raw);
        visit.caller = caller;
        return reply.send(await answer(request.body, caller, visit));
      },
    });
    done();
  };

  /** With a session's cookie only from our own pages; and with personal tokens, which no endpoint takes. */
  async function callerOf(request: IncomingMessage): Promise<Caller> {
    const personal = await parts.withPersonalToken(request);
    if (personal !== null) return personal;
    const caller = await identify(request, parts.settings(), parts);
    if (caller.kind === 'user') parts.checkCsrf(request);
    return caller;
  }

  /** Counted and logged when its answer is sent or the client has left. */
  function begin(request: FastifyRequest, reply: FastifyReply): Visit {
    const visit = beginVisit(request.raw, reply.raw, request.id, {});
    visit.endpoint = endpoint;
    visits.set(request, visit);
    reply.headers({ 'X-Request-Id': visit.id, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store' });
    if (parts.stopping()) reply.header('Connection', 'close');
    reply.raw.once('close', () => endVisit(visit, reply.raw.writableFinished ? reply.statusCode : null, null, parts));
    return visit;
  }

  function refuse(request: FastifyRequest, reply: FastifyReply, thrown: unknown): void {
    const visit = visitOf(request);
    const error = errorOf(visit, bodyProblem(thrown, maxBody) ?? databaseTrouble(thrown) ?? thrown);
    countRefusal(visit, error, parts);
    // What is left of the body is not read.
    if (!request.raw.complete) reply.header('Connection', 'close');
    sendProblem(reply, error);
    endVisit(visit, error.status, error, parts);
  }

  function visitOf(request: FastifyRequest): Visit {
    const visit = visits.get(request);
    if (visit === undefined) throw new Error('a request without its beginning');
    return visit;
  }
}

/** The environment, project or group with this name. Throws `not_found` where there is none, or it is not the caller's to see. */
export function openTarget({ directory }: Pick<ApiParts, 'directory'>, name: string, caller: Caller): Target {
  const target = namedTarget(directory(), name);
  if (target === null || !caller.opens(target)) throw notFound();
  return target;
}
