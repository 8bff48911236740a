import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataset } from './dataset.ts';
import { type PrometheusOptions, startPrometheus, type TestServer } from './prometheus.ts';
import { parseAnswer, requestText, sendRaw } from './raw.ts';
import * as upstream from './strict-upstream.ts';
import { createCertificates, type TestCertificates } from './tls.ts';
import { startVictoriaMetrics, startVmauth } from './victoria-metrics.ts';

const middle = dataset.start + 3600;

describe('the data set', () => {
  let servers: Record<string, TestServer>;
  beforeAll(async () => {
    const [prometheus, victoriaMetrics] = await Promise.all([
      startPrometheus({ data: dataset.openMetrics }),
      startVictoriaMetrics({ data: dataset.exposition }),
    ]);
    servers = { prometheus, victoriaMetrics };
  });
  afterAll(() => Promise.all(Object.values(servers).map((server) => server.stop())));

  const ask = async (name: string, path: string, params: Record<string, string>): Promise<unknown> => {
    const answer = await fetch(`${servers[name]?.url}/api/v1/${path}?${new URLSearchParams(params)}`);
    expect(answer.status).toBe(200);
    return answer.json();
  };

  it.each(['prometheus', 'victoriaMetrics'])('has the same series in %s', async (name) => {
    const query = 'count by (__name__) ({__name__!=""})';
    const answer = await ask(name, 'query', { query, time: String(middle) });
    const count = (metric: string, n: string) => ({ metric: { __name__: metric }, value: [middle, n] });
    expect(answer).toEqual({
      status: 'success',
      data: {
        resultType: 'vector',
        result: [
          count('http_request_duration_seconds_bucket', '25'),
          count('http_request_duration_seconds_count', '5'),
          count('http_request_duration_seconds_sum', '5'),
          count('http_requests_total', '30'),
          count('node_load1', '5'),
          count('odd_values', '11'),
          count('up', '5'),
        ],
      },
    });
  });

  it.each(['prometheus', 'victoriaMetrics'])('keeps every odd label value in %s', async (name) => {
    const range = { start: String(dataset.start), end: String(dataset.end) };
    const answer = await ask(name, 'label/text/values', range);
    // The empty value is no value in Prometheus' data model.
    expect(answer).toEqual({ status: 'success', data: dataset.oddTexts.filter((text) => text !== '').toSorted() });
  });
});

describe('Prometheus with TLS, client certificates and Basic auth', () => {
  let certificates: TestCertificates;
  let server: TestServer;
  beforeAll(async () => {
    certificates = await createCertificates();
    const { ca, server: own, client } = certificates;
    server = await startPrometheus({ webConfig: { basicAuthUsers: { prober: 'p:w' }, tls: { ca, ...own, client } } });
  });
  afterAll(() => server.stop());

  const status = async (connect: object, authorization: string): Promise<number> => {
    const dispatcher = new Agent({ connect });
    try {
      const url = `${server.url}/api/v1/query?query=1`;
      const answer = await request(url, { dispatcher, headers: { authorization: `Basic ${btoa(authorization)}` } });
      await answer.body.dump();
      return answer.statusCode;
    } finally {
      await dispatcher.close();
    }
  };

  it('answers who has the certificate and the password', async () => {
    expect(await status({ ca: certificates.ca, ...certificates.client }, 'prober:p:w')).toBe(200);
  });
  it('refuses a wrong password', async () => {
    expect(await status({ ca: certificates.ca, ...certificates.client }, 'prober:wrong')).toBe(401);
  });
  it('refuses a missing or foreign client certificate, and is not trusted without its CA', async () => {
    await expect(status({ ca: certificates.ca }, 'prober:p:w')).rejects.toThrow();
    await expect(status({ ca: certificates.ca, ...certificates.stranger }, 'prober:p:w')).rejects.toThrow();
    await expect(status({ ...certificates.client }, 'prober:p:w')).rejects.toThrow(/unable to verify/);
  });
});

describe('Prometheus', () => {
  it('evaluates rules and scrapes', async () => {
    const rules: PrometheusOptions['rules'] = [{ name: 'g', rules: [{ alert: 'Always', expr: 'vector(1)' }] }];
    const server = await startPrometheus({ rules });
    try {
      await expect.poll(async () => (await fetch(`${server.url}/api/v1/alerts`)).text()).toContain('"alertname":"Always"');
    } finally {
      await server.stop();
    }
  });
  it('that cannot start says why', async () => {
    await expect(startPrometheus({ flags: ['--no-such-flag'] })).rejects.toThrow(/unknown long flag/);
  });
  it('can live below a path', async () => {
    const server = await startPrometheus({ routePrefix: '/prom' });
    try {
      expect((await fetch(`${server.url}/api/v1/query?query=1`)).status).toBe(200);
    } finally {
      await server.stop();
    }
  });
});

describe('vmauth', () => {
  it('passes its users on to the server and refuses others', async () => {
    const server = await startVictoriaMetrics();
    const proxy = await startVmauth(`users: [{ username: u, password: p, url_prefix: "${server.url}" }]`);
    try {
      const url = `${proxy.url}/api/v1/query?query=1`;
      expect((await fetch(url, { headers: { authorization: `Basic ${btoa('u:p')}` } })).status).toBe(200);
      expect((await fetch(url)).status).toBe(401);
    } finally {
      await Promise.all([proxy.stop(), server.stop()]);
    }
  });
});

describe('the scripted upstream', () => {
  let server: upstream.StrictUpstream;
  beforeAll(async () => {
    server = await upstream.startStrictUpstream(upstream.stalls);
  });
  afterAll(() => server.stop());

  const play = (script: upstream.Script, deadlineMs = 20_000) => {
    server.play(script);
    return sendRaw(server.url, requestText(server.url, '/api/v1/query?query=1'), { deadlineMs });
  };

  it.each([
    ['answers', upstream.answers(), { status: 200, complete: true, ended: 'open' }],
    ['redirects', upstream.redirectsTo('http://127.0.0.1:1/'), { status: 302, complete: true, ended: 'open' }],
    ['sends a page', upstream.sendsHtml, { status: 200, complete: true, ended: 'open' }],
    ['sends Brotli', upstream.sendsBrotli, { status: 200, complete: true, ended: 'open' }],
    ['resets before the head', upstream.resetsBeforeHeaders, { status: 0, complete: false, ended: 'reset' }],
    ['closes before the head', upstream.closesBeforeHeaders, { status: 0, complete: false, ended: 'closed' }],
    ['resets within a chunk', upstream.resetsMidChunk, { status: 200, complete: false, ended: 'reset' }],
    ['closes without a last chunk', upstream.closesWithoutLastChunk, { status: 200, complete: false, ended: 'closed' }],
    ['sends less than it said', upstream.sendsShortBody, { status: 200, complete: false, ended: 'closed' }],
    ['sends garbage', upstream.sendsGarbage, { status: 0, complete: false, ended: 'closed' }],
  ])('%s', async (_, script, seen) => {
    expect(await play(script)).toMatchObject(seen);
  });
  it.each([
    ['stalls', upstream.stalls, 0],
    ['stalls in the body', upstream.stallsMidBody, 200],
    ['sends its head for ever', upstream.sendsSlowHeaders(20), 200],
  ])('%s', async (_, script, status) => {
    // Long enough for what comes to come.
    expect(await play(script, 1_500)).toMatchObject({ status, complete: false, ended: 'deadline' });
  });
  it.each(['chunked', 'length'] as const)('streams a large answer (%s)', async (framing) => {
    const { body, complete } = await play(upstream.streams(3_000_000, framing));
    expect(complete).toBe(true);
    expect(JSON.parse(body.toString())).toMatchObject({ status: 'success' });
    expect(body.length).toBeGreaterThan(2_900_000);
  });

  it('records what it was asked, and what was wrong with it', async () => {
    server.play(upstream.answers());
    const before = server.requests.length;
    const headers = ['Content-Type: text/plain', 'Keep-Alive: 5', 'Accept: a', 'Accept: b'];
    await sendRaw(server.url, requestText(server.url, '/a?b=%20', { method: 'POST', headers, body: 'ü' }));
    const asked = await server.request(before);
    expect(asked).toMatchObject({ method: 'POST', target: '/a?b=%20', body: 'ü' });
    expect(asked.header('content-length')).toBe('2');
    expect(server.violations).toEqual(['accept came 2 times', 'hop-by-hop header keep-alive']);
    await asked.gone;
    expect(server.connections()).toBe(0);
  });
});

describe('the reader of raw answers', () => {
  const parse = (text: string) => parseAnswer(Buffer.from(text));
  it('skips interim answers and joins chunks', () => {
    const text =
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n';
    expect(parse(text)).toMatchObject({ status: 200, body: Buffer.from('abcd'), complete: true });
  });
  it.each(['3\r\nab', '3\r\nabc\r\n', '3\r\nabc\r\n0\r\n', '', '3'])('sees that %j is cut short', (chunks) => {
    expect(parse(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`).complete).toBe(false);
  });
});
