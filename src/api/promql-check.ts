/**
 * `POST /-/api/v1/promql/check`: what Promgate would make of a query, without asking it (docs/promql-check.md). Whoever may
 * ask the environment may ask this, as often.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { covers } from '../access/authenticate.ts';
import type { Target, Token } from '../directory/model.ts';
import { namedTarget } from '../directory/named.ts';
import { PromgateError } from '../errors.ts';
import { bindingsOf, type EntranceParts, type GatewaySettings, identify, notFound } from '../gateway/entrance.ts';
import { methodNotAllowed } from '../gateway/open.ts';
import { beginVisit, endVisit, errorOf, type Visit } from '../gateway/visit.ts';
import type { Guard } from '../guard/decide.ts';
import { askedProblems, type Explanation, explainQuery, type Place } from '../guard/explain.ts';
import { type Rates, targetKey } from '../guard/rates.ts';
import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import { FaultyBody, sendProblem } from './problem.ts';

/** Below the path of `external_url`. */
const PROMQL_CHECK = '/-/api/v1/promql/check';
const MAX_BODY = 1024 * 1024;

export interface PromqlCheckParts extends EntranceParts {
  readonly guard: Guard;
  readonly rates: Rates;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly settings: () => GatewaySettings;
  readonly stopping: () => boolean;
}

const timeOrDuration = z.union([z.string(), z.number()], 'must be a text or a number').transform(String).optional();
const body = z
  .strictObject(
    {
      query: z.string('must be a text'),
      environment: z.string('must be a text such as acme/shop:production').optional(),
      time: timeOrDuration,
      start: timeOrDuration,
      end: timeOrDuration,
      step: timeOrDuration,
      variables: z.record(z.string(), z.string('must be a text'), 'must be an object of texts').default({}),
    },
    { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object' : undefined) },
  )
  .superRefine((given, context) => {
    for (const { name, problem } of askedProblems(given)) context.addIssue({ code: 'custom', path: [name], message: problem });
  });

/** A plugin with the one route. Errors within it are problem documents. */
export function promqlCheck(parts: PromqlCheckParts): (app: FastifyInstance, options: object, done: () => void) => void {
  const bindings = bindingsOf(parts);
  const visits = new WeakMap<FastifyRequest, Visit>();

  return (app, _options, done) => {
    app.removeContentTypeParser('text/plain');
    app.setErrorHandler((thrown, request, reply) => refuse(request, reply, thrown));
    app.route({
      method: app.supportedMethods,
      url: PROMQL_CHECK,
      exposeHeadRoute: false,
      bodyLimit: MAX_BODY,
      // Before the body is read: whoever may not ask cannot make us read one.
      onRequest: (request, reply, next) => {
        const visit = begin(request, reply);
        visit.token = identify(request.raw, parts.settings(), parts);
        if (request.method !== 'POST') throw methodNotAllowed('POST');
        next();
      },
      handler: (request, reply) => answer(request).then((explanation) => reply.send(explanation)),
    });
    done();
  };

  /** Counted and logged as any question is, when its answer is sent or the client has left. */
  function begin(request: FastifyRequest, reply: FastifyReply): Visit {
    const visit = beginVisit(request.raw, reply.raw, request.id, {});
    visit.endpoint = 'promql_check';
    visits.set(request, visit);
    reply.headers({ 'X-Request-Id': visit.id, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store' });
    if (parts.stopping()) reply.header('Connection', 'close');
    reply.raw.once('close', () => endVisit(visit, reply.raw.writableFinished ? reply.statusCode : null, null, parts));
    return visit;
  }

  async function answer(request: FastifyRequest): Promise<Explanation> {
    const visit = visitOf(request);
    const { token } = visit;
    if (token === null) throw new Error('nobody asks');
    const parsed = body.safeParse(request.body);
    if (!parsed.success) throw new FaultyBody(parsed.error.issues);
    const { query, environment, time, start, end, step, variables } = parsed.data;
    const settings = parts.settings();
    const { limits } = settings;
    const target = environment === undefined ? null : findTarget(environment, token);
    visit.target = target;
    const place: Place | null = target === null ? null : { binding: bindings(target, settings), guard: parts.guard };
    visit.server = place?.binding.server.name ?? null;
    const asked = { query, time, start, end, step, variables: new Map(Object.entries(variables)) };
    const release = enter(token, target, place, limits);
    try {
      return await explainQuery(asked, limits, place);
    } finally {
      // Here and not at the visit's end: a client that left meanwhile has ended that already.
      release();
    }
  }

  function findTarget(name: string, token: Token): Target {
    const target = namedTarget(parts.directory(), name);
    if (target === null || !covers(token, target)) throw notFound();
    return target;
  }

  /** Without an environment it is a question of the token alone. */
  function enter(token: Token, target: Target | null, place: Place | null, limits: GatewaySettings['limits']): () => void {
    if (target === null || place === null) {
      const own = { ...limits, environmentConcurrency: 0, environmentRate: 0 };
      return parts.rates.enter({ token: token.id, target: '', server: 0 }, own);
    }
    const { server, limits: bound } = place.binding;
    return parts.rates.enter({ token: token.id, target: targetKey(target), server: server.id }, bound);
  }

  function refuse(request: FastifyRequest, reply: FastifyReply, thrown: unknown): void {
    const visit = visitOf(request);
    const error = errorOf(visit, ofFastify(thrown) ?? thrown);
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

/** What Fastify says of a body, in words of our own; `null` where it is not Fastify that speaks. */
function ofFastify(thrown: unknown): PromgateError | null {
  if (!(thrown instanceof Error) || thrown instanceof PromgateError) return null;
  const { code, statusCode } = thrown as { code?: unknown; statusCode?: unknown };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new PromgateError('too_large', `the request body is larger than ${MAX_BODY} bytes`);
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new PromgateError('unsupported_media_type', 'the request body needs the content type application/json');
  }
  return statusCode === 400 ? new PromgateError('bad_data', 'the request body is not valid JSON', { cause: thrown }) : null;
}
