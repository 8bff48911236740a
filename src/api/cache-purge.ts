/**
 * `POST /-/api/v1/cache/purge`: forgets what an environment's answers were, so that its server is asked anew
 * (docs/operations.md). Whoever may ask the environment may do this, once in a second, and for five of them with one token.
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

/** Purges of one target and with one token in a second: each is written to the database and makes every process derive anew what it knows. */
const MOST_OF_TARGET = 1;
const MOST_OF_TOKEN = 5;
/** That second, in milliseconds. */
const INTERVAL = 1_000;

const body = z.strictObject(
  { environment: z.string('must be a text such as acme/shop:production') },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object' : undefined) },
);

/** A plugin with the one route. */
export function cachePurge(parts: CachePurgeParts): (app: FastifyInstance, options: object, done: () => void) => void {
  const ofTarget = pace(MOST_OF_TARGET, 'this was purged less than a second ago');
  const ofToken = pace(MOST_OF_TOKEN, `this token purged ${MOST_OF_TOKEN} times in less than a second`);
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
      const counts = [ofToken(String(token.id)), ofTarget(targetKey(target))];
      // Only now: what one of them refuses must not count for the other.
      for (const count of counts) count();
      await parts.purge(subject);
      parts.log.info('the cache was purged', {
        requestId: visit.id,
        tokenId: token.id,
        purged: 'endpoint',
        target: environment,
        server: server.name,
      });
      return { purged: { environment, server: server.name } };
    } finally {
      release();
    }
  }
}

/** Throws `too_many_requests` for a key that was counted `most` times within {@link INTERVAL}; else returns what counts it. */
function pace(most: number, reason: string): (key: string) => () => void {
  /** When each was counted within the interval; the key that was counted last is at the end. */
  const counted = new Map<string, number[]>();
  return (key) => {
    const at = performance.now();
    const isRecent = (time: number) => at - time < INTERVAL;
    for (const [other, times] of counted) {
      if (times.some(isRecent)) break;
      counted.delete(other);
    }
    const recent = counted.get(key)?.filter(isRecent) ?? [];
    if (recent.length >= most) {
      throw new PromgateError('too_many_requests', `${reason}; try again in 1s`, { headers: { 'Retry-After': '1' } });
    }
    return () => {
      counted.delete(key);
      counted.set(key, [...recent, at]);
    };
  };
}
