import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { newTokenText } from '../src/access/token-text.ts';
import { ask } from './support/ask.ts';
import { basicAuth } from './support/promgate.ts';
import type { RawResult } from './support/raw.ts';
import { type StrictRig, type StrictRigOptions, startStrictRig } from './support/strict-rig.ts';
import { answers, answerText, type Script } from './support/strict-upstream.ts';

const opened: StrictRig[] = [];

async function start(options: StrictRigOptions): Promise<StrictRig> {
  const rig = await startStrictRig(options);
  opened.push(rig);
  return rig;
}

async function closeAll(): Promise<void> {
  for (const rig of opened.splice(0)) await rig.close();
}

/** The text of a refusal in Prometheus' envelope. */
function refusal(answer: RawResult, status: number, errorType: string): string {
  const { error, ...rest } = JSON.parse(answer.body.toString());
  expect({ code: answer.status, ...rest }).toEqual({ code: status, status: 'error', errorType });
  return error;
}

/** Answered 429, with a time to wait that is a whole number of seconds; its text. */
function tooMany(answer: RawResult): { error: string; after: number } {
  const error = refusal(answer, 429, 'too_many_requests');
  const [after = '', ...more] = answer.headers.get('retry-after') ?? [];
  expect(after).toMatch(/^[1-9]\d*$/);
  expect(more).toEqual([]);
  return { error, after: Number(after) };
}

const query = (expr: string, more: Record<string, string> = {}) =>
  `/api/v1/query?${new URLSearchParams({ query: expr, ...more })}`;
const range = (expr: string, start: number, end: number, step = 60) =>
  `/api/v1/query_range?${new URLSearchParams({ query: expr, start: `${start}`, end: `${end}`, step: `${step}` })}`;

describe('limits of what is asked', () => {
  let rig: StrictRig;
  beforeAll(async () => {
    rig = await start({ settings: { limits: { maxRange: 86_400_000, maxDepth: 4 } } });
    return closeAll;
  });

  /** Refused with 422, and the server not asked. */
  async function refused(path: string): Promise<string> {
    const before = rig.upstream.requests.length;
    const error = refusal(await rig.send(path), 422, 'execution');
    expect(rig.upstream.requests.length).toBe(before);
    return error;
  }

  it('max_depth: the limit, its value and what was asked', async () => {
    expect(await refused(query('sum(abs(abs(abs(up))))'))).toBe(
      'limit max_depth exceeded: the query is nested 5 deep, at most 4 is allowed',
    );
    expect(await refused(range('((((up))))', 0, 60))).toContain('nested 5 deep');
    await rig.reaching(() => rig.send(query('sum(abs(abs(up)))')));
  });

  it.each([
    ['a range', query('rate(up[25h])'), '1d1h'],
    ['an offset', query('up offset 2d'), '2d'],
    ['a negative offset', query('up offset -2d'), '2d'],
    ['a range and an offset', query('rate(up[12h] offset 13h)'), '1d1h'],
    ['a subquery', query('max_over_time(up[2d:1h])'), '2d'],
    ['subqueries and ranges inside one another', query('max_over_time(rate(up[12h])[1d:1h])'), '1d12h'],
    ['an @ far away', query('up @ 1000', { time: '180000' }), '2d1h43m20s'],
    ['an @ in the future', query('up @ 180000', { time: '7200' }), '2d'],
    ['the range of the request and what the query adds', range('rate(up[2h])', 0, 82_800), '1d1h'],
    ['the parameter of an aggregation', query('quantile(scalar(up offset 2d), up)'), '2d'],
    ['a variable', query('rate(up[{{w}}])', { 'variables[w]': '2d' }), '2d'],
    ['a lookback_delta', query('up', { lookback_delta: '2d' }), '2d'],
  ])('max_range counts %s', async (_name, path, spans) => {
    const error = await refused(path);
    expect(error).toContain('limit max_range exceeded');
    expect(error).toContain(`spans ${spans}, at most 1d is allowed`);
  });

  it('max_range of POST requests too', async () => {
    const before = rig.upstream.requests.length;
    const answer = await rig.post('/api/v1/query', { query: 'up offset 2d' });
    expect(refusal(answer, 422, 'execution')).toContain('max_range');
    expect(rig.upstream.requests.length).toBe(before);
  });

  it.each([
    ['query_range', range('1', 0, 86_401, 3600)],
    ['query_exemplars', '/api/v1/query_exemplars?query=up&start=0&end=86401'],
    ['series', '/api/v1/series?match[]=up&start=0&end=86401'],
    ['labels', '/api/v1/labels?start=0&end=86401'],
    ['label_values', '/api/v1/label/job/values?start=0&end=86401'],
    ['series, where parts of seconds count', '/api/v1/series?match[]=up&start=0.5&end=86401.5'],
  ])('max_range of start and end of %s', async (_name, path) => {
    expect(await refused(path)).toContain('spans 1d1s, at most 1d is allowed');
  });

  it('max_range of a start without end, up to now', async () => {
    const ago = Math.floor(Date.now() / 1000) - 86_400 * 2;
    expect(await refused(`/api/v1/labels?start=${ago}`)).toMatch(/spans 2d(\d+s)?(\d+ms)?, at most 1d is allowed/);
    await rig.reaching(() => rig.send(`/api/v1/labels?start=${ago + 86_400 * 1.5}`));
  });

  it.each([
    ['a day', range('up', 1000, 87_400, 3600)],
    ['a day with decimals', range('up', 1_700_000_000.123, 1_700_086_400.123, 3600)],
    ['a day back', query('rate(up[1d])')],
    ['half a day of half-day ranges', range('rate(up[12h])', 0, 43_200)],
    ['the time of the request, long ago', query('up', { time: '0' })],
    ['labels without times', '/api/v1/labels'],
  ])('max_range lets %s through', async (_name, path) => {
    await rig.reaching(() => rig.send(path));
  });

  it('what Promgate cannot read is held to start, end and step, and the server has its say', async () => {
    const metricsQl = 'WITH (x = up[2d]) rate(x)';
    expect(await refused(range(metricsQl, 0, 172_800, 3600))).toContain('spans 2d');
    await rig.reaching(() => rig.send(range(metricsQl, 0, 3600)));
    await rig.reaching(() => rig.send(query(metricsQl)));
  });

  it('a server’s own limits replace those of the instance', async () => {
    const own = await start({ settings: { limits: { maxDepth: 4 } }, server: { limits: { max_depth: 2, max_range: '1h' } } });
    expect(refusal(await own.send(query('sum(abs(up))')), 422, 'execution')).toContain('at most 2 is allowed');
    expect(refusal(await own.send(query('up offset 2h')), 422, 'execution')).toContain('spans 2h, at most 1h is allowed');
    await own.reaching(() => own.send(query('abs(up)')));
  });
});

/** Answers nothing until it is told to; then everything. */
function held(): { script: Script; open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const script: Script = async (socket) => {
    await opened;
    socket.write(answerText('200 OK', ['Content-Type: application/json'], '{"status":"success","data":[]}'));
  };
  return { script, open };
}

/** A question that nobody else asks: those who ask the same wait together for one answer. */
let asked = 0;
const another = (): string => query(`up + ${++asked}`);

/** Sends a question and waits until the server has it. */
async function running(
  rig: StrictRig,
  send: () => Promise<RawResult> = () => rig.send(another()),
): Promise<Promise<RawResult>[]> {
  const next = rig.upstream.requests.length;
  const answer = send();
  await rig.upstream.request(next);
  return [answer];
}

describe('how many run at once', () => {
  afterEach(closeAll);

  it('per token: one over is refused, another token is not, and the place is free when an answer is over', async () => {
    const rig = await start({ settings: { limits: { tokenConcurrency: 2 } } });
    const other = await rig.promgate.token('acme/shop');
    const { script, open } = held();
    rig.upstream.play(script);
    const answers = [...(await running(rig)), ...(await running(rig))];
    const before = rig.upstream.requests.length;
    const { error } = tooMany(await rig.send(query('up')));
    expect(error).toContain('limit token_concurrency exceeded: 2 requests of this token are running, at most 2');
    expect(rig.upstream.requests.length).toBe(before);
    answers.push(...(await running(rig, () => rig.send(another(), { authorization: other.basic }))));
    open();
    for (const answer of answers) expect((await answer).status).toBe(200);
    await rig.reaching(() => rig.send(query('up')));
  });

  it('per environment: whoever asks; other environments and the project have their own', async () => {
    const rig = await start({
      settings: { limits: { environmentConcurrency: 1 } },
      environments: [{ name: 'production' }, { name: 'staging' }],
    });
    const other = await rig.promgate.token('acme/shop:production');
    const { script, open } = held();
    rig.upstream.play(script);
    const answers = await running(rig);
    const refused = tooMany(await rig.send(query('up'), { authorization: other.basic }));
    expect(refused.error).toContain('limit environment_concurrency exceeded');
    answers.push(...(await running(rig, () => rig.send(another(), { environment: 'staging' }))));
    open();
    for (const answer of answers) expect((await answer).status).toBe(200);
  });

  it('per server: all environments and tokens together, and other servers not', async () => {
    const rig = await start({
      server: { limits: { concurrency: 2 } },
      environments: [{ name: 'production' }, { name: 'staging' }],
    });
    const { script, open } = held();
    rig.upstream.play(script);
    const answers = [...(await running(rig)), ...(await running(rig, () => rig.send(another(), { environment: 'staging' })))];
    const { error } = tooMany(await rig.send(query('up'), { environment: 'staging' }));
    expect(error).toContain('limit concurrency exceeded: 2 requests of this server are running, at most 2');
    open();
    for (const answer of answers) expect((await answer).status).toBe(200);
  });

  it.each<[string, (rig: StrictRig) => Promise<unknown>]>([
    ['an answer', (rig) => rig.send(query('up'))],
    ['a POST', (rig) => rig.post('/api/v1/query', { query: 'up' })],
    ['an answer that is filtered', (rig) => rig.send('/api/v1/status/buildinfo')],
    ['an unreadable parameter', (rig) => rig.send(query('up', { time: 'soon' }))],
    ['an unreadable body', (rig) => rig.send('/api/v1/query', { method: 'POST', headers: ['Content-Type: text/x'], body: 'x' })],
    ['a query over a limit', (rig) => rig.send(query('x'.repeat(200_000)))],
    ['a closed endpoint', (rig) => rig.send('/api/v1/admin/tsdb/snapshot')],
    ['a method that is not allowed', (rig) => rig.send(query('up'), { method: 'PUT' })],
    [
      'an error of the server',
      (rig) => {
        rig.upstream.play(answers('{"status":"error","errorType":"bad_data","error":"x"}', '400 Bad Request'));
        return rig.send(query('up'));
      },
    ],
    [
      'a server that hangs up',
      (rig) => {
        rig.upstream.play((socket) => void socket.resetAndDestroy());
        return rig.send(query('up'));
      },
    ],
    [
      'a server that does not answer',
      async (rig) => {
        const { settings } = rig.promgate;
        rig.promgate.reload({ ...settings, limits: { ...settings.limits, timeout: 300 } });
        rig.upstream.play(() => {});
        expect((await rig.send(query('up'))).status).toBe(503);
        rig.promgate.reload(settings);
      },
    ],
  ])('%s keeps no place afterwards', async (_name, request) => {
    const rig = await start({
      settings: { limits: { tokenConcurrency: 1 } },
      server: { limits: { concurrency: 1 } },
    });
    await request(rig);
    rig.upstream.play(answers());
    await rig.reaching(() => rig.send(query('up')));
  });

  it('a client that leaves gives its place back', async () => {
    const rig = await start({ settings: { limits: { tokenConcurrency: 1 } } });
    const { script } = held();
    rig.upstream.play(script);
    const leaving = new AbortController();
    const url = `${rig.promgate.endpoint('acme/shop:production')}${query('up')}`;
    const left = fetch(url, { headers: { authorization: rig.token.basic }, signal: leaving.signal });
    await rig.upstream.request(0);
    tooMany(await rig.send(query('up')));
    leaving.abort();
    await expect(left).rejects.toThrow();
    rig.upstream.play(answers());
    await expect.poll(async () => (await rig.send(query('up'))).status, { timeout: 20_000 }).toBe(200);
  });
});

/** So slow that a second question within a minute is refused on any machine. */
const RARE = 0.01;

describe('how many come in a second', () => {
  afterEach(closeAll);

  it('per token: one over is refused with the time to wait, another token is not', async () => {
    const rig = await start({ settings: { limits: { tokenRate: RARE } } });
    const other = await rig.promgate.token('acme/shop');
    await rig.reaching(() => rig.send(query('up')));
    const { error, after } = tooMany(await rig.send(query('up')));
    expect(error).toContain('limit token_rate exceeded: the requests of this token come faster than 0.01 per second');
    expect(after).toBeGreaterThan(1);
    expect(after).toBeLessThanOrEqual(100);
    await rig.reaching(() => rig.send(query('up'), { authorization: other.basic }));
  });

  it('per environment: whoever asks; other environments have their own', async () => {
    const rig = await start({
      settings: { limits: { environmentRate: RARE } },
      environments: [{ name: 'production' }, { name: 'staging' }],
    });
    const other = await rig.promgate.token('acme/shop');
    await rig.reaching(() => rig.send(query('up')));
    expect(tooMany(await rig.send(query('up'), { authorization: other.basic })).error).toContain(
      'limit environment_rate exceeded',
    );
    await rig.reaching(() => rig.send(query('up'), { environment: 'staging' }));
  });

  it('per server: all environments together', async () => {
    const rig = await start({ server: { limits: { rate: RARE } }, environments: [{ name: 'production' }, { name: 'staging' }] });
    await rig.reaching(() => rig.send(query('up')));
    expect(tooMany(await rig.send(query('up'), { environment: 'staging' })).error).toContain('limit rate exceeded');
  });

  it('one second’s worth comes at once', async () => {
    const rig = await start({ settings: { limits: { tokenRate: 30 } } });
    for (let i = 0; i < 30; i++) await rig.reaching(() => rig.send(query('up')));
  });

  it('after the time to wait a question is let in again', async () => {
    const rig = await start({ settings: { limits: { tokenRate: RARE } } });
    await rig.reaching(() => rig.send(query('up')));
    const { after } = tooMany(await rig.send(query('up')));
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + after * 1000);
    try {
      await rig.reaching(() => rig.send(query('up')));
    } finally {
      clock.mockRestore();
    }
  });

  it('bad credentials, unknown endpoints, preflights and health checks use nothing up', async () => {
    const rig = await start({ settings: { limits: { environmentRate: RARE, tokenRate: RARE }, cors: { origins: ['*'] } } });
    const wrong = basicAuth(rig.token.username, newTokenText());
    for (let i = 0; i < 20; i++) {
      expect((await rig.send(query('up'), { authorization: wrong })).status).toBe(401);
      expect((await rig.send(query('up'), { authorization: null })).status).toBe(401);
      expect((await rig.send('/api/v1/write')).status).toBe(404);
      expect((await rig.send(query('up'), { environment: 'nowhere' })).status).toBe(404);
      expect((await rig.send('/-/healthy')).status).toBe(200);
    }
    const preflight = ['Origin: https://a.example', 'Access-Control-Request-Method: GET'];
    expect((await rig.send(query('up'), { method: 'OPTIONS', headers: preflight, authorization: null })).status).toBe(204);
    await rig.reaching(() => rig.send(query('up')));
    tooMany(await rig.send(query('up')));
  });

  it('a change of a server’s limits holds while questions go on, in both directions', async () => {
    const rig = await start({ server: { limits: { rate: RARE } } });
    await rig.reaching(() => rig.send(query('up')));
    tooMany(await rig.send(query('up')));
    const server = { name: 'main', url: rig.upstream.url };
    const project = { path: 'acme/shop', environments: [{ name: 'production' }] };
    await rig.promgate.apply(JSON.stringify({ projects: [{ ...project, servers: [server] }] }));
    await expect.poll(async () => (await rig.send(query('up'))).status, { timeout: 20_000 }).toBe(200);
    await rig.promgate.apply(JSON.stringify({ projects: [{ ...project, servers: [{ ...server, limits: { rate: RARE } }] }] }));
    await expect.poll(async () => (await rig.send(query('up'))).status, { timeout: 20_000 }).toBe(429);
  });

  it('refusals are counted', async () => {
    const rig = await start({ settings: { limits: { tokenRate: RARE } } });
    await rig.send(query('up'));
    await rig.send(query('up'));
    const { body } = await ask(`${rig.promgate.opsUrl}/metrics`);
    expect(body).toMatch(/^promgate_guard_rejections_total\{reason="too_many_requests"\} 1$/m);
  });
});
