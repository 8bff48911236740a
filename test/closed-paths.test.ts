import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ask, askBoth } from './support/ask.ts';
import { dataset } from './support/dataset.ts';
import { freePort } from './support/ports.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';

let prometheus: TestServer;
let promgate: TestPromgate;
let token: TestToken;

beforeAll(async () => {
  const port = await freePort();
  prometheus = await startPrometheus({
    data: dataset.openMetrics,
    port,
    scrapeConfigs: [{ job_name: 'self', scrape_interval: '2s', static_configs: [{ targets: [`127.0.0.1:${port}`] }] }],
    // So that a request which slipped through would do something.
    flags: ['--web.enable-admin-api', '--web.enable-lifecycle', '--web.enable-remote-write-receiver'],
  });
  promgate = await startTestPromgate({
    resources: JSON.stringify({
      projects: [
        {
          path: 'acme/shop',
          environments: [{ name: 'production' }, { name: 'open' }, { name: 'confined' }, { name: 'nowhere' }],
          servers: [
            { name: 'closed', url: prometheus.url, environment_scope: 'production' },
            { name: 'open', url: prometheus.url, environment_scope: 'open', expose: ['targets', 'federate', 'status/tsdb'] },
            {
              name: 'confined',
              url: prometheus.url,
              environment_scope: 'confined',
              enforce: { namespace: '{{kube_namespace}}' },
            },
          ],
        },
      ],
    }),
  });
  token = await promgate.token('acme/shop');
  // Scraped.
  await vi.waitFor(async () => expect((await ask(`${prometheus.url}/federate?match[]=up`)).body).toContain('self'), 60_000);
});

afterAll(async () => {
  await promgate?.close();
  await prometheus?.stop();
});

const below = (environment: string, path: string, method = 'GET', headers: Record<string, string> = {}) =>
  ask(promgate.endpoint(`acme/shop:${environment}`) + path, { method, headers: { authorization: token.basic, ...headers } });

const notFound = { status: 404, type: 'application/json', body: expect.stringContaining('"errorType":"not_found"') };

describe('what is not in the table of endpoints is 404 for every method', () => {
  const api = [
    'admin/tsdb/delete_series',
    'admin/tsdb/snapshot',
    'admin/tsdb/clean_tombstones',
    'write',
    'read',
    'otlp/v1/metrics',
    'targets',
    'targets/metadata',
    'targets/relabel_steps',
    'alertmanagers',
    'status/config',
    'status/flags',
    'status/runtimeinfo',
    'status/tsdb',
    'status/walreplay',
    'notifications/live',
    'features',
    'QUERY',
    'query%2e',
    'query%20',
    '%71uery',
    'query/up',
    'label/job',
    'label//values',
    'label/../query',
    'label/%2e%2e/values',
    'label/a%2F..%2F..%2Fstatus%2Fconfig%3F/values',
    '../../federate',
  ].map((path) => `/api/v1/${path}`);
  const elsewhere = [
    '',
    '/',
    '/federate',
    '/metrics',
    '/graph',
    '/consoles/index.html',
    '/-/reload',
    '/-/quit',
    '/api/v2/query',
    '/api',
  ];

  it.each([...api, ...elsewhere])('%s', async (path) => {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE'])
      expect(await below('production', path, method)).toMatchObject(notFound);
  });
});

describe('methods', () => {
  it.each([
    ['query', 'GET, POST'],
    ['query_range', 'GET, POST'],
    ['query_exemplars', 'GET, POST'],
    ['series', 'GET, POST'],
    ['labels', 'GET, POST'],
    ['format_query', 'GET, POST'],
    ['parse_query', 'GET, POST'],
    ['label/job/values', 'GET'],
    ['metadata', 'GET'],
    ['rules', 'GET'],
    ['alerts', 'GET'],
    ['status/buildinfo', 'GET'],
  ])('that %s does not have are 405 with Allow', async (path, allow) => {
    const url = `${promgate.endpoint('acme/shop:production')}/api/v1/${path}`;
    const others = allow === 'GET' ? ['POST', 'PUT', 'DELETE', 'PATCH'] : ['PUT', 'DELETE', 'PATCH'];
    for (const method of others) {
      const answer = await fetch(url, { method, headers: { authorization: token.basic } });
      expect(await answer.json()).toMatchObject({ status: 'error', errorType: 'method_not_allowed' });
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, allow]);
    }
  });
});

describe('health', () => {
  it.each(['/-/healthy', '/-/ready'])('%s is 200 for anyone, by GET and HEAD', async (path) => {
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask(promgate.endpoint('acme/shop:production') + path, { method });
      expect(answer.status).toBe(200);
    }
  });
  it('is 405 for POST', async () => {
    expect((await below('production', '/-/healthy', 'POST')).status).toBe(405);
  });
});

describe('a server that exposes more', () => {
  it.each([
    '/api/v1/targets',
    '/api/v1/targets?state=active',
    '/api/v1/status/tsdb',
    '/federate?match[]=up&match[]={job="self"}',
  ])('answers %s as it does itself', async (path) => {
    const answers = await askBoth(
      () => ask(prometheus.url + path),
      () => below('open', path),
    );
    expect(answers.through).toEqual(answers.direct);
    expect(answers.through.status).toBe(200);
    expect(answers.through.body).toContain(path.includes('tsdb') ? 'headStats' : 'self');
  });
  it.each(['targets/metadata', 'status/config', 'admin/tsdb/snapshot'])('still does not answer %s', async (path) => {
    expect(await below('open', `/api/v1/${path}`)).toMatchObject(notFound);
    expect(await below('open', `/api/v1/${path}`, 'POST')).toMatchObject(notFound);
  });
});

describe('no answer at all', () => {
  it('comes from a server with a label to enforce that has no value here', async () => {
    for (const path of [
      'query?query=up',
      'labels',
      'series?match[]=up',
      'label/job/values',
      'metadata',
      'rules',
      'alerts',
      'status/buildinfo',
    ]) {
      const answer = await below('confined', `/api/v1/${path}`);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.body).not.toContain('success');
    }
  });
  it('comes where no server is attached', async () => {
    const answer = await below('nowhere', '/api/v1/query?query=up');
    expect(answer).toMatchObject({ status: 503, body: expect.stringContaining('No prometheus server found') });
  });
});
