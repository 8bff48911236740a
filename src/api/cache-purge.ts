/**
 * `POST /-/api/v1/cache/purge`: forgets what an environment's answers were, so that its server is asked anew
 * (docs/operations.md). Whoever may ask the environment may do this, once in a second.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { PurgeSubject } from '../cache/purge.ts';
import { endpointSubject } from '../cache/purge-names.ts';
import type { Token } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import type { Visit } from '../gateway/visit.ts';
import { targetKey } from '../guard/rates.ts';
import { FaultyBody } from './problem.ts';
import { type ApiParts, apiRoute, coveredTarget } from './route.ts';

export interface CachePurgeParts extends ApiParts {
  readonly purge: (subject: PurgeSubject) => Promise<void>;
}

/** Milliseconds between two purges of one target. Each is written to the database and makes every process derive anew what it knows. */
const INTERVAL = 1_000;

const body = z.strictObject(
  { environment: z.string('must be a text such as acme/shop:production') },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object' : undefined) },
);

/** A plugin with the one route. */
export function cachePurge(parts: CachePurgeParts): (app: FastifyInstance, options: object, done: () => void) => void {
  const space = spacer(() => performance.now());
  return apiRoute(parts, { url: '/-/api/v1/cache/purge', endpoint: 'cache_purge', maxBody: 16 * 1024, answer });

  async function answer(given: unknown, token: Token, visit: Visit): Promise<object> {
    const parsed = body.safeParse(given);
    if (!parsed.success) throw new FaultyBody(parsed.error.issues);
    const { environment } = parsed.data;
    const target = coveredTarget(parts, environment, token);
    visit.target = target;
    // A question of the token; the server is not asked, and the environment has a pace of its own.
    const own = { ...parts.settings().limits, environmentConcurrency: 0, environmentRate: 0 };
    const release = parts.rates.enter({ token: token.id, target: '', server: 0 }, own);
    try {
      const { server, subject } = endpointSubject(parts.directory(), target);
      visit.server = server.name;
      space(targetKey(target));
      await parts.purge(subject);
      return { purged: { environment, server: server.name } };
    } finally {
      release();
    }
  }
}

/** Throws `too_many_requests` for a key that came less than {@link INTERVAL} ago. */
function spacer(now: () => number): (key: string) => void {
  /** The oldest first. */
  const last = new Map<string, number>();
  return (key) => {
    const at = now();
    for (const [other, time] of last) {
      if (at - time < INTERVAL) break;
      last.delete(other);
    }
    if (last.has(key)) {
      throw new PromgateError('too_many_requests', 'this was purged less than a second ago; try again in 1s', {
        headers: { 'Retry-After': '1' },
      });
    }
    last.set(key, at);
  };
}
