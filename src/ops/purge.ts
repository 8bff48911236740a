/**
 * `POST /-/cache/purge` on the operators' listener: everything, all of one server, or what one endpoint is shown. There are
 * no credentials here; but no page in an operator's browser can send it: a browser names the page's origin, and sends no JSON
 * elsewhere without asking first.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import { bodyProblem, FaultyRequest, sendProblem } from '../api/problem.ts';
import { everything, type PurgeSubject } from '../cache/purge.ts';
import { endpointSubject, namedServerSubject } from '../cache/purge-names.ts';
import type { Target } from '../directory/model.ts';
import { namedTarget } from '../directory/named.ts';
import type { Directory } from '../directory/snapshot.ts';
import { PromgateError } from '../errors.ts';
import { databaseTrouble } from '../storage/trouble.ts';
import type { Actor } from './audit.ts';
import type { Log } from './log.ts';

export interface OpsPurgeParts {
  readonly directory: () => Directory;
  readonly purge: (subject: PurgeSubject, actor: Actor, endpoint: Target | null) => Promise<void>;
  readonly log: Log;
}

const MAX_BODY = 16 * 1024;

/** Whoever reaches the listener: nobody says who. */
const anOperator = { kind: 'anonymous', id: null, name: 'operator' } as const;

const text = z.string('must be a text');
const body = z
  .strictObject(
    {
      all: z.literal(true, 'must be true').optional(),
      server: text.optional(),
      of: text.optional(),
      environment: text.optional(),
    },
    { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object' : undefined) },
  )
  .superRefine(({ all, server, of, environment }, context) => {
    const report = (message: string, path: string[] = []) => context.addIssue({ code: 'custom', path, message });
    const given = [all, server, environment].filter((value) => value !== undefined);
    if (given.length !== 1) report('must hold one of "all", "server" and "environment"');
    if (of !== undefined && server === undefined) report('goes only with "server"', ['of']);
  });

/** A plugin with the one route. Errors are problem documents. */
export function opsPurge(parts: OpsPurgeParts): (app: FastifyInstance, options: object, done: () => void) => void {
  return (app, _options, done) => {
    app.removeContentTypeParser('text/plain');
    app.setErrorHandler((thrown, _request, reply) => refuse(reply, thrown));
    app.post('/-/cache/purge', {
      bodyLimit: MAX_BODY,
      onRequest: (request, _reply, next) => {
        if (request.headers.origin !== undefined) throw new PromgateError('bad_data', 'this is not for web pages');
        next();
      },
      handler: async (request, reply) => {
        const parsed = body.safeParse(request.body);
        if (!parsed.success) throw new FaultyRequest(parsed.error.issues);
        const { subject, endpoint, purged, logged } = find(parts.directory(), parsed.data);
        await parts.purge(subject, { ...anOperator, address: request.ip, requestId: request.id }, endpoint);
        parts.log.info('the cache was purged', logged);
        return reply.send({ purged });
      },
    });
    done();
  };

  function refuse(reply: FastifyReply, thrown: unknown): void {
    const error = bodyProblem(thrown, MAX_BODY) ?? databaseTrouble(thrown) ?? thrown;
    if (!(error instanceof PromgateError)) parts.log.error('the cache could not be purged', {}, error);
    sendProblem(reply, error instanceof PromgateError ? error : new PromgateError('internal', 'internal error; see the log'));
  }
}

/** What is meant, how it is told, and how it is logged. */
interface Found {
  readonly subject: PurgeSubject;
  readonly endpoint: Target | null;
  readonly purged: object;
  readonly logged: Record<string, string>;
}

function find(directory: Directory, { server: name, of, environment }: z.output<typeof body>): Found {
  if (name !== undefined) {
    const found = namedServerSubject(directory, name, of);
    const purged = { server: name, of: found.of };
    return { subject: found.subject, endpoint: null, purged, logged: { purged: 'server', ...purged } };
  }
  if (environment === undefined) {
    return { subject: everything, endpoint: null, purged: { all: true }, logged: { purged: 'all' } };
  }
  const target = namedTarget(directory, environment);
  if (target === null) throw new PromgateError('not_found', `There is no environment, project or group ${environment}.`);
  const { server, subject } = endpointSubject(directory, target);
  return {
    subject,
    endpoint: target,
    purged: { environment, server: server.name },
    logged: { purged: 'endpoint', target: environment, server: server.name },
  };
}
