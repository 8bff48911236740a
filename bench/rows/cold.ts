/** 100 screens that open at the same moment: how often the server is asked. */
import { openClient, tally } from '../ask.ts';
import type { Contender } from '../contenders.ts';
import { ratio, type Spread, show, spread } from '../figures.ts';
import type { History } from '../history.ts';
import { pinThisProcess } from '../pin.ts';
import { type Result, say } from '../report.ts';
import { ROUNDS } from '../settings.ts';
import type { Row } from '../world.ts';

const SCREENS = 100;
/** Seconds. */
const SPAN = 6 * 3600;
const STEP = 60;

const QUERY = encodeURIComponent('sum by (pod) (rate(http_requests_total{job="shop"}[5m]))');
const SLOW = encodeURIComponent('sum by (pod) (increase(http_requests_total{job="shop"}[6h]))');

const kinds: readonly { readonly what: string; readonly path: (history: History, round: number) => string }[] = [
  {
    what: 'a range query that nobody asked before',
    // Another phase each time: what was kept before is of no use.
    path: ({ now }, round) => `/api/v1/query_range?query=${QUERY}&start=${now - SPAN - round}&end=${now - round}&step=${STEP}`,
  },
  // Its answer may change any moment, so it is never kept: only what is in flight together is shared.
  { what: 'an instant query of now', path: () => `/api/v1/query?query=${SLOW}` },
];

interface Found {
  readonly elapsed: number[];
  readonly queries: number[];
  readonly cache: (string | null)[];
}

export const cold: Row = {
  name: 'cold',
  async run({ past }) {
    const { history, vmauth, promgate } = await past();
    await pinThisProcess();
    const contenders = [vmauth.of('history'), promgate.of('history')];
    const results: Result[] = [];
    for (const { what, path } of kinds) {
      const found = new Map<string, Found>();
      for (let round = 1; round <= ROUNDS; round++) {
        for (const one of contenders) await screens(one, history, path(history, round), found);
        say(`cold, ${what}, round ${round}/${ROUNDS}`);
      }
      results.push(resultOf(what, found));
    }
    return results;
  },
};

/** All at once, each over a connection of its own that is open already. */
async function screens(contender: Contender, history: History, path: string, found: Map<string, Found>): Promise<void> {
  const client = openClient(contender, SCREENS);
  await client.askAll(Array(SCREENS).fill('/api/v1/status/buildinfo'));
  await history.work();
  const { elapsed, cache } = await client.askAll(Array(SCREENS).fill(path));
  const { queries } = await history.work();
  await client.close();
  const one = found.get(contender.name) ?? { elapsed: [], queries: [], cache: [] };
  found.set(contender.name, one);
  one.elapsed.push(elapsed);
  one.queries.push(queries);
  one.cache.push(...cache);
}

function resultOf(what: string, found: ReadonlyMap<string, Found>): Result {
  const all = Array.from(found, ([name, one]) => ({ name, ...one }));
  const vmauth = found.get('vmauth');
  const promgate = found.get('Promgate');
  if (vmauth === undefined || promgate === undefined) throw new Error('not measured');
  const faster: Spread = ratio(vmauth.elapsed, promgate.elapsed);
  return {
    title: `${SCREENS} identical requests at once, ${what}`,
    table: [
      ['', 'requests to the server', 'ms until all are answered, median', '× faster than vmauth'],
      ...all.map(({ name, elapsed, queries }) => [
        name,
        show(spread(queries), 0),
        spread(elapsed).median.toFixed(0),
        show(ratio(vmauth.elapsed, elapsed), 1),
      ]),
    ],
    rounds: Object.fromEntries(
      all.flatMap(({ name, elapsed, queries }) => [
        [`${name}: milliseconds`, elapsed] as const,
        [`${name}: requests to the server`, queries] as const,
      ]),
    ),
    ratios: { 'Promgate: times faster than vmauth': faster },
    goals: [{ what: 'requests to the server', found: spread(promgate.queries), atMost: 1 }],
    notes: [`Promgate said: ${tally(promgate.cache)}`],
  };
}
