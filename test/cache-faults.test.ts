import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { askedOf, honest, json, madeUpText } from './support/made-up.ts';
import { type RawResult, sendRaw } from './support/raw.ts';
import { textOf } from './support/raw-client.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';
import { answers, type Script, type UpstreamRequest } from './support/strict-upstream.ts';
import { broken, odd, refused, type Wrong } from './support/wrong-answers.ts';

/**
 * A server that fails while the cache fills. The client gets the right answer, or sees that it got none; and nothing wrong is ever
 * kept: what is asked afterwards is what a healthy server says.
 */
let rig: StrictRig;

beforeAll(async () => {
  rig = await startStrictRig({
    server: { kind: 'prometheus' },
    settings: { limits: { maxResponse: 2 ** 20 } },
  });
});
afterAll(() => rig?.close());
beforeEach(() => rig.upstream.play(honest()));

/** Long past, so that every point may be kept. */
const base = Date.UTC(2025, 5, 1, 8) / 1000;
const step = 15;
type Points = readonly [first: number, last: number];
const whole: Points = [0, 240];

/** Which points were asked for before, when the server was well. */
const situations: Readonly<Record<string, readonly Points[]>> = {
  'nothing is there yet': [],
  'the end is missing': [[0, 100]],
  'the beginning is missing': [[140, 240]],
  'both ends are missing': [[70, 170]],
  'the middle is missing': [
    [0, 60],
    [180, 240],
  ],
};

let count = 0;
/** A query that was never asked before. */
const newQuery = () => `up_${++count}`;

function paramsOf(query: string, [first, last]: Points): URLSearchParams {
  return new URLSearchParams({ query, start: String(base + first * step), end: String(base + last * step), step: String(step) });
}

const ask = (query: string, points: Points) => rig.send(`/api/v1/query_range?${paramsOf(query, points)}`);
const truth = (query: string, points: Points) => madeUpText({ path: '/api/v1/query_range', params: paramsOf(query, points) });
const cacheOf = ({ headers }: RawResult) => headers.get('x-promgate-cache')?.[0];

async function expectTruth(query: string, points: Points, cache?: string): Promise<void> {
  const answer = await ask(query, points);
  expect(answer.status).toBe(200);
  expect(textOf(answer)).toBe(truth(query, points));
  if (cache !== undefined) expect(cacheOf(answer)).toBe(cache);
}

/** The server is well again: every answer is right, and kept. */
async function expectUnharmed(query: string): Promise<void> {
  rig.upstream.play(honest());
  await expectTruth(query, whole);
  await expectTruth(query, [50, 150], 'hit');
  await expectTruth(query, [20, 260]);
  await expectTruth(query, whole, 'hit');
}

/** Without the rig's check that the answer is whole. */
const askAnyhow = (path: string) => sendRaw(rig.promgate.url, rig.text(path));

/** The server has little time meanwhile: else its silence would last a minute. */
async function impatiently(request: () => Promise<RawResult>): Promise<RawResult> {
  const { reload, settings } = rig.promgate;
  reload({ ...settings, limits: { ...settings.limits, timeout: 400 } });
  try {
    return await request();
  } finally {
    reload(settings);
  }
}
const askFailing = (query: string, points: Points) => askAnyhow(`/api/v1/query_range?${paramsOf(query, points)}`);

const playWrong =
  (wrong: Wrong): Script =>
  (socket, request: UpstreamRequest) =>
    wrong(askedOf(request))(socket, request);

describe.each(Object.entries(situations))('where %s', (_, before) => {
  async function prepared(): Promise<string> {
    const query = newQuery();
    for (const points of before) await expectTruth(query, points, 'miss');
    return query;
  }

  it.each(Object.entries(broken))('%s: an error, and nothing wrong is kept', async (_, wrong) => {
    const query = await prepared();
    rig.upstream.play(playWrong(wrong));
    const answer = await impatiently(() => askFailing(query, whole));
    if (answer.complete) {
      expect([413, 503]).toContain(answer.status);
      expect(JSON.parse(textOf(answer))).toMatchObject({ status: 'error' });
    } else expect(['reset', 'closed']).toContain(answer.ended);
    await expectUnharmed(query);
  });

  it.each(Object.entries(refused))('%s is what the client gets, and nothing is kept of it', async (_, { wrong, status }) => {
    const query = await prepared();
    rig.upstream.play(playWrong(wrong));
    const answer = await ask(query, whole);
    expect([answer.status, textOf(answer)]).toEqual([status, expect.stringContaining('out of order')]);
    await expectUnharmed(query);
  });

  it('a length smaller than the answer: what is behind it is no part of any answer', async () => {
    const query = await prepared();
    rig.upstream.play((socket, request) => {
      const text = madeUpText(askedOf(request));
      socket.write(`HTTP/1.1 200 OK\r\n${json}\r\nContent-Length: ${text.length - 10}\r\n\r\n${text}`);
    });
    const answer = await askFailing(query, whole);
    if (answer.complete && answer.status === 200) expect(textOf(answer)).toBe(truth(query, whole).slice(0, -10));
    await expectUnharmed(query);
  });

  it.each(Object.entries(odd))('%s: at most what the server said to the whole question, and never again', async (_, text) => {
    const query = await prepared();
    rig.upstream.play(playWrong((asked) => answers(text(asked))));
    const answer = await askFailing(query, whole);
    const said = text({ path: '/api/v1/query_range', params: paramsOf(query, whole) });
    if (answer.complete && answer.status === 200) expect(textOf(answer)).toBe(said);
    await expectUnharmed(query);
  });
});

describe('of two gaps', () => {
  const middle: Points = [70, 170];
  /** Wrong for what begins behind the middle. */
  const wrongBehind = (wrong: Wrong): Script => {
    const well = honest();
    return (socket, request) => {
      const asked = askedOf(request);
      const late = Number(asked.params.get('start')) > base + 70 * step;
      return late ? wrong(asked)(socket, request) : well(socket, request);
    };
  };
  const wrongs = { ...broken, '500': () => answers('{"status":"error","error":"no"}', '500 Internal Server Error') };

  it.each(Object.entries(wrongs))('one fails by %s: no answer without it', async (_, wrong) => {
    const query = newQuery();
    await expectTruth(query, middle);
    rig.upstream.play(wrongBehind(wrong));
    const answer = await impatiently(() => askFailing(query, whole));
    if (answer.complete && answer.status === 200) expect(textOf(answer)).toBe(truth(query, whole));
    await expectUnharmed(query);
  });

  it.each(Object.entries(odd))('one is answered with %s: the whole question is asked', async (_, text) => {
    const query = newQuery();
    await expectTruth(query, middle);
    rig.upstream.play(wrongBehind((asked) => answers(text(asked))));
    const answer = await askFailing(query, whole);
    if (answer.complete && answer.status === 200) expect(textOf(answer)).toBe(truth(query, whole));
    await expectUnharmed(query);
  });
});

describe('an answer that is kept as it is', () => {
  const instant = (query: string) => `/api/v1/query?query=${query}&time=${base}`;
  const right = (query: string) =>
    madeUpText({ path: '/api/v1/query', params: new URLSearchParams({ query, time: String(base) }) });

  async function expectWell(query: string): Promise<void> {
    rig.upstream.play(honest());
    for (const cache of ['miss', 'hit']) {
      const answer = await rig.send(instant(query));
      expect([answer.status, textOf(answer), cacheOf(answer)]).toEqual([200, right(query), cache]);
    }
  }

  it.each(Object.entries(broken))('%s: an error, and nothing is kept', async (_, wrong) => {
    const query = newQuery();
    rig.upstream.play(playWrong(wrong));
    const answer = await impatiently(() => askAnyhow(instant(query)));
    expect(answer.complete && answer.status === 200).toBe(false);
    await expectWell(query);
  });

  const { 'the JSON cut off': cut, 'the JSON cut off behind a series': cutBehind, 'warnings behind it': warned } = odd;
  const { 'an error with status 200': refusal, 'a partial answer': partial, 'an empty body': empty, remarks } = odd;
  it.each(Object.entries({ cut, cutBehind, warned, refusal, partial, empty, remarks }))('%s: not kept', async (_, text) => {
    const query = newQuery();
    rig.upstream.play(playWrong((asked) => answers(text?.(asked) ?? '')));
    await rig.send(instant(query));
    await expectWell(query);
  });

  it.each(Object.entries(refused))('%s: not kept', async (_, { wrong, status }) => {
    const query = newQuery();
    rig.upstream.play(playWrong(wrong));
    expect((await rig.send(instant(query))).status).toBe(status);
    await expectWell(query);
  });
});

it('what was asked of the server was valid HTTP each time', () => {
  expect(rig.upstream.violations).toEqual([]);
});
