/** Asks for the same stretch of time after stretch through Promgate and of the server itself, and compares what comes. */
import { expect } from 'vitest';
import { type CacheRig, type CacheRigOptions, expectSame, type Seen, startCacheRig } from '../support/cache-rig.ts';
import { fc } from '../support/fast-check.ts';
import { type Journey, type Look, lookParams } from './windows.ts';

/** Each journey has an environment of its own, and a server's record whose header differs for each: so each has an empty cache. */
const CASES = 600;

/** How often `X-Promgate-Cache` said what, and how many answers were not empty. */
export interface Tally {
  readonly cache: Map<string, number>;
  full: number;
  all: number;
}

export interface Replay {
  readonly rig: CacheRig;
  readonly tally: Tally;
  /** Fails with the first answer that differs, naming the looks up to it. */
  run(query: string, journey: Journey, same?: typeof expectSame): Promise<void>;
}

export async function startReplay(options: Omit<CacheRigOptions, 'environments'>): Promise<Replay> {
  const environments = Array.from({ length: CASES }, (_, index) => ({ name: `case-${index}` }));
  const server = { headers: { 'X-Case': '{{ci_environment_slug}}' }, ...options.server };
  const rig = await startCacheRig({ ...options, environments, server });
  const tally: Tally = { cache: new Map(), full: 0, all: 0 };
  let next = 0;
  return {
    rig,
    tally,
    async run(query, { looks }, same = expectSame) {
      const environment = `case-${next++ % CASES}`;
      const before: string[] = [];
      for (const [index, look] of looks.entries()) {
        // A date with parts of a second is another moment for VictoriaMetrics, so it is not kept.
        const whole = [look.phase, look.step, look.beyond].every((ms) => ms % 1000 === 0);
        const params = lookParams(query, look, whole && index % 3 === 2 ? 'date' : 'seconds');
        const direct = await rig.direct('query_range', params);
        const seen = await rig.through('query_range', params, { environment });
        before.push(`${describe(look)} → ${seen.cache}`);
        same(seen, direct, `${query}\n${before.join('\n')}\n`);
        count(tally, seen);
      }
    },
  };
}

function describe({ step, phase, first, count: points, beyond }: Look): string {
  return `step ${step} ms, phase ${phase}, points ${first}…${first + points - 1}${beyond > 0 ? ` and ${beyond} ms` : ''}`;
}

function count(tally: Tally, { cache, status, body }: Seen): void {
  tally.cache.set(cache, (tally.cache.get(cache) ?? 0) + 1);
  tally.all += 1;
  if (status === 200 && !body.includes('"result":[]')) tally.full += 1;
}

/** The test must be able to fail: the cache takes part in each of these ways, and a part of the answers have something in them. */
export function expectMixed({ cache, full, all }: Tally, part: number, results = ['hit', 'partial', 'miss']): void {
  expect(full / all).toBeGreaterThan(part);
  for (const result of results) expect([result, (cache.get(result) ?? 0) / all > 0.03]).toEqual([result, true]);
}

/** Cases that fast-check makes, until they or the time (milliseconds) are at an end; says seed, query and looks where one fails. */
export async function replayAll(
  replay: Replay,
  queries: fc.Arbitrary<string>,
  journeys: fc.Arbitrary<Journey>,
  { runs, within, same }: { runs: number; within: number; same?: typeof expectSame },
): Promise<void> {
  const property = fc.asyncProperty(queries, journeys, (query, journey) => replay.run(query, journey, same));
  await fc.assert(property, { numRuns: runs, interruptAfterTimeLimit: within });
}
