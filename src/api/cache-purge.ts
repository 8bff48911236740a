/**
 * `POST /-/api/v1/cache/purge`: forgets what an environment's answers were, so that its server is asked anew
 * (docs/operations.md). Whoever may ask the environment may do this, once in a second, and for five of them at most; of people, maintainers.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Caller } from '../access/caller.ts';
import { clientAddress } from '../access/client-address.ts';
import type { PurgeSubject } from '../cache/purge.ts';
import { endpointSubject } from '../cache/purge-names.ts';
import type { Target } from '../directory/model.ts';
import { namedTarget } from '../directory/named.ts';
import type { Directory } from '../directory/snapshot.ts';
import { notFound, userMay } from '../gateway/entrance.ts';
import { callerFields, type Visit } from '../gateway/visit.ts';
import { targetKey } from '../guard/rates.ts';
import { type Actor, callerActor } from '../ops/audit.ts';
import { pace } from './pace.ts';
import { FaultyRequest } from './problem.ts';
import { type ApiParts, apiRoute } from './route.ts';

export interface CachePurgeParts extends ApiParts {
  readonly purge: (subject: PurgeSubject, actor: Actor, endpoint: Target) => Promise<void>;
}

/** Purges of one target and of one caller in a second: each is written to the database and makes every process derive anew what it knows. */
const MOST_OF_TARGET = 1;
const MOST_OF_CALLER = 5;
/** That second, in milliseconds. */
const INTERVAL = 1_000;

export const cachePurgeBody = z.strictObject(
  { environment: z.string('must be a text such as acme/shop:production') },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object' : undefined) },
);

/** A plugin with the one route. */
export function cachePurge(parts: CachePurgeParts): (app: FastifyInstance, options: object, done: () => void) => void {
  const ofTarget = pace(MOST_OF_TARGET, INTERVAL, 'this was purged less than a second ago');
  const ofCaller = pace(MOST_OF_CALLER, INTERVAL, `this caller purged ${MOST_OF_CALLER} times in less than a second`);
  return apiRoute(parts, { url: '/-/api/v1/cache/purge', endpoint: 'cache_purge', maxBody: 16 * 1024, answer });

  async function answer(given: unknown, caller: Caller, visit: Visit): Promise<object> {
    const parsed = cachePurgeBody.safeParse(given);
    if (!parsed.success) throw new FaultyRequest(parsed.error.issues);
    const { environment } = parsed.data;
    const target = namedTarget(parts.directory(), environment);
    if (target === null || !mayPurge(caller, target, parts.directory())) throw notFound();
    visit.target = target;
    // A question of the caller; the server is not asked, and the environment has a pace of its own.
    const own = { ...parts.settings().limits, environmentConcurrency: 0, environmentRate: 0 };
    const release = parts.rates.enter({ caller: caller.key, target: '', server: 0 }, own);
    try {
      const { server, subject } = endpointSubject(parts.directory(), target);
      visit.server = server.name;
      const counts = [ofCaller(caller.key), ofTarget(targetKey(target))];
      // Only now: what one of them refuses must not count for the other.
      for (const count of counts) count();
      await parts.purge(
        subject,
        callerActor(caller, clientAddress(visit.request, parts.settings().isTrustedProxy), visit.id),
        target,
      );
      parts.log.info('the cache was purged', {
        requestId: visit.id,
        ...callerFields(caller),
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

/** A token of an endpoint may purge what it reads; people need the role for it, and programs have none. */
function mayPurge(caller: Caller, target: Target, directory: Directory): boolean {
  if (caller.kind === 'token') return caller.opens(target);
  return caller.kind === 'user' && userMay('cache.purge', caller, target, directory);
}
