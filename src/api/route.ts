/**
 * A route of Promgate's own API on the gateway: POST with a JSON body, for whoever has a valid token. What comes of it is
 * counted and logged as any question is; errors are problem documents.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { covers } from '../access/authenticate.ts';
import type { Target, Token } from '../directory/model.ts';
import { namedTarget } from '../directory/named.ts';
import { type EntranceParts, type GatewaySettings, identify, notFound } from '../gateway/entrance.ts';
import { methodNotAllowed } from '../gateway/open.ts';
import { beginVisit, endVisit, errorOf, type Visit } from '../gateway/visit.ts';
import type { Rates } from '../guard/rates.ts';
import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import { bodyProblem, sendProblem } from './problem.ts';

export interface ApiParts extends EntranceParts {
  readonly rates: Rates;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly settings: () => GatewaySettings;
  readonly stopping: () => boolean;
}

export interface ApiRoute {
  /** Below the path of `external_url`. */
  readonly url: string;
  /** Its name in metrics and logs. */
  readonly endpoint: string;
  /** Bytes. */
  readonly maxBody: number;
  /** Makes the answer, which is sent as JSON. What it learns of target and server it notes in the visit. */
  readonly answer: (body: unknown, token: Token, visit: Visit) => Promise<object>;
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
      onRequest: (request, reply, next) => {
        const visit = begin(request, reply);
        visit.token = identify(request.raw, parts.settings(), parts);
        if (request.method !== 'POST') throw methodNotAllowed('POST');
        next();
      },
      handler: async (request, reply) => {
        const visit = visitOf(request);
        const { token } = visit;
        if (token === null) throw new Error('nobody asks');
        return reply.send(await answer(request.body, token, visit));
      },
    });
    done();
  };

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
    const error = errorOf(visit, bodyProblem(thrown, maxBody) ?? thrown);
    if (visit.token !== null && error.status < 500) parts.metrics.rejection(error.code);
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

/** The environment, project or group with this name. Throws `not_found` where there is none, or it is not the token's to see. */
export function coveredTarget({ directory }: Pick<ApiParts, 'directory'>, name: string, token: Token): Target {
  const target = namedTarget(directory(), name);
  if (target === null || !covers(token, target)) throw notFound();
  return target;
}
