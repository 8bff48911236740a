/** What a hostile reviewer of the guard found, each as it must be. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, type RawConnection, type RawResult, requestText, sendRaw } from '../support/raw.ts';
import { type Served, startServed } from '../support/served.ts';
import { type StrictRig, type StrictRigOptions, startStrictRig } from '../support/strict-rig.ts';
import {
  answers,
  answerText,
  type Script,
  type StrictUpstream,
  startStrictUpstream,
  type UpstreamRequest,
} from '../support/strict-upstream.ts';

const json = ['Content-Type: application/json'];
const good = (data: unknown): string => answerText('200 OK', json, JSON.stringify({ status: 'success', data }));

/** As little of a Prometheus with one series as the guard asks about: its `format_query` takes what it gets for canonical. */
const prometheus: Script = (socket, request) => {
  const { path, params } = partsOf(request);
  const matched = params.has('match[]') && params.get('match[]')?.includes('__promgate_none__');
  if (path.endsWith('/buildinfo')) socket.write(good({ version: '2.42.0', goVersion: 'go1.19' }));
  else if (path.endsWith('/parse_query')) socket.write(answerText('404 Not Found', ['Content-Type: text/plain'], '404'));
  else if (path.endsWith('/format_query')) socket.write(good(params.get('query')));
  else if (path.endsWith('/labels')) socket.write(good(matched ? [] : ['__name__', 'namespace']));
  else if (path.endsWith('/values')) socket.write(good(matched ? [] : ['up']));
  else if (path.endsWith('/series')) socket.write(good([]));
  else socket.write(good({ resultType: 'vector', result: [] }));
};

function partsOf({ target, body }: UpstreamRequest): { path: string; params: URLSearchParams } {
  const [path = '', query = ''] = target.split('?');
  return { path, params: new URLSearchParams(body === '' ? query : body) };
}

const confinement: StrictRigOptions = {
  server: { enforce: { namespace: '{{kube_namespace}}' } },
  environments: [{ name: 'production', kube_namespace: 'shop-prod' }],
};
const enforced = 'namespace="shop-prod"';
const limited = (limits: object): StrictRigOptions => ({ ...confinement, server: { ...confinement.server, limits } });

const opened: StrictRig[] = [];
afterEach(async () => {
  for (const rig of opened.splice(0)) await rig.close();
});

/** In front of the little Prometheus; the guard knows already what it can do, and no question is counted yet. */
async function start(options: StrictRigOptions = confinement): Promise<StrictRig> {
  const rig = await startStrictRig(options);
  opened.push(rig);
  rig.upstream.play(prometheus);
  expect((await rig.send('/api/v1/labels')).status).toBe(200);
  return rig;
}

interface Refusal {
  readonly errorType: string;
  readonly error: string;
}

const refusalOf = ({ body }: RawResult): Refusal => JSON.parse(body.toString());

/** 422, and the server hears nothing of it. */
async function expectLimit(rig: StrictRig, send: () => Promise<RawResult>, text: string | RegExp): Promise<void> {
  const before = rig.upstream.requests.length;
  const answer = await send();
  const { errorType, error = '' } = refusalOf(answer);
  expect({ status: answer.status, errorType, error }).toEqual({
    status: 422,
    errorType: 'execution',
    error: expect.stringMatching(text),
  });
  expect(rig.upstream.requests.slice(before).map(({ target }) => target)).toEqual([]);
}

const query = (text: string, path = 'query'): string => `/api/v1/${path}?${new URLSearchParams({ query: text })}`;

/** Written without end by a client, in every place where a part can break off. */
const filePart = '--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nabc';
const fieldPart = '--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nup\r\n';

describe('a multipart body that breaks off', () => {
  let upstream: StrictUpstream;
  let served: Served;
  let authorization: string;
  const path = '/acme/shop/-/environments/production/prometheus/api/v1/query';
  beforeAll(async () => {
    upstream = await startStrictUpstream(answers());
    served = await startServed({
      projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers: [{ name: 'main', url: upstream.url }] }],
    });
    authorization = `Authorization: ${(await served.token('acme/shop:production')).authorization}`;
  });
  afterAll(async () => {
    await served?.remove();
    await upstream?.stop();
  });

  const headers = (): string[] => [authorization, 'Content-Type: multipart/form-data; boundary=b'];
  const post = (body: string): string => requestText(served.url, path, { method: 'POST', headers: headers(), body });

  /** Still the same process, and it answers. */
  async function expectAlive(): Promise<void> {
    const text = requestText(served.url, `${path}?query=up`, { headers: [authorization] });
    expect(await sendRaw(served.url, text)).toMatchObject({ status: 200, complete: true });
    expect(await Promise.race([served.exited, 'running'])).toBe('running');
  }

  it.each<[string, string]>([
    ['in a file', filePart],
    ['in a file with a type', filePart.replace('\r\n\r\n', '\r\nContent-Type: text/plain\r\n\r\n')],
    ['in a file behind a field', fieldPart + filePart],
    ['in a second file', `${filePart}\r\n${filePart}`],
    ['in a large file', filePart + 'x'.repeat(300_000)],
    ['in the boundary behind a file', `${filePart}\r\n--`],
    ['in the head of a file', filePart.slice(0, 60)],
    ['behind the head of a file', filePart.slice(0, -3)],
    ['in a field', fieldPart.slice(0, -2)],
    ['behind a field', fieldPart],
  ])('%s is 400 and ends nothing else', async (_name, body) => {
    const before = upstream.requests.length;
    const answer = await sendRaw(served.url, post(body), { method: 'POST' });
    expect(answer).toMatchObject({ status: 400, complete: true });
    expect(refusalOf(answer).errorType).toBe('bad_data');
    expect(upstream.requests.length).toBe(before);
    await expectAlive();
  });

  it.each<[string, string, (connection: RawConnection) => void]>([
    ['a reset in a file', filePart, (connection) => connection.reset()],
    ['an end in a file', filePart, ({ socket }) => socket.end()],
    ['a close in a large file', filePart + 'x'.repeat(100_000), ({ socket }) => socket.destroy()],
    ['a reset behind the head of a file', filePart.slice(0, -3), (connection) => connection.reset()],
    ['a reset in a field', fieldPart, (connection) => connection.reset()],
  ])('by %s ends nothing else', async (_name, sent, leave) => {
    const connection = await connectRaw(served.url);
    const length = `Content-Length: ${sent.length + 1_000}`;
    const head = requestText(served.url, path, { method: 'POST', headers: [...headers(), length, 'Expect: 100-continue'] });
    connection.send(head);
    await expect.poll(() => connection.received().toString()).toContain('100 Continue');
    connection.send(sent);
    await delay(100);
    leave(connection);
    await connection.ended;
    await expectAlive();
  });

  it('is not every body with a file: a whole one is passed over', async () => {
    const answer = await sendRaw(served.url, post(`${filePart}\r\n${fieldPart}--b--\r\n`), { method: 'POST' });
    expect(answer.status).toBe(200);
    const { params } = partsOf(upstream.requests.at(-1) as UpstreamRequest);
    expect([params.get('query'), params.has('f')]).toEqual(['up', false]);
  });
});

describe('the nesting of a query that is only to be printed', () => {
  const nested = (depth: number, inside = 'up'): string => `${'('.repeat(depth - 1)}${inside}${')'.repeat(depth - 1)}`;
  const servers: [string, StrictRigOptions][] = [
    ['a server', {}],
    ['a confined server', confinement],
    ['a VictoriaMetrics', { server: { kind: 'victoriametrics' } }],
  ];
  it.each(servers)('is limited before %s', async (_name, options) => {
    const rig = await start(options);
    for (const path of ['format_query', 'parse_query']) {
      for (const text of [nested(101), nested(200), nested(260), nested(5_000), '('.repeat(5_000), `${'-'.repeat(150)}up`]) {
        await expectLimit(rig, () => rig.send(query(text, path)), /^limit max_depth exceeded: .* at most 100 is allowed$/);
        await expectLimit(rig, () => rig.post(`/api/v1/${path}`, { query: text }), 'limit max_depth exceeded');
      }
      const asked = async (text: string): Promise<string | null> => {
        const before = rig.upstream.requests.length;
        await rig.post(`/api/v1/${path}`, { query: text });
        return partsOf(await rig.upstream.request(before)).params.get('query');
      };
      expect(await asked(nested(100))).toBe(nested(100));
      expect(await asked('sum(')).toBe('sum(');
    }
  });

  it('counts after substitution, and by the server’s own limit', async () => {
    const rig = await start({ server: { limits: { max_depth: 3 } } });
    for (const path of ['format_query', 'parse_query']) {
      await expectLimit(rig, () => rig.send(query('sum(abs(abs(up)))', path)), 'nested 4 deep, at most 3 is allowed');
    }
    await expectLimit(rig, () => rig.send(`${query('sum({{x}})', 'format_query')}&variables[x]=abs(abs(up))`), 'nested 4 deep');
  });
});

describe('the number of match[] on a confined server', () => {
  const selectors = (count: number): string[] => Array.from({ length: count }, (_, index) => `metric_${index}`);
  it.each(['series', 'labels', 'label/job/values'])('is at most 64 for %s', async (name) => {
    const rig = await start();
    const path = `/api/v1/${name}`;
    const by = (list: string[]) => {
      const form = new URLSearchParams(list.map((selector): [string, string] => ['match[]', selector]));
      return rig.send(`${path}?${form}`);
    };
    for (const list of [selectors(65), selectors(2_000), Array<string>(65).fill('up')]) {
      await expectLimit(rig, () => by(list), /match\[\].* at most 64 /);
      if (name !== 'label/job/values')
        await expectLimit(rig, () => rig.post(path, { 'match[]': list }), /match\[\].* at most 64 /);
    }
    expect((await by(selectors(64))).status).toBe(200);
    const { params } = partsOf(rig.upstream.requests.at(-1) as UpstreamRequest);
    expect(params.getAll('match[]')).toEqual(selectors(64).map((metric) => `${metric}{${enforced}}`));
  });
});

describe('a place among those that may run at once', () => {
  /** Holds the answers to `names` back until it is opened. */
  function held(names: RegExp): { script: Script; open: () => void } {
    let open = (): void => {};
    const opening = new Promise<void>((resolve) => {
      open = resolve;
    });
    const script: Script = async (socket, request) => {
      if (names.test(request.target)) await opening;
      await prometheus(socket, request);
    };
    return { script, open };
  }

  it.each<[string, RegExp, (rig: StrictRig) => string]>([
    ['how it reads a query', /format_query/, (rig) => rig.text(query('left_behind'))],
    ['how it reads a selector', /format_query/, (rig) => rig.text('/api/v1/series?match[]=left_behind&match[]=another')],
  ])('is kept by a client that leaves while the server is still asked %s', async (_name, names, text) => {
    const rig = await start(limited({ concurrency: 1 }));
    const { script, open } = held(names);
    rig.upstream.play(script);
    const before = rig.upstream.requests.length;
    const connection = await connectRaw(rig.promgate.url);
    connection.send(text(rig));
    await rig.upstream.request(before);
    connection.reset();
    await connection.ended;
    // The departure takes a moment to be seen; before and after it nobody else is let in.
    for (let n = 0; n < 20; n += 1) {
      const answer = await rig.send(query('up'));
      expect(answer.status).toBe(429);
      expect(refusalOf(answer).error).toContain('limit concurrency exceeded');
      await delay(10);
    }
    expect(rig.upstream.requests.length).toBe(before + 1);
    open();
    await expect.poll(async () => (await rig.send(query('up'))).status).toBe(200);
  });

  it('is given back, and the server left alone, when a client leaves for whose query the guard had asked first', async () => {
    const rig = await start(limited({ concurrency: 1 }));
    const { script, open } = held(/\/query(?:\?|$)/);
    rig.upstream.play(script);
    const before = rig.upstream.requests.length;
    const connection = await connectRaw(rig.promgate.url);
    connection.send(rig.text(query('not_read_before')));
    expect((await rig.upstream.request(before)).target).toContain('/format_query');
    const asked = await rig.upstream.request(before + 1);
    expect(asked.target).toMatch(/\/query(?:\?|$)/);
    connection.reset();
    await asked.gone;
    open();
    await expect.poll(async () => (await rig.send(query('up'))).status).toBe(200);
  });

  it('is not taken by a POST whose body is still on its way', async () => {
    const rig = await start(limited({ concurrency: 1 }));
    const body = 'query=slow';
    const head = rig.text('/api/v1/query', {
      method: 'POST',
      headers: ['Content-Type: application/x-www-form-urlencoded', `Content-Length: ${body.length}`, 'Expect: 100-continue'],
    });
    const slow = await Promise.all([connectRaw(rig.promgate.url), connectRaw(rig.promgate.url)]);
    for (const connection of slow) {
      connection.send(head);
      await expect.poll(() => connection.received().toString()).toContain('100 Continue');
      connection.send(body.slice(0, 8));
    }
    expect((await rig.send(query('up'))).status).toBe(200);
    expect((await rig.post('/api/v1/query', { query: 'up' })).status).toBe(200);
    const { script, open } = held(/\/query(?:\?|$)/);
    rig.upstream.play(script);
    const [first, second] = slow as [RawConnection, RawConnection];
    const before = rig.upstream.requests.length;
    first.send(body.slice(8));
    await rig.upstream.request(before);
    // Whole, it takes one like any other.
    second.send(body.slice(8));
    await expect.poll(() => second.received().toString()).toContain('HTTP/1.1 429');
    open();
    await expect.poll(() => first.received().toString()).toContain('HTTP/1.1 200');
    await expect.poll(async () => (await rig.send(query('up'))).status).toBe(200);
  });
});

describe('a server that answers 404 to everything for a while', () => {
  it.each<[string, readonly string[], string]>([
    ['as text', ['Content-Type: text/plain'], 'default backend - 404'],
    ['as JSON', json, '{"status":"error","errorType":"not_found","error":"x"}'],
    ['as JSON of its own kind', json, '{"message":"no route"}'],
  ])('(%s) has shown nothing: when it is back, it verifies queries and its labels are open', async (_name, headers, body) => {
    const rig = await startStrictRig(confinement);
    opened.push(rig);
    rig.upstream.play(answers(body, '404 Not Found', headers));
    for (const path of [query('up'), '/api/v1/labels', '/api/v1/series?match[]=up', query('up', 'query_range')]) {
      expect((await rig.send(path)).status).toBeGreaterThanOrEqual(400);
    }
    const sent = rig.upstream.requests.map((request) => partsOf(request).path);
    expect(sent.filter((path) => /\/(?:query|query_range|series)$/.test(path))).toEqual([]);
    rig.upstream.play(prometheus);
    const before = rig.upstream.requests.length;
    expect((await rig.send(query('up'))).status).toBe(200);
    const verified = rig.upstream.requests.slice(before).map(partsOf);
    expect(verified.map(({ path, params }) => [path, params.get('query')])).toContainEqual([
      '/api/v1/format_query',
      `up{${enforced}}`,
    ]);
    for (const path of ['/api/v1/labels', '/api/v1/label/job/values', '/api/v1/series?match[]=up']) {
      expect((await rig.send(path)).status).toBe(200);
      expect(partsOf(rig.upstream.requests.at(-1) as UpstreamRequest).params.get('match[]')).toContain(enforced);
    }
  });

  it('and had shown before what it can do, sends no query unverified meanwhile', async () => {
    const rig = await start();
    rig.upstream.play((socket, request) =>
      /\/(?:query|query_range)(?:\?|$)/.test(request.target)
        ? prometheus(socket, request)
        : void socket.write(answerText('404 Not Found', ['Content-Type: text/plain'], 'default backend - 404')),
    );
    const before = rig.upstream.requests.length;
    for (const text of ['up', 'sum(up)', 'other']) expect((await rig.send(query(text))).status).toBeGreaterThanOrEqual(400);
    const sent = rig.upstream.requests.slice(before).map((request) => partsOf(request).path);
    expect(sent.filter((path) => path.endsWith('/query'))).toEqual([]);
    rig.upstream.play(prometheus);
    expect((await rig.send(query('up'))).status).toBe(200);
  });
});

describe('the points of subqueries', () => {
  it.each([
    // Prometheus evaluates a subquery over the whole range of the request at the subquery's step: 26 million points.
    ['max_over_time(vector(1)[1m:100ms])', { start: '1746176400', end: '1748768400', step: '86400' }],
    // … and one inside another over the whole range of the outer one: 31 thousand million points, not 1 * 60,000.
    ['max_over_time(max_over_time(vector(1)[1m:1ms])[365d:365d])', { start: '1000', end: '2000', step: '10' }],
    // Durations that are computed from constants (Prometheus 3 with promql-duration-expr).
    ['max_over_time(vector(1)[10d * 1:100ms])', { start: '1000', end: '2000', step: '10' }],
    ['max_over_time(vector(1)[10d:100ms * 1])', { start: '1000', end: '2000', step: '10' }],
    ['max_over_time(vector(1)[10d:min_of(1ms, 1s)])', { start: '1000', end: '2000', step: '10' }],
    ['max_over_time(vector(1)[range() * 1000:1ms])', { start: '1000', end: '2000', step: '10' }],
  ])('count what the server computes: %s', async (text, times) => {
    const rig = await start({});
    await expectLimit(rig, () => rig.post('/api/v1/query_range', { query: text, ...times }), 'limit max_points exceeded');
  });

  const endless = [
    'max_over_time(vector(1)[10d:100ms])',
    'max_over_time(up[1y:1s])',
    'sum(rate(up[5m])) + on () max_over_time(up[1y:1s])',
    'topk(scalar(max_over_time(vector(1)[10d:100ms])), up)',
    'max_over_time(up[100y:] @ 0)',
    'max_over_time(vector(1)[1d:1ms])',
  ];
  const honest = [
    // Each is evaluated once over the whole range of the one around it, not once for each of its points.
    'max_over_time(max_over_time(up[1d:1s])[1d:1m])',
    'max_over_time(abs(max_over_time(max_over_time(up[1h:10s])[1h:10s]))[1h:10s] offset 1d)',
    'max_over_time(up[30d:1m])',
    'max_over_time(up[1w:])',
    'max_over_time(rate(up[5m])[1d:10s])',
    'max_over_time(rate(up[5m])[1h:1m]) + max_over_time(rate(up[5m])[30d:1m])',
    'max_over_time(avg_over_time(up[1h:1m])[1d:5m])',
    'quantile_over_time(0.99, sum(rate(up[1m]))[90d:5m])',
    'max_over_time(up[365d])',
  ];
  it.each<[string, StrictRigOptions]>([
    ['a server', {}],
    ['a confined server', confinement],
  ])('are limited before %s', async (_name, options) => {
    const rig = await start(options);
    const times = { start: '1000', end: '2000', step: '10' };
    for (const text of endless) {
      // A question of the guard about it is no evaluation.
      const before = rig.upstream.requests.length;
      for (const answer of [
        await rig.send(query(text)),
        await rig.post('/api/v1/query', { query: text }),
        await rig.post('/api/v1/query_range', { query: text, ...times }),
      ]) {
        expect({ text, status: answer.status, error: refusalOf(answer).error }).toEqual({
          text,
          status: 422,
          error: expect.stringMatching(/^limit max_points exceeded: /),
        });
      }
      const sent = rig.upstream.requests.slice(before).map((request) => partsOf(request).path);
      expect(sent.filter((path) => !path.endsWith('/format_query'))).toEqual([]);
    }
    for (const text of honest) {
      expect({ text, status: (await rig.send(query(text))).status }).toEqual({ text, status: 200 });
      const ranged = await rig.post('/api/v1/query_range', { query: text, ...times });
      expect({ text, status: ranged.status }).toEqual({ text, status: 200 });
    }
  });
});
