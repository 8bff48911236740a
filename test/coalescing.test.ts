import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Call, type CrowdRig, startCrowdRig } from './support/crowd-rig.ts';
import { holdAnswers, holdMidBody } from './support/hold.ts';
import { json } from './support/made-up.ts';
import type { RawResult } from './support/raw.ts';
import { textOf } from './support/raw-client.ts';
import { answers, stalls } from './support/strict-upstream.ts';

/**
 * Asking once: identical questions in flight share one request to the server. Nothing is kept here (`cache.memory: 0`), and the
 * server numbers its answers: two that are equal are one.
 */
let rig: CrowdRig;

beforeAll(async () => {
  rig = await startCrowdRig({ cache: { memory: 0, metadataTtl: 0 }, limits: { timeout: 30_000 } });
});
afterAll(() => rig?.close());
beforeEach(() => rig.upstream.play(rig.numbered));

const hundred = (...call: Call): Call[] => Array<Call>(100).fill(call);
const cacheOf = ({ headers }: RawResult) => headers.get('x-promgate-cache')?.[0];
const bodies = (answers: readonly RawResult[]): string[] => [...new Set(answers.map((answer) => textOf(answer)))];
const past = 'start=1748764800&end=1748768400&step=60';

/** Every client has the one whole answer, and all but the first are told that they share it. */
function expectShared(answers: readonly RawResult[], status = 200): void {
  expect(answers.filter((answer) => !answer.complete || answer.status !== status)).toEqual([]);
  expect(bodies(answers)).toHaveLength(1);
  expect(answers.filter((answer) => cacheOf(answer) !== 'coalesced')).toHaveLength(1);
}

describe('a hundred identical questions are one to the server, whose answer all get', () => {
  it.each([
    ['query', '/api/v1/query?query=up'],
    ['query at a time', '/api/v1/query?query=up&time=1748764800'],
    ['query_range', `/api/v1/query_range?query=up&${past}`],
    ['query_exemplars', `/api/v1/query_exemplars?query=up&start=1748764800&end=1748768400`],
    ['series', '/api/v1/series?match[]=up'],
    ['labels', '/api/v1/labels'],
    ['label values', '/api/v1/label/job/values'],
    ['metadata', '/api/v1/metadata'],
    ['rules', '/api/v1/rules'],
    ['alerts', '/api/v1/alerts'],
    ['format_query', '/api/v1/format_query?query=up'],
    ['buildinfo', '/api/v1/status/buildinfo'],
    ['targets', '/api/v1/targets'],
    ['tsdb', '/api/v1/status/tsdb'],
  ])('%s', async (_, path) => {
    const { answers, asked } = await rig.atOnce(hundred(path));
    expect(asked).toHaveLength(1);
    expectShared(answers);
    // What is asked later is asked anew.
    expect(await rig.during(() => rig.ask(path))).toHaveLength(1);
  });

  it('parse_query, which this server does not have: 404 for all', async () => {
    const { answers, asked } = await rig.atOnce(hundred('/api/v1/parse_query?query=up'));
    expect(asked).toHaveLength(1);
    expectShared(answers, 404);
  });

  it.each([
    ['query', '/api/v1/query?query=up'],
    ['series', '/api/v1/series?match[]=up'],
    ['metadata', '/api/v1/metadata'],
    ['rules', '/api/v1/rules'],
    ['alerts', '/api/v1/alerts'],
  ])('%s where the environment is confined: as much as one of them', async (_, path) => {
    const call: Call = [path, { environment: 'confined/a' }];
    // The server is known, and the query verified, from here on.
    await rig.ask(...call);
    const alone = await rig.during(() => rig.ask(...call));
    const { answers, asked } = await rig.atOnce(hundred(...call));
    // What is asked together comes in any order.
    const paths = (all: typeof asked) => all.map(({ path }) => path).toSorted();
    expect(paths(asked)).toEqual(paths(alone));
    expectShared(answers);
  });

  it('and the answers count as what they are in the metrics', async () => {
    const value = async () => {
      const text = await (await fetch(`${rig.promgate.opsUrl}/metrics`)).text();
      return Number(/^promgate_cache_requests_total\{result="coalesced"\} (\d+)$/m.exec(text)?.[1] ?? 0);
    };
    const before = await value();
    await rig.atOnce(hundred('/api/v1/query?query=up'));
    expect((await value()) - before).toBe(99);
  });
});

describe('who shares', () => {
  const path = `/api/v1/query_range?query=up&${past}`;

  it('all tokens of an endpoint, and all environments that are one and the same to the server', async () => {
    const [one, two] = await Promise.all([
      rig.promgate.token('acme/shop:production'),
      rig.promgate.token('acme/shop:production'),
    ]);
    const { answers, asked } = await rig.atOnce([
      [path],
      [path, { token: one }],
      [path, { token: two }],
      [path, { environment: 'staging' }],
    ]);
    expect(asked).toHaveLength(1);
    expectShared(answers);
  });

  it('GET and POST, and every way to write the same question', async () => {
    const headers = ['Content-Type: application/x-www-form-urlencoded'];
    const { answers, asked } = await rig.atOnce([
      [path],
      ['/api/v1/query_range', { method: 'POST', headers, body: `query=up&${past}` }],
      ['/api/v1/query_range', { method: 'POST', headers, body: `step=60&unknown=1&end=1748768400&query=%75p&start=1748764800` }],
      [`${path}&limit=`],
    ]);
    expect(asked).toHaveLength(1);
    expectShared(answers);
  });

  it('environments with the same scope, and none with another one', async () => {
    const at = (environment: string): Call => ['/api/v1/query?query=up', { environment }];
    for (const name of ['confined/a', 'confined/b', 'confined/a-too']) await rig.ask(...at(name));
    const { answers, asked } = await rig.atOnce([at('confined/a'), at('confined/b'), at('confined/a-too'), at('production')]);
    expect(asked.map(({ params }) => params.get('query')).toSorted()).toEqual(['up', 'up{namespace="a"}', 'up{namespace="b"}']);
    const [a, b, aToo, open] = answers.map((answer) => textOf(answer));
    expect(aToo).toBe(a);
    expect(b).toContain('namespace=\\"b\\"');
    expect(open).not.toContain('namespace');
  });

  it('nobody who asks with other headers', async () => {
    const at = (environment: string): Call => [path, { environment }];
    const before = rig.upstream.requests.length;
    const { asked } = await rig.atOnce([at('tenant/a'), at('tenant/b'), at('tenant/a')]);
    expect(asked).toHaveLength(2);
    const sent = rig.upstream.requests.slice(before).map((request) => request.header('x-scope-orgid'));
    expect(new Set(sent).size).toBe(2);
  });

  it('nobody who asks another server, even at the same URL', async () => {
    const { answers, asked } = await rig.atOnce([[path], [path, { environment: 'other' }]]);
    expect(asked).toHaveLength(2);
    expect(bodies(answers)).toHaveLength(2);
  });

  it.each([
    ['query', 'query=down'],
    ['start', 'start=1748764860'],
    ['end', 'end=1748768460'],
    ['step', 'step=30'],
    ['limit', 'limit=5'],
    ['timeout', 'timeout=4s'],
    ['lookback_delta', 'lookback_delta=1m'],
    ['stats', 'stats=all'],
  ])('nobody who asks with another %s', async (name, other) => {
    const params = `query=up&${past}`.split('&').filter((pair) => !pair.startsWith(`${name}=`));
    const changed = `/api/v1/query_range?${[...params, other].join('&')}`;
    const { answers, asked } = await rig.atOnce([[path], [changed], [changed], [path]]);
    expect(asked).toHaveLength(2);
    expect(bodies(answers)).toHaveLength(2);
  });

  it.each([
    ['time of a query', '/api/v1/query?query=up&time=1748764800', '/api/v1/query?query=up&time=1748764801'],
    ['time or none', '/api/v1/query?query=up&time=1748764800', '/api/v1/query?query=up'],
    ['match[]', '/api/v1/series?match[]=up', '/api/v1/series?match[]=up&match[]=down'],
    ['label', '/api/v1/label/a/values', '/api/v1/label/b/values'],
    ['endpoint', '/api/v1/labels', '/api/v1/label/a/values'],
    ['metadata limit', '/api/v1/metadata', '/api/v1/metadata?limit=1'],
  ])('nobody who asks for another %s', async (_, one, two) => {
    const { answers, asked } = await rig.atOnce([[one], [two]]);
    expect(asked).toHaveLength(2);
    expect(bodies(answers)).toHaveLength(2);
  });

  it('gzip and identity clients each get what they accept', async () => {
    const gzip = { headers: ['Accept-Encoding: gzip'] };
    const { answers, asked } = await rig.atOnce([[path], [path, gzip], [path], [path, gzip]]);
    expect(asked.length).toBeLessThanOrEqual(2);
    expect(answers[0]?.headers.has('content-encoding')).toBe(false);
    expect(answers[2]?.headers.has('content-encoding')).toBe(false);
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 200, complete: true });
      expect(JSON.parse(textOf(answer)).data.result).toHaveLength(3);
    }
  });

  it('nobody without access, whatever is in flight', async () => {
    const foreign = await rig.promgate.token('acme/shop:staging');
    const hold = holdAnswers(rig.numbered);
    const before = rig.upstream.requests.length;
    rig.upstream.play(hold.script);
    const client = await rig.open(path);
    await rig.upstream.request(before);
    // Answered while the other one still waits.
    expect((await rig.ask(path, { token: null })).status).toBe(401);
    expect((await rig.ask(path, { token: foreign })).status).toBe(404);
    hold.open();
    expect((await client.answer()).status).toBe(200);
    expect(rig.upstream.requests.length).toBe(before + 1);
  });
});

describe('an error', () => {
  const path = '/api/v1/query?query=up';
  const failing = { 503: 'Service Unavailable', 500: 'Internal Server Error', 422: 'Unprocessable Entity', 400: 'Bad Request' };
  const refusal = '{"status":"error","errorType":"execution","error":"not now"}';

  it.each(Object.entries(failing))('with status %s is shared by those who wait; the next one asks anew', async (status, text) => {
    const { answers: all, asked } = await rig.atOnce(hundred(path), answers(refusal, `${status} ${text}`));
    expect(asked).toHaveLength(1);
    expectShared(all, Number(status));
    expect(bodies(all)).toEqual([refusal]);
    expect((await rig.ask(path)).status).toBe(200);
  });

  it('without an answer too', async () => {
    const { answers: all } = await rig.atOnce(hundred(path), (socket) => void socket.write('garbage\r\n\r\n'));
    expect(all.map(({ status }) => status)).toEqual(Array(100).fill(503));
    for (const body of bodies(all)) expect(JSON.parse(body)).toMatchObject({ status: 'error', errorType: 'unavailable' });
    expect((await rig.ask(path)).status).toBe(200);
  });

  it('and a time-out too', async () => {
    // Long enough for all to join.
    const { upstream, atOnce, ask, close } = await startCrowdRig({ cache: { memory: 0 }, limits: { timeout: 5_000 } });
    const { answers: all, asked } = await atOnce(hundred(path), stalls);
    expect(asked).toHaveLength(1);
    for (const answer of all) expect([answer.status, JSON.parse(textOf(answer)).errorType]).toEqual([503, 'timeout']);
    expect((await ask(path)).status).toBe(200);
    expect(upstream.violations).toEqual([]);
    await close();
  });

  it('in the middle of the answer breaks off all of them, and the next one asks anew', async () => {
    const before = rig.upstream.requests.length;
    let breakOff = (): void => {};
    rig.upstream.play((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: 1000\r\n\r\n{"status":"success"`);
      breakOff = () => socket.resetAndDestroy();
    });
    const clients = await Promise.all(hundred(path).map((call) => rig.open(...call)));
    await rig.upstream.request(before);
    await rig.settled();
    breakOff();
    for (const client of clients) expect((await client.answer()).complete).toBe(false);
    expect(rig.upstream.requests.length).toBe(before + 1);
    rig.upstream.play(rig.numbered);
    expect((await rig.ask(path)).status).toBe(200);
  });
});

describe('who leaves', () => {
  const path = '/api/v1/query?query=up';
  const body = `{"status":"success","data":"${'x'.repeat(200_000)}"}`;

  it.each([
    ['the first', 0],
    ['one of the others', 5],
    ['the last', 9],
  ])('before the answer (%s): the others get it', async (_, who) => {
    const hold = holdAnswers(rig.numbered);
    const before = rig.upstream.requests.length;
    rig.upstream.play(hold.script);
    const first = await rig.open(path);
    await rig.upstream.request(before);
    const clients = [first, ...(await Promise.all(Array.from({ length: 9 }, () => rig.open(path))))];
    await rig.settled();
    const [left] = clients.splice(who, 1);
    left?.connection.reset();
    await rig.settled();
    hold.open();
    const all = await Promise.all(clients.map((client) => client.answer()));
    for (const answer of all) expect(answer).toMatchObject({ status: 200, complete: true });
    expect(bodies(all)).toHaveLength(1);
    expect(rig.upstream.requests.length).toBe(before + 1);
  });

  it.each([
    ['the first', 0],
    ['one of the others', 5],
  ])('in the middle of the answer (%s): the others get all of it', async (_, who) => {
    const hold = holdMidBody(body, 100_000);
    const before = rig.upstream.requests.length;
    rig.upstream.play(hold.script);
    const first = await rig.open(path);
    await first.received(100_000);
    const clients = [first, ...(await Promise.all(Array.from({ length: 9 }, () => rig.open(path))))];
    await rig.settled();
    const [left] = clients.splice(who, 1);
    left?.connection.reset();
    await rig.settled();
    hold.open();
    const all = await Promise.all(clients.map((client) => client.answer()));
    for (const answer of all) expect(answer).toMatchObject({ status: 200, complete: true });
    expect(bodies(all)).toEqual([body]);
    expect(rig.upstream.requests.length).toBe(before + 1);
  });

  it.each([
    ['before the answer', stalls, 0],
    ['in the middle of it', holdMidBody(body, 100_000).script, 100_000],
  ])('%s, one after the other: with the last the server’s request is called off', async (_, script, bytes) => {
    const before = rig.upstream.requests.length;
    rig.upstream.play(script);
    const clients = await Promise.all(Array.from({ length: 10 }, () => rig.open(path)));
    const asked = await rig.upstream.request(before);
    for (const client of clients) await client.received(bytes);
    await rig.settled();
    let gone = false;
    const going = asked.gone.then(() => {
      gone = true;
    });
    for (const client of clients.slice(1)) client.connection.reset();
    await rig.settled();
    expect(gone).toBe(false);
    clients[0]?.connection.reset();
    await going;
    rig.upstream.play(rig.numbered);
    expect(await rig.during(async () => expect((await rig.ask(path)).status).toBe(200))).toHaveLength(1);
  });
});

describe('who joins late', () => {
  const path = '/api/v1/query?query=up';

  it('gets the whole answer, whose first half has already passed', async () => {
    const body = `{"status":"success","data":"${'x'.repeat(200_000)}"}`;
    const hold = holdMidBody(body, 100_000);
    const before = rig.upstream.requests.length;
    rig.upstream.play(hold.script);
    const first = await rig.open(path);
    await first.received(100_000);
    const late = await rig.open(path);
    await late.received(100_000);
    hold.open();
    const all = await Promise.all([first.answer(), late.answer()]);
    expectShared(all);
    expect(bodies(all)).toEqual([body]);
    expect(rig.upstream.requests.length).toBe(before + 1);
  });

  it('asks for itself where too much of it has passed to be held', async () => {
    const body = `{"status":"success","data":"${'x'.repeat(8 * 2 ** 20)}"}`;
    const hold = holdMidBody(body, 4 * 2 ** 20);
    rig.upstream.play(hold.script);
    const first = await rig.open(path);
    await first.received(4 * 2 ** 20);
    rig.upstream.play(rig.numbered);
    const late = await rig.ask(path);
    expect([late.status, cacheOf(late)]).toEqual([200, 'bypass']);
    hold.open();
    expect(textOf(await first.answer()).length).toBe(body.length);
  });

  it('after the last byte: asks anew', async () => {
    const [one, two] = [await rig.ask(path), await rig.ask(path)];
    expect(textOf(one)).not.toBe(textOf(two));
    expect([cacheOf(one), cacheOf(two)]).toEqual(['bypass', 'bypass']);
  });
});

describe('limits of a token', () => {
  it('count for those who share, too', async () => {
    const narrow = await startCrowdRig({ limits: { tokenConcurrency: 3 } });
    const { answers, asked } = await narrow.atOnce(Array<Call>(5).fill(['/api/v1/query?query=up']));
    expect(asked).toHaveLength(1);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 200, 200, 429, 429]);
    await narrow.close();
  });
});

it('every request to the server was valid HTTP', () => {
  expect(rig.upstream.violations).toEqual([]);
});
