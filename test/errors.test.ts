import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newTokenText } from '../src/access/token-text.ts';
import { basicAuth } from './support/promgate.ts';
import type { RawResult } from './support/raw.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';
import { answers, answerText } from './support/strict-upstream.ts';

let rig: StrictRig;
let asked: number;

beforeAll(async () => {
  rig = await startStrictRig({
    settings: { limits: { maxRange: 3_600_000, maxPoints: 100, maxResponse: 1_000, maxQueryBytes: 500 } },
    environments: [{ name: 'production' }, { name: 'staging' }],
  });
  await rig.promgate.apply(
    JSON.stringify({
      projects: [{ path: 'acme/empty', environments: [{ name: 'production' }] }],
    }),
  );
});

afterAll(() => rig?.close());

/** An error answer in the one form that the data plane has, and nothing asked of the server. */
function expectError(answer: RawResult, status: number, errorType: string): string {
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toEqual(['application/json']);
  expect(answer.headers.get('x-content-type-options')).toEqual(['nosniff']);
  expect(answer.headers.get('content-length')).toEqual([String(answer.body.length)]);
  expect(answer.headers.get('x-request-id')).toHaveLength(1);
  const { error, ...rest } = JSON.parse(answer.body.toString());
  expect(rest).toEqual({ status: 'error', errorType });
  expect(error).toMatch(/\S/);
  return error;
}

describe('a refusal has its status, its type, Prometheus’ envelope, and nothing is asked of the server', () => {
  beforeAll(() => {
    asked = rig.upstream.requests.length;
  });
  afterAll(() => expect(rig.upstream.requests.length).toBe(asked));

  it.each([
    ['a time', 'query?query=up&time=yesterday', '"time"'],
    ['a start', 'query_range?query=up&start=x&end=2&step=1', '"start"'],
    ['a step', 'query_range?query=up&start=1&end=2&step=1q', '"step"'],
    ['a timeout', 'query?query=up&timeout=soon', '"timeout"'],
    ['a percent-encoding', 'query?query=%zz', '"query"'],
    ['a percent-encoding that ends early', 'query?query=up%2', '"query"'],
    ['UTF-8', 'query?query=%ff', '"query"'],
    ['UTF-8 of surrogates', 'query?query=%ed%a0%80', '"query"'],
    ['an encoding of a name', 'query?%zz=up', 'name of a parameter'],
    ['a semicolon', 'query?query=up;query=down', 'semicolon'],
  ])('400: %s is wrong', async (_, path, text) => {
    expect(expectError(await rig.send(`/api/v1/${path}`), 400, 'bad_data')).toContain(text);
  });

  it.each([
    ['max_range', 'query_range?query=up&start=0&end=3601&step=3600', ['1h1s', '1h']],
    ['max_points', 'query_range?query=up&start=0&end=3600&step=10', ['360', '100']],
    ['max_query_bytes', `query?query=${'x'.repeat(501)}`, ['501', '500']],
    ['max_query_bytes', `series?match[]=${'x'.repeat(300)}&match[]=${'y'.repeat(300)}`, ['600', '500']],
  ])('422: over %s, with the limit and what was asked', async (limit, path, numbers) => {
    const error = expectError(await rig.send(`/api/v1/${path}`), 422, 'execution');
    for (const part of [limit, ...numbers]) expect(error).toContain(part);
  });

  it('405: a method that the endpoint does not have, HEAD without a body', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE']) {
      const answer = await rig.send('/api/v1/query?query=up', { method });
      expectError(answer, 405, 'method_not_allowed');
      expect(answer.headers.get('allow')).toEqual(['GET, POST']);
    }
    const post = await rig.post('/api/v1/metadata', {});
    expectError(post, 405, 'method_not_allowed');
    expect(post.headers.get('allow')).toEqual(['GET']);
    const head = await rig.send('/api/v1/query?query=up', { method: 'HEAD' });
    expect(head).toMatchObject({ status: 405, body: { length: 0 } });
    expect(head.headers.get('allow')).toEqual(['GET, POST']);
  });

  it('400: a body that cannot hold parameters', async () => {
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencodedx', 'multipart/mixed; boundary=x']) {
      const answer = await rig.send('/api/v1/query', { method: 'POST', headers: [`Content-Type: ${type}`], body: 'query=up' });
      expect(expectError(answer, 400, 'bad_data')).toContain('content type');
    }
    expectError(await rig.send('/api/v1/query', { method: 'POST', body: 'query=up' }), 400, 'bad_data');
    const headers = ['Content-Type: application/x-www-form-urlencoded', 'Content-Encoding: gzip'];
    expectError(await rig.send('/api/v1/query', { method: 'POST', headers, body: 'query=up' }), 400, 'bad_data');
  });

  it('503: no server', async () => {
    const token = await rig.promgate.token('acme/empty');
    const url = `${rig.promgate.endpoint('acme/empty:production')}/api/v1/query?query=up`;
    const answer = await fetch(url, { headers: { authorization: token.basic } });
    expect(answer.status).toBe(503);
    expect(await answer.json()).toEqual({ status: 'error', errorType: 'unavailable', error: 'No prometheus server found' });
  });
});

describe('401 and 404 tell nobody what there is', () => {
  const query = '/api/v1/query?query=up';

  it('every kind of bad credentials gets the same 401', async () => {
    const { promgate, token, send } = rig;
    const expired = await promgate.token('acme/shop', { expiresAt: Date.now() + 3_000 });
    const elsewhere = await promgate.token('acme/shop', { allowedNetworks: ['10.0.0.0/8'] });
    await expect.poll(() => Date.now() > (expired.expiresAt ?? 0), { timeout: 20_000 }).toBe(true);
    const unknown = newTokenText();
    const attempts: (string | null)[] = [
      null,
      '',
      'Basic',
      'Basic ***',
      'Negotiate abc',
      'Bearer ',
      `Bearer ${unknown}`,
      `Bearer ${token.token}x`,
      `Bearer ${token.token} ${token.token}`,
      `Token ${token.token}`,
      basicAuth(token.username, ''),
      basicAuth(token.username, unknown),
      basicAuth('', token.token),
      basicAuth('token-0', token.token),
      basicAuth(token.username.toUpperCase(), token.token),
      basicAuth(`${token.username}:`, token.token),
      basicAuth(token.token, token.username),
      expired.basic,
      `Bearer ${expired.token}`,
      elsewhere.basic,
      `Bearer ${elsewhere.token}`,
    ];
    const bodies = new Set<string>();
    for (const authorization of attempts) {
      const answer = await send(query, { authorization });
      expectError(answer, 401, 'unauthorized');
      expect(answer.headers.get('www-authenticate')).toEqual(['Basic realm="promgate"']);
      bodies.add(answer.body.toString());
    }
    expect(bodies.size).toBe(1);
    expect((await send(query, { authorization: `bearer ${token.token}` })).status).toBe(200);
  });

  it('without credentials everything is 401, be it there or not', async () => {
    const { origin } = new URL(rig.promgate.url);
    for (const path of [
      '/acme/shop/-/environments/production/prometheus/api/v1/query',
      '/acme/shop/-/environments/nothing/prometheus/api/v1/query',
      '/no/such/-/prometheus/api/v1/query',
      '/groups/acme/-/prometheus/api/v1/admin/tsdb/snapshot',
    ]) {
      const answer = await fetch(origin + path);
      expect([answer.status, await answer.json()]).toMatchObject([401, { errorType: 'unauthorized' }]);
    }
  });

  it('what is foreign is 404 with the same body as what does not exist', async () => {
    const token = await rig.promgate.token('acme/shop:staging');
    const answer = async (path: string, method = 'GET') => {
      const result = await fetch(rig.promgate.url + path, { method, headers: { authorization: token.basic } });
      return { status: result.status, type: result.headers.get('content-type'), body: await result.text() };
    };
    const nothing = await answer('/acme/shop/-/environments/nothing/prometheus/api/v1/query?query=up');
    expect(nothing).toMatchObject({ status: 404, type: 'application/json' });
    expect(JSON.parse(nothing.body)).toMatchObject({ status: 'error', errorType: 'not_found' });
    for (const path of [
      '/acme/shop/-/environments/production/prometheus/api/v1/query?query=up',
      '/acme/shop/-/environments/1/prometheus/api/v1/query?query=up',
      '/acme/shop/-/prometheus/api/v1/query?query=up',
      '/acme/empty/-/environments/production/prometheus/api/v1/query?query=up',
      '/acme/missing/-/environments/production/prometheus/api/v1/query?query=up',
      '/groups/acme/-/prometheus/api/v1/query?query=up',
      '/groups/missing/-/prometheus/api/v1/query?query=up',
      '/acme/shop/-/environments/staging/prometheus/api/v1/targets',
      '/somewhere/else',
      '/-/',
    ]) {
      expect(await answer(path)).toEqual(nothing);
      expect(await answer(path, 'DELETE')).toEqual(nothing);
    }
  });
});

describe('the server’s own errors arrive as they are', () => {
  it.each([
    ['400 Bad Request', 'bad_data'],
    ['404 Not Found', 'not_found'],
    ['422 Unprocessable Entity', 'execution'],
    ['429 Too Many Requests', 'too_many_requests'],
    ['500 Internal Server Error', 'internal'],
    ['503 Service Unavailable', 'timeout'],
  ])('%s', async (status, errorType) => {
    const body = `{"status": "error", "errorType":"${errorType}","error":"é","warnings":["w"],"infos":["i"]}`;
    rig.upstream.play(answers(body, status, ['Content-Type: application/json; charset=utf-8']));
    const answer = await rig.send('/api/v1/query?query=up');
    expect([answer.status, answer.body.toString()]).toEqual([Number.parseInt(status, 10), body]);
    expect(answer.headers.get('content-type')).toEqual(['application/json; charset=utf-8']);
  });
  it('413: an answer that is announced to be over max_response', async () => {
    rig.upstream.play((socket) => void socket.write(answerText('200 OK', ['Content-Type: application/json'], 'x'.repeat(1_001))));
    const error = expectError(await rig.send('/api/v1/query?query=up'), 413, 'too_large_entry');
    expect(error).toContain('max_response');
    expect(error).toContain('1000');
  });
});
