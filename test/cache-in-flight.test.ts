import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ask } from './support/ask.ts';
import { type Call, type CrowdRig, startCrowdRig } from './support/crowd-rig.ts';
import { holdAnswers, holdMidBody } from './support/hold.ts';
import { type Asked, askedOf, honest, madeUpSeries, madeUpText } from './support/made-up.ts';
import type { RawResult } from './support/raw.ts';
import { textOf } from './support/raw-client.ts';
import { answers, resetsBeforeHeaders } from './support/strict-upstream.ts';

/** Many who ask at the same time while the cache fills: what it lacks is asked for once, and what goes wrong stays theirs alone. */
let rig: CrowdRig;

beforeAll(async () => {
  rig = await startCrowdRig();
});
afterAll(() => rig?.close());
beforeEach(() => rig.upstream.play(honest()));
afterEach(() => vi.useRealTimers());

const base = 1_748_764_800;
type Points = readonly [first: number, last: number];
const gzip = { headers: ['Accept-Encoding: gzip'] };
let count = 0;
const newQuery = () => `up_${++count}`;

function paramsOf(query: string, [first, last]: Points): URLSearchParams {
  return new URLSearchParams({ query, start: `${base + first * 15}`, end: `${base + last * 15}`, step: '15' });
}

const range = (query: string, points: Points): string => `/api/v1/query_range?${paramsOf(query, points)}`;
const truth = (query: string, points: Points) => madeUpText({ path: '/api/v1/query_range', params: paramsOf(query, points) });
const cacheOf = ({ headers }: RawResult) => headers.get('x-promgate-cache')?.[0] ?? 'none';
/** How many answers came from where. */
function counted(all: readonly RawResult[]): Record<string, number> {
  const results: Record<string, number> = {};
  for (const answer of all) results[cacheOf(answer)] = (results[cacheOf(answer)] ?? 0) + 1;
  return results;
}

/** The points that a request asks for. */
function pointsOf({ params }: Asked): Points {
  const [first = 0, last = 0] = ['start', 'end'].map((name) => (Number(params.get(name)) - base) / 15);
  return [first, last];
}

function expectTruth(all: readonly RawResult[], query: string, points: Points): void {
  expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]));
  expect(new Set(all.map((answer) => textOf(answer)))).toEqual(new Set([truth(query, points)]));
}

describe('a hundred who ask for the same', () => {
  it('when nothing is there: one question, and then none', async () => {
    const query = newQuery();
    const calls = Array<Call>(100).fill([range(query, [0, 240])]);
    const cold = await rig.atOnce(calls, honest());
    expect(cold.asked).toHaveLength(1);
    expectTruth(cold.answers, query, [0, 240]);
    expect(counted(cold.answers)).toEqual({ miss: 1, coalesced: 99 });
    const asked = await rig.during(async () => {
      const warm = await Promise.all(calls.map((call) => rig.ask(...call)));
      expectTruth(warm, query, [0, 240]);
      expect(counted(warm)).toEqual({ hit: 100 });
    });
    expect(asked).toEqual([]);
  });

  it('when a part is there: one question for what is not', async () => {
    const query = newQuery();
    await rig.ask(range(query, [0, 200]));
    const { answers: all, asked } = await rig.atOnce(Array<Call>(100).fill([range(query, [0, 240])]), honest());
    expect(asked.map(pointsOf)).toEqual([[201, 240]]);
    expectTruth(all, query, [0, 240]);
    expect(counted(all)).toEqual({ partial: 1, coalesced: 99 });
  });

  it('gzip-encoded or not: still one question', async () => {
    const query = newQuery();
    const path = range(query, [0, 240]);
    const calls: Call[] = [[path], [path, gzip], [path], [path, gzip]];
    const { answers: all, asked } = await rig.atOnce(calls, honest({ gzip: true }));
    expect(asked).toHaveLength(1);
    const warm = await Promise.all(calls.map((call) => rig.ask(...call)));
    for (const each of [all, warm]) {
      expectTruth(each, query, [0, 240]);
      expect(each.map(({ headers }) => headers.get('content-encoding')?.[0])).toEqual([undefined, 'gzip', undefined, 'gzip']);
    }
  });

  it('of series and names: one question, and then none', async () => {
    for (const path of [
      '/api/v1/series?match[]=in_flight',
      '/api/v1/labels?match[]=in_flight',
      '/api/v1/label/x/values',
      '/api/v1/metadata',
    ]) {
      const { answers: all, asked } = await rig.atOnce(Array<Call>(100).fill([path]));
      expect(asked).toHaveLength(1);
      expect(counted(all)).toEqual({ miss: 1, coalesced: 99 });
      expect(await rig.during(async () => expect(cacheOf(await rig.ask(path))).toBe('hit'))).toEqual([]);
    }
  });
});

it('an answer is kept, and counts as given, whose client has it all and leaves before its end is known', async () => {
  // After this much others have their turn, so the end of an answer that has just as much comes later than its last byte.
  const turn = 512 * 1024;
  const row = JSON.stringify(Array.from({ length: 241 }, (_, index) => [base + 15 * index, '123456.789012345678']));
  const series = (name: string) => `{"metric":{"n":"${name}"},"values":${row}}`;
  const bodyOf = (last: string) => {
    const all = [...Array.from({ length: 50 }, (_, index) => series(`${index + 10}`)), series(last)];
    return `{"status":"success","data":{"resultType":"matrix","result":[${all.join(',')}]}}`;
  };
  const body = bodyOf('x'.repeat(turn - bodyOf('').length));
  expect(body).toHaveLength(turn);
  rig.upstream.play(answers(body));
  const path = range(newQuery(), [0, 240]);
  const left = async () =>
    /^promgate_http_requests_total\{.*code="499".*$/m.exec((await ask(`${rig.promgate.opsUrl}/metrics`)).body)?.[0];
  const before = await left();
  const asked = await rig.during(async () => {
    for (const from of ['miss', 'hit', 'hit']) {
      const answer = await rig.ask(path);
      expect([cacheOf(answer), answer.body.length]).toEqual([from, turn]);
    }
  });
  expect(asked).toHaveLength(1);
  expect(await left()).toBe(before);
});

it('windows that overlap, asked for at once, are all right, and together they are there afterwards', async () => {
  const query = newQuery();
  const windows: Points[] = [
    [0, 100],
    [50, 150],
    [100, 200],
    [20, 180],
    [150, 240],
  ];
  const { answers: all, asked } = await rig.atOnce(
    windows.map((points): Call => [range(query, points)]),
    honest(),
  );
  expect(asked.length).toBeLessThanOrEqual(windows.length);
  for (const [index, points] of windows.entries()) expectTruth(all.slice(index, index + 1), query, points);
  const answer = await rig.ask(range(query, [0, 240]));
  expectTruth([answer], query, [0, 240]);
  expect(cacheOf(answer)).toBe('hit');
});

it('what lies close around a small part that is there is asked for as a whole, once', async () => {
  const query = newQuery();
  await rig.ask(range(query, [100, 110]));
  const { answers: all, asked } = await rig.atOnce(Array<Call>(20).fill([range(query, [95, 115])]), honest());
  expect(asked.map(pointsOf)).toEqual([[95, 115]]);
  expectTruth(all, query, [95, 115]);
});

it('what was asked while it was recent is not kept because somebody joins when it is not any more', async () => {
  const recentWindow = 3_000;
  const other = await startCrowdRig({ cache: { recentWindow } });
  // Time moves when the test says so; timers and the network are real.
  vi.useFakeTimers({ toFake: ['Date'] });
  const last = Math.floor(Date.now() / 1000);
  const path = (start: number) => `/api/v1/query_range?query=up&start=${start}&end=${last}&step=1`;
  await other.ask(`/api/v1/query_range?query=up&start=${last - 60}&end=${last - 11}&step=1`);
  // The server has made its answer; it takes its time to come.
  const params = new URLSearchParams({ query: 'up', start: `${last - 10}`, end: `${last}`, step: '1' });
  const hold = holdMidBody(madeUpText({ path: '/api/v1/query_range', params }), 10);
  const before = other.upstream.requests.length;
  other.upstream.play(hold.script);
  const first = await other.open(path(last - 10));
  await other.upstream.request(before);
  vi.setSystemTime(last * 1000 + recentWindow + 500);
  const second = await other.open(path(last - 60));
  await other.settled();
  hold.open();
  for (const client of [first, second]) expect((await client.answer()).complete).toBe(true);
  expect(other.upstream.requests.length).toBe(before + 1);
  // What was recent is another one by now.
  other.upstream.play(honest({ edition: () => 1 }));
  const answer = textOf(await other.ask(path(last - 60)));
  const { values } = madeUpSeries(new URLSearchParams({ query: 'up', start: `${last}`, end: `${last}`, step: '1' }), 1)[0] ?? {};
  expect(answer).toContain(`${values?.[0]}]`);
  await other.close();
});

describe('what goes wrong', () => {
  it('with the question for a gap is an error for all who wait for it, and for nobody after', async () => {
    const query = newQuery();
    await rig.ask(range(query, [0, 200]));
    const { answers: all } = await rig.atOnce(Array<Call>(100).fill([range(query, [0, 240])]), resetsBeforeHeaders);
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([503]));
    rig.upstream.play(honest());
    const answer = await rig.ask(range(query, [0, 240]));
    expectTruth([answer], query, [0, 240]);
    expect(cacheOf(answer)).toBe('partial');
  });

  it('warnings reach all who wait, and nobody after', async () => {
    const query = newQuery();
    await rig.ask(range(query, [0, 200]));
    const warned = truth(query, [0, 240]).replace(/}$/, ',"warnings":["half of the stores are away"]}');
    const { answers: all } = await rig.atOnce(Array<Call>(20).fill([range(query, [0, 240])]), answers(warned));
    expect(new Set(all.map((answer) => textOf(answer)))).toEqual(new Set([warned]));
    rig.upstream.play(honest());
    expectTruth([await rig.ask(range(query, [0, 240]))], query, [0, 240]);
  });

  it('the one who asked leaves: what comes is still kept for the others', async () => {
    const query = newQuery();
    await rig.ask(range(query, [0, 200]));
    const hold = holdAnswers(honest());
    const before = rig.upstream.requests.length;
    rig.upstream.play(hold.script);
    const first = await rig.open(range(query, [0, 240]));
    await rig.upstream.request(before);
    const second = await rig.open(range(query, [0, 240]));
    await rig.settled();
    first.connection.reset();
    await rig.settled();
    hold.open();
    expectTruth([await second.answer()], query, [0, 240]);
    expect(cacheOf(await rig.ask(range(query, [0, 240])))).toBe('hit');
    expect(rig.upstream.requests.length).toBe(before + 1);
  });

  it('all leave: the questions for the gaps are called off', async () => {
    const query = newQuery();
    await rig.ask(range(query, [100, 140]));
    const before = rig.upstream.requests.length;
    rig.upstream.play(() => {});
    const clients = await Promise.all([rig.open(range(query, [0, 240])), rig.open(range(query, [0, 240]))]);
    const gaps = await Promise.all([rig.upstream.request(before), rig.upstream.request(before + 1)]);
    // Each came over a connection of its own.
    expect(gaps.map((request) => pointsOf(askedOf(request))).sort(([a], [b]) => a - b)).toEqual([
      [0, 99],
      [141, 240],
    ]);
    for (const client of clients) client.connection.reset();
    await Promise.all(gaps.map(({ gone }) => gone));
    rig.upstream.play(honest());
    expectTruth([await rig.ask(range(query, [0, 240]))], query, [0, 240]);
  });
});

it('after a change of the server’s record nobody shares, or is given later, what was asked before it', async () => {
  const other = await startCrowdRig();
  const query = newQuery();
  const call: Call = [range(query, [0, 240])];
  const hold = holdAnswers(honest({ edition: () => 1 }));
  other.upstream.play(hold.script);
  const first = await other.open(...call);
  await other.upstream.request(0);
  const servers = [{ name: 'main', url: other.upstream.url, kind: 'prometheus', headers: { 'X-Changed': 'yes' } }];
  await other.promgate.apply(
    JSON.stringify({ projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers }] }),
  );
  other.upstream.play(honest());
  // Changes arrive in order: where a later token is known, this one is.
  await other.promgate.token('acme/shop');
  expectTruth([await other.ask(...call)], query, [0, 240]);
  expect(other.upstream.requests.length).toBe(2);
  hold.open();
  expect(textOf(await first.answer())).not.toBe(truth(query, [0, 240]));
  for (let turn = 0; turn < 2; turn++) expectTruth([await other.ask(...call)], query, [0, 240]);
  await other.close();
});
