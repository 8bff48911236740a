import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataset } from './support/dataset.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { basicAuth, startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';
import type { RawResult } from './support/raw.ts';
import { dataOf as data, form, type RawClient, rawClient } from './support/raw-client.ts';
import { answers, type StrictUpstream, startStrictUpstream, type UpstreamRequest } from './support/strict-upstream.ts';

/**
 * Each client's requests byte by byte as it sends them. `production` is a real Prometheus, `strict` a server that
 * records what reaches it.
 */
let prometheus: TestServer;
let strict: StrictUpstream;
let promgate: TestPromgate;
let token: TestToken;
let send: RawClient['send'];
let post: RawClient['post'];

beforeAll(async () => {
  [prometheus, strict] = await Promise.all([startPrometheus({ data: dataset.openMetrics }), startStrictUpstream(answers())]);
  promgate = await startTestPromgate({
    resources: JSON.stringify({
      projects: [
        {
          path: 'acme/shop',
          environments: [{ name: 'production' }, { name: 'strict' }],
          servers: [
            { name: 'main', url: prometheus.url },
            { name: 'strict', url: strict.url, environment_scope: 'strict' },
          ],
        },
      ],
    }),
  });
  token = await promgate.token('acme/shop', { name: 'grafana' });
  ({ send, post } = rawClient(promgate, 'acme/shop', token));
});

afterAll(async () => {
  await promgate?.close();
  await Promise.all([prometheus?.stop(), strict?.stop()]);
});

const middle = dataset.start + 3600;
const range = { start: String(dataset.start), end: String(dataset.end) };

/** One point of whatever value each `step` seconds. */
const pointsEach = (step: number, from: number): unknown[] =>
  Array.from({ length: Math.floor((dataset.end - from) / step) + 1 }, (_, i) => [from + i * step, expect.any(String)]);

/** What the recording server is asked in answer to a request, its parameters in order. */
async function reaching(
  request: () => Promise<RawResult>,
): Promise<UpstreamRequest & { path: string; params: [string, string][] }> {
  const count = strict.requests.length;
  expect((await request()).status).toBe(200);
  expect(strict.requests.length).toBe(count + 1);
  expect(strict.violations).toEqual([]);
  const asked = await strict.request(count);
  const [path = '', query = ''] = asked.target.split('?');
  return { ...asked, path, params: [...new URLSearchParams(asked.body === '' ? query : asked.body)] };
}

describe('Grafana', () => {
  const own = [
    'User-Agent: Grafana/11.3.0',
    'Accept-Encoding: gzip',
    'X-Grafana-Org-Id: 1',
    'X-Dashboard-Uid: adx1',
    'X-Dashboard-Title: Shop',
    'X-Panel-Id: 4',
    'X-Rule-Uid: r1',
    'FromAlert: true',
  ];

  it('asks a range by POST with its custom query parameters in the URL', async () => {
    const params = { ...range, query: 'sum(rate(http_requests_total[1m]))', step: '60' };
    const answer = await post('/api/v1/query_range?team=shop&max_source_resolution=5m', params, { headers: own });
    expect(data(answer)).toEqual({ resultType: 'matrix', result: [{ metric: {}, values: pointsEach(60, dataset.start + 60) }] });
  });
  it('asks an instant by GET with fractions of a second', async () => {
    const answer = await send(`/api/v1/query?query=up%7Bjob%3D%22shop%22%7D&time=${middle}.25`, { headers: own });
    expect(data(answer)).toMatchObject({ resultType: 'vector', result: { length: 3 } });
  });
  it('may bring the token as Bearer in a custom header', async () => {
    expect((await send('/api/v1/query?query=1', { authorization: `Bearer ${token.token}`, headers: own })).status).toBe(200);
  });
  it('saves and tests: 1+1 in 1970, then the build information, without features', async () => {
    const sum = await post('/api/v1/query', { query: '1+1', time: '4' }, { headers: own });
    expect(data(sum)).toEqual({ resultType: 'scalar', result: [4, '2'] });
    const build = data(await send('/api/v1/status/buildinfo', { headers: own }));
    expect(build).toMatchObject({ version: expect.stringMatching(/^2\./) });
    expect(build).not.toHaveProperty('features');
  });
  it('probes for exemplars with milliseconds as seconds', async () => {
    const answer = await send(`/api/v1/query_exemplars?query=test&start=${dataset.start * 1000}&end=${dataset.end * 1000}`, {
      headers: own,
    });
    expect(data(answer)).toEqual([]);
  });
  it('reads metadata with limit=40000, by POST and by GET', async () => {
    const names = { ...range, limit: '40000' };
    expect(data(await post('/api/v1/labels', names, { headers: own }))).toContain('namespace');
    expect(data(await send(`/api/v1/labels?${form(names)}`, { headers: own }))).toContain('namespace');
    expect(data(await post('/api/v1/series', { ...names, 'match[]': 'up' }, { headers: own }))).toHaveLength(5);
    expect(data(await send(`/api/v1/label/job/values?${form({ ...names, 'match[]': 'up' })}`))).toEqual([
      'billing',
      'node',
      'shop',
    ]);
    expect(data(await send('/api/v1/metadata?limit=40000', { headers: own }))).toEqual({});
    expect(data(await send('/api/v1/rules', { headers: own }))).toEqual({ groups: [] });
  });
  it('gets 405 with JSON where it must ask again by GET', async () => {
    const answer = await post('/api/v1/label/job/values', range, { headers: own });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toEqual(['GET']);
  });
  it('has neither its headers nor its credentials nor unknown parameters passed on', async () => {
    const asked = await reaching(() =>
      post(
        '/api/v1/query_range?team=shop&step=30',
        { ...range, query: 'up', step: '60' },
        { headers: own, environment: 'strict' },
      ),
    );
    expect(asked.path).toBe('/api/v1/query_range');
    expect(Object.fromEntries(asked.params)).toEqual({ query: 'up', ...range, step: '60', timeout: '60' });
    const names = asked.headers.map(([name]) => name.toLowerCase());
    const known = ['host', 'connection', 'accept', 'accept-encoding', 'content-type', 'content-length'];
    expect(names.filter((name) => !known.includes(name))).toEqual([]);
    expect(asked.header('host')).toBe(new URL(strict.url).host);
    // What may be kept is kept as it is.
    expect(asked.header('accept-encoding')).toBe('identity');
  });
});

describe('client_golang, promtool, Argo Rollouts, Kiali', () => {
  const go = ['User-Agent: Go-http-client/1.1', 'Accept-Encoding: gzip'];

  it('ask by POST first', async () => {
    const instant = await post('/api/v1/query', { query: 'sum(up)', time: `${middle}.123` }, { headers: go });
    expect(data(instant)).toMatchObject({ resultType: 'vector', result: { length: 1 } });
    const exemplars = await post('/api/v1/query_exemplars', { ...range, query: 'up' }, { headers: go });
    expect(data(exemplars)).toEqual([]);
  });
  it('ask for all time with the ends of Go’s clock', async () => {
    const all = { start: '-9223372036.854775807', end: '9223372036.854775807' };
    expect(data(await post('/api/v1/labels', all, { headers: go }))).toContain('text');
    const ends = { start: '-292273086-05-16T16:47:06Z', end: '292277025-08-18T07:12:54.999999999Z' };
    expect(data(await post('/api/v1/series', { ...ends, 'match[]': 'up' }, { headers: go }))).toHaveLength(5);
  });
  it('get 401 with a challenge, not 403, for a bad token', async () => {
    for (const authorization of [
      null,
      'Basic',
      'Basic !!',
      `Basic ${btoa('x:y')}`,
      'Bearer',
      'Bearer x',
      'Digest a=b',
      basicAuth('other', token.token),
    ]) {
      const answer = await post('/api/v1/query', { query: 'up' }, { authorization, headers: go });
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toEqual(['Basic realm="promgate"']);
      expect(JSON.parse(answer.body.toString())).toMatchObject({ status: 'error', errorType: 'unauthorized' });
    }
  });
  it('are never redirected, whatever slashes they send', async () => {
    for (const path of [
      '',
      '/',
      '//',
      '/api',
      '/api/v1',
      '/api/v1/',
      '/api/v1/query/',
      '//api//v1//query',
      '/graph',
      '/api/v1/query?query=1',
    ]) {
      for (const method of ['GET', 'POST']) {
        const answer = await send(path, { method });
        expect(answer.status < 300 || answer.status >= 400).toBe(true);
        expect(answer.headers.has('location')).toBe(false);
      }
    }
  });
});

describe('Prometheus’ own page', () => {
  const browser = [
    'User-Agent: Mozilla/5.0',
    'Accept: */*',
    'Accept-Encoding: gzip, deflate, br, zstd',
    'Accept-Language: de,en;q=0.5',
  ];

  it('asks everything by GET', async () => {
    expect(data(await send(`/api/v1/query?query=time()&time=${middle}.5`, { headers: browser }))).toEqual({
      resultType: 'scalar',
      result: [middle + 0.5, `${middle}.5`],
    });
    const graph = form({ ...range, query: 'up', step: '14' });
    expect(data(await send(`/api/v1/query_range?${graph}`, { headers: browser }))).toMatchObject({ resultType: 'matrix' });
    expect(data(await send('/api/v1/format_query?query=sum(up)by(job)', { headers: browser }))).toBe('sum by (job) (up)');
    expect(data(await send(`/api/v1/label/__name__/values?${form(range)}`, { headers: browser }))).toContain('odd_values');
    expect(data(await send('/api/v1/metadata', { headers: browser }))).toEqual({});
  });
  it('completes names by POST', async () => {
    const params = { ...range, 'match[]': '{__name__="http_requests_total"}' };
    expect(data(await post('/api/v1/labels', params, { headers: browser }))).toContain('code');
    expect(data(await post('/api/v1/series', params, { headers: browser }))).toHaveLength(30);
  });
  it('has its queries parsed where the server can', async () => {
    const asked = await reaching(() =>
      send('/api/v1/parse_query?query=up%20%2B%201', { headers: browser, environment: 'strict' }),
    );
    expect([asked.path, asked.params]).toEqual(['/api/v1/parse_query', [['query', 'up + 1']]]);
  });
});

describe('Perses', () => {
  it('asks by POST, and finds the endpoint healthy with and without its token', async () => {
    const answer = await post('/api/v1/query_range', { ...range, query: 'up{job="node"}', step: '60s' });
    expect(data(answer)).toMatchObject({ result: [{ metric: { job: 'node' } }] });
    const asked = await reaching(() => post('/api/v1/parse_query', { query: 'up' }, { environment: 'strict' }));
    expect(asked.path).toBe('/api/v1/parse_query');
    expect((await send('/-/healthy')).status).toBe(200);
    expect((await send('/-/healthy', { authorization: null })).status).toBe(200);
  });
});

describe('KEDA', () => {
  it.each(['//api/v1/query', '//api/v1/query/', '/api/v1/query/'])(
    'asks %s with RFC 3339 and an extra namespace',
    async (path) => {
      const time = new Date(middle * 1000).toISOString().replace('.000', '');
      const answer = await send(`${path}?query=sum(up)&time=${time}&namespace=shop-prod`, { headers: ['Accept-Encoding: gzip'] });
      expect(data(answer)).toMatchObject({ resultType: 'vector', result: [{ value: [middle, '5'] }] });
    },
  );
  it('does not have its namespace passed on', async () => {
    const asked = await reaching(() => send('//api/v1/query/?query=up&namespace=shop-prod', { environment: 'strict' }));
    expect(asked.path).toBe('/api/v1/query');
    expect(asked.params.map(([name]) => name)).toEqual(['query', 'timeout']);
  });
});

describe('Flagger', () => {
  it('asks whether the server is online', async () => {
    expect(data(await send('/api/v1/query?query=vector%281%29'))).toMatchObject({
      result: [{ metric: {}, value: [expect.any(Number), '1'] }],
    });
  });
});

describe('Lens', () => {
  it('asks a range by POST as multipart/form-data', async () => {
    const fields = { query: 'sum(up{namespace="shop-prod"})', ...range, step: '60', kubernetes_namespace: 'shop-prod' };
    const boundary = '--------------------------820127721219505131303151';
    const parts = Object.entries(fields).map(
      ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    );
    const body = `${parts.join('')}--${boundary}--\r\n`;
    const headers = [`Content-Type: multipart/form-data; boundary=${boundary}`, 'Accept: application/json'];
    const answer = await send('/api/v1/query_range', { method: 'POST', headers, body });
    expect(data(answer)).toEqual({ resultType: 'matrix', result: [{ metric: {}, values: pointsEach(60, dataset.start) }] });
  });
});

describe('a Kubernetes API proxy in front', () => {
  it('takes the credentials away, and the client sees 401, not another page', async () => {
    const headers = ['X-Forwarded-Uri: /x', 'X-Forwarded-For: 10.0.0.1', 'X-Remote-User: admin', 'X-Scope-OrgID: other'];
    const answer = await send('/api/v1/query?query=1', { authorization: null, headers });
    expect(answer.status).toBe(401);
    expect(answer.headers.has('location')).toBe(false);
  });
});

describe('newer Prometheus clients', () => {
  it('have the parameters of their versions passed on', async () => {
    const params = { query: 'up', limit: '10', lookback_delta: '1m', stats: 'all', timeout: '5s' };
    const asked = await reaching(() => post('/api/v1/query', params, { environment: 'strict' }));
    expect(Object.fromEntries(asked.params)).toEqual({ ...params, timeout: '5' });
    const rules = await reaching(() =>
      send('/api/v1/rules?type=alert&rule_name[]=a&rule_name[]=b&match[]=up&file[]=f', { environment: 'strict' }),
    );
    expect(rules.params.toSorted()).toEqual([
      ['file[]', 'f'],
      ['match[]', 'up'],
      ['rule_name[]', 'a'],
      ['rule_name[]', 'b'],
      ['type', 'alert'],
    ]);
  });
  it('can ask for UTF-8 label names, escaped or as they are', async () => {
    const asked = await reaching(() => send('/api/v1/label/U__http_2e_status/values?limit=5', { environment: 'strict' }));
    expect(asked.target).toBe('/api/v1/label/U__http_2e_status/values?limit=5');
    const plain = await reaching(() => send('/api/v1/label/gr%C3%B6%C3%9Fe.x/values', { environment: 'strict' }));
    expect(plain.target).toBe('/api/v1/label/gr%C3%B6%C3%9Fe.x/values');
  });
  it('get the infos and warnings of the server, and its status, as they are', async () => {
    const body = '{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["w"],"infos":["PromQL info: …"]}';
    strict.play(answers(body));
    expect((await send('/api/v1/query?query=up', { environment: 'strict' })).body.toString()).toBe(body);
    strict.play((socket) => void socket.write('HTTP/1.1 204 No Content\r\n\r\n'));
    expect(await send('/api/v1/query?query=up', { environment: 'strict' })).toMatchObject({ status: 204, body: { length: 0 } });
    strict.play(answers('{"status":"error","errorType":"execution","error":"x"}', '422 Unprocessable Entity'));
    expect((await send('/api/v1/query?query=up', { environment: 'strict' })).status).toBe(422);
    strict.play(answers());
  });
});
