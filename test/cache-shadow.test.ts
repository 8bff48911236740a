import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CrowdRig, startCrowdRig } from './support/crowd-rig.ts';
import { holdAnswers } from './support/hold.ts';
import { honest, madeUpText } from './support/made-up.ts';
import { textOf } from './support/raw-client.ts';
import { answers, resetsBeforeHeaders, type Script, sendsHtml } from './support/strict-upstream.ts';

/** `cache.shadow: 1`: the server is asked whatever the cache answers, and both are compared. */
let rig: CrowdRig;

beforeAll(async () => {
  rig = await startCrowdRig({ cache: { shadow: 1 }, logLevel: 'fatal' });
});
afterAll(() => rig?.close());
beforeEach(() => rig.upstream.play(honest()));

const base = 1_748_764_800;
type Points = readonly [first: number, last: number];
const whole: Points = [0, 240];
let count = 0;
const newQuery = () => `up_${++count}`;

function paramsOf(query: string, [first, last]: Points): URLSearchParams {
  return new URLSearchParams({ query, start: `${base + first * 15}`, end: `${base + last * 15}`, step: '15' });
}

/** Asks, sees that the answer is that of `edition`, and gives `X-Promgate-Cache`. */
async function look(query: string, points: Points, edition = 0): Promise<string | undefined> {
  const [path, params] = ['/api/v1/query_range', paramsOf(query, points)];
  const answer = await rig.ask(`${path}?${params}`);
  expect([answer.status, textOf(answer)]).toEqual([200, madeUpText({ path, params }, edition)]);
  return answer.headers.get('x-promgate-cache')?.[0];
}

async function lookAt(query: string, edition = 0): Promise<string | undefined> {
  const [path, params] = ['/api/v1/query', new URLSearchParams({ query, time: `${base}` })];
  const answer = await rig.ask(`${path}?${params}`);
  expect([answer.status, textOf(answer)]).toEqual([200, madeUpText({ path, params }, edition)]);
  return answer.headers.get('x-promgate-cache')?.[0];
}

interface Checks {
  match: number;
  mismatch: number;
  skipped: number;
}

async function checks(): Promise<Checks> {
  const text = await (await fetch(`${rig.promgate.opsUrl}/metrics`)).text();
  const of = (result: string) =>
    Number(new RegExp(`^promgate_cache_shadow_checks_total\\{result="${result}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return { match: of('match'), mismatch: of('mismatch'), skipped: of('skipped') };
}

/** Does `work`, and waits until so many comparisons more have come to such an end. */
async function comparing(expected: Partial<Checks>, work: () => Promise<unknown>): Promise<void> {
  const before = await checks();
  await work();
  const after = { match: 0, mismatch: 0, skipped: 0, ...expected };
  for (const name of ['match', 'mismatch', 'skipped'] as const) after[name] += before[name];
  await expect.poll(checks, { timeout: 20_000 }).toEqual(after);
}

describe('a hit', () => {
  it('that the server confirms is counted, and stays', async () => {
    const query = newQuery();
    await comparing({}, async () => expect(await look(query, whole)).toBe('miss'));
    await comparing({ match: 1 }, async () => expect(await look(query, whole)).toBe('hit'));
    await comparing({ match: 1 }, async () => expect(await look(query, [30, 90])).toBe('hit'));
  });

  it('is given at once, not when the server has confirmed it', async () => {
    const query = newQuery();
    await look(query, whole);
    const hold = holdAnswers(honest());
    rig.upstream.play(hold.script);
    await comparing({ match: 1 }, async () => {
      expect(await look(query, whole)).toBe('hit');
      hold.open();
    });
  });

  it('that the server contradicts is counted, and the next answer is the server’s', async () => {
    const query = newQuery();
    await look(query, whole);
    rig.upstream.play(honest({ edition: () => 1 }));
    await comparing({ mismatch: 1 }, async () => expect(await look(query, whole)).toBe('hit'));
    await comparing({ match: 1 }, async () => expect(await look(query, whole, 1)).toBe('hit'));
  });

  it('that is wrong in a part casts doubt on all that is kept of the query', async () => {
    const query = newQuery();
    await look(query, whole);
    rig.upstream.play(honest({ edition: () => 1 }));
    await comparing({ mismatch: 1 }, async () => expect(await look(query, [100, 140])).toBe('hit'));
    // What the server has just said is kept and compared; the rest is asked for.
    await comparing({ match: 1 }, async () => expect(await look(query, whole, 1)).toBe('partial'));
  });

  it('of an instant query is compared, too', async () => {
    const query = newQuery();
    expect(await lookAt(query)).toBe('miss');
    await comparing({ match: 1 }, async () => expect(await lookAt(query)).toBe('hit'));
    rig.upstream.play(honest({ edition: () => 1 }));
    await comparing({ mismatch: 1 }, async () => expect(await lookAt(query)).toBe('hit'));
    expect(await lookAt(query, 1)).toBe('miss');
  });

  it.each([
    ['fails', answers('{"status":"error","errorType":"internal","error":"no"}', '500 Internal Server Error')],
    ['breaks off', resetsBeforeHeaders],
    ['talks of something else', sendsHtml],
    ['answers with warnings', answers('{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["partly"]}')],
  ] satisfies [string, Script][])('is not doubted where the server %s', async (_, script) => {
    const query = newQuery();
    await look(query, whole);
    await lookAt(query);
    rig.upstream.play(script);
    await comparing({ skipped: 1 }, async () => expect(await look(query, whole)).toBe('hit'));
    await comparing({ skipped: 1 }, async () => expect(await lookAt(query)).toBe('hit'));
    rig.upstream.play(honest());
    await comparing({ match: 2 }, async () => {
      expect(await look(query, whole)).toBe('hit');
      expect(await lookAt(query)).toBe('hit');
    });
  });
});

describe('an answer that is partly from the cache', () => {
  it('is compared in that part; where it is wrong, the next one is right', async () => {
    const query = newQuery();
    await look(query, [0, 100]);
    await comparing({ match: 1 }, async () => expect(await look(query, [0, 110])).toBe('partial'));
    rig.upstream.play(honest({ edition: () => 1 }));
    // What was kept is of before, what was asked for is new: such is a past that changes.
    await comparing({ mismatch: 1 }, () => rig.ask(`/api/v1/query_range?${paramsOf(query, [0, 120])}`));
    await look(query, [0, 120], 1);
  });
});
