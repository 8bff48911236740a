import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Params } from '../support/ask.ts';
import { selectorsIn } from '../support/canonical.ts';
import { comparable, expectNoTrace, type GuardRig, type SharedServer, startGuardRig } from '../support/guard-rig.ts';
import { around, at, attempt } from './attempt.ts';

/** Each endpoint as tenant a sees it on a server that holds everybody's data. */
let rig: GuardRig;
beforeAll(async () => {
  rig = await startGuardRig();
});
afterAll(() => rig?.close());

const servers: SharedServer[] = ['prometheus', 'victoria'];
const window: Params = [
  ['start', '1748764800'],
  ['end', '1748772000'],
];
const always: Params = [
  ['start', '0'],
  ['end', '9999999999'],
];
const names = [
  'up',
  'node_load1',
  'target_info',
  'http_requests_total',
  'shop_orders_total',
  'secret_b_total',
  'http_request_duration_seconds_bucket',
];

async function data(path: string, params: Params = [], server = 'prometheus') {
  const reply = await rig.send(server, path, params);
  expect(reply.status).toBe(200);
  expectNoTrace(reply, [path, ...params.flat()].join('\n'));
  return JSON.parse(reply.body).data;
}

describe.each(servers)('%s: the answer is that of a server with a’s data alone', (server) => {
  it.each(names)('for %s', async (name) => {
    await attempt(rig, server, '/api/v1/query', at(name));
    await attempt(rig, server, '/api/v1/query', at(`${name}[5m]`));
    await attempt(rig, server, '/api/v1/query_range', around(`sum by (job) (rate(${name}[5m]))`));
    await attempt(rig, server, '/api/v1/series', [['match[]', name], ...window]);
    await attempt(rig, server, '/api/v1/labels', [['match[]', name], ...window]);
    await attempt(rig, server, '/api/v1/label/instance/values', [['match[]', name], ...window]);
  });
  it.each([
    'histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))',
    'up * on (job, instance) group_left (version) target_info',
    '42',
    'time()',
    '"text"',
    'vector(1)',
  ])('for %s', async (query) => {
    await attempt(rig, server, '/api/v1/query', at(query));
  });
  it('for a question as long as must go by POST', async () => {
    await attempt(rig, server, '/api/v1/query', at(`up{job!~"${'x|'.repeat(3000)}y"} or secret_b_total`));
  });
});

describe('a scope of several labels and values', () => {
  it.each(['up', '{__name__=~".+"}', 'up{namespace=~".+"} or secret_b_total', 'count by (namespace, job) ({job!=""})'])(
    'takes each value as it is, whole, and gives a’s series: %s',
    async (query) => {
      rig.recorders.prometheus.take();
      const reply = await rig.send('several', '/api/v1/query', at(query), 'POST');
      expectNoTrace(reply, query);
      expect(comparable(reply)).toEqual(comparable(await rig.alone('prometheus', '/api/v1/query', at(query))));
      const sent = rig.recorders.prometheus.take().flatMap(({ params }) => params.filter(([name]) => name === 'query'));
      expect(sent.length).toBeGreaterThan(0);
      for (const [, text] of sent) {
        for (const { matchers } of selectorsIn((await rig.format(text)) ?? '')) {
          expect(matchers).toContainEqual({ label: 'job', op: '=~', value: 'shop|node|live' });
          const value = 'shop-prod|shop\\.prod\\.\\*|\\(\\?i\\)secret-b\\||\\\\w\\+';
          expect(matchers).toContainEqual({ label: 'namespace', op: '=~', value });
        }
      }
    },
  );
  it('rules, alerts and names too', async () => {
    for (const path of ['/api/v1/rules', '/api/v1/alerts', '/api/v1/metadata', '/api/v1/label/__name__/values']) {
      const reply = await rig.send('several', path);
      expect(reply.status).toBe(200);
      expectNoTrace(reply, path);
    }
  });
});

describe('rules', () => {
  const groupsOf = async (path = '/api/v1/rules', params: Params = []) => (await data(path, params)).groups;
  it('a’s own and no others, without what tells of others', async () => {
    const groups = await groupsOf();
    expect(groups.map(({ name }: { name: string }) => name)).toEqual(['shop']);
    const [{ rules }] = groups;
    expect(rules.map(({ name }: { name: string }) => name)).toEqual(['shop:requests:sum', 'ShopLoad', 'shop:broken']);
    expect(rules[1].alerts).toHaveLength(1);
    expect(rules[1].alerts[0]).toMatchObject({ state: 'firing', labels: { namespace: 'shop-prod' } });
    expect(rules[2].health).toBe('err');
    expect(rules[2].lastError).not.toBe('');
  });
  it.each<[string, Params]>([
    ['record', [['type', 'record']]],
    ['alert', [['type', 'alert']]],
    ['b’s group', [['rule_group[]', 'secretb-group']]],
    ['b’s rule', [['rule_name[]', 'SecretbLoad']]],
    ['b’s namespace', [['match[]', '{namespace="secret-b"}']]],
    ['pages', [['group_limit', '1']]],
  ])('asked for %s', async (_, params) => {
    for (const group of await groupsOf('/api/v1/rules', params)) expect(group.name).toBe('shop');
  });
});

it('alerts: those with a’s labels, from whatever rule', async () => {
  const { alerts } = await data('/api/v1/alerts');
  const seen = alerts
    .map(({ labels }: { labels: Record<string, string> }) => `${labels.alertname} ${labels.namespace}`)
    .toSorted();
  expect(seen).toEqual(['AnyLoad shop-prod', 'ShopLoad shop-prod']);
});

describe('metadata', () => {
  it('of metrics that a has, in the words of a’s targets', async () => {
    const metadata = await data('/api/v1/metadata');
    expect(metadata.live_requests ?? metadata.live_requests_total).toEqual([
      expect.objectContaining({ help: 'Requests that shop got.' }),
    ]);
    expect(Object.keys(metadata)).toContain('shop_only');
    expect(Object.keys(metadata)).toContain('exporter_pods');
  });
  it.each(['live_load', 'secret_b_only', 'secretb_quota', 'exporter_nodes', 'nothing'])('of %s', async (metric) => {
    const metadata = await data('/api/v1/metadata', [['metric', metric]]);
    expect(Object.keys(metadata)).toEqual(metric === 'live_load' ? ['live_load'] : []);
  });
  it('no more than asked for', async () => {
    expect(Object.keys(await data('/api/v1/metadata', [['limit', '2']])).length).toBe(2);
  });
});

describe('exemplars', () => {
  it.each([
    'live_requests_total',
    'live_seconds_bucket',
    '{__name__=~"live.+"}',
    'sum(rate(live_requests_total[5m])) / live_load',
    'quantile(scalar(live_requests_total), live_seconds_bucket)',
  ])('of a’s series alone: %s', async (query) => {
    for (const carrier of ['GET', 'POST', 'multipart'] as const) {
      const reply = await rig.send('prometheus', '/api/v1/query_exemplars', [['query', query], ...always], carrier);
      expectNoTrace(reply, query);
      expect(reply.body).toContain('shop-trace');
    }
  });
  it.each(['secret_b_total', 'live_requests_total{namespace="secret-b"}'])('none of %s', async (query) => {
    expect(await data('/api/v1/query_exemplars', [['query', query], ...always])).toEqual([]);
  });
});

describe('what looks at the text of a query alone', () => {
  it('format_query shows it as it was written', async () => {
    expect(await data('/api/v1/format_query', [['query', 'sum(secret_b_total)by(job)']])).toContain(
      'sum by (job) (secret_b_total)',
    );
  });
  it('parse_query tells nothing', async () => {
    const reply = await rig.send('prometheus', '/api/v1/parse_query', [['query', 'secret_b_total']]);
    expectNoTrace(reply, 'secret_b_total');
  });
  it('build information has no names in it', async () => {
    expect(await data('/api/v1/status/buildinfo')).toMatchObject({ version: expect.any(String) });
  });
});

it.each(servers)('%s: without any parameters no endpoint tells of others', async (server) => {
  for (const path of [
    'query',
    'query_range',
    'query_exemplars',
    'series',
    'labels',
    'label/__name__/values',
    'label/secretb_zone/values',
    'metadata',
    'rules',
    'alerts',
    'format_query',
    'parse_query',
    'status/buildinfo',
  ]) {
    const reply = await rig.send(server, `/api/v1/${path}`);
    expectNoTrace(reply, path);
    expect(reply.status).toBeLessThan(500);
  }
});
