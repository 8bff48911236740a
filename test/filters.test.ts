import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { confinedMetadata, targetsMetadataQuery, visibleNamesQuery } from '../src/gateway/filter-metadata.ts';
import { filterAlerts, filterRules } from '../src/gateway/filter-rules.ts';
import type { Scope } from '../src/guard/scope.ts';
import { ask } from './support/ask.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startVmalert } from './support/vmalert.ts';

/**
 * Two tenants share a server. Whatever is of the other one, or tells of it, has "secret" in it (labels, names, queries,
 * annotations, help texts, error texts), and its values begin with a 7.
 */
const scope: Scope = [{ label: 'namespace', values: ['shop-prod'] }];
const foreign = /secret|"7/i;

const pages: Record<string, string> = {
  shop: [
    '# HELP orders_total Orders of the shop.',
    '# TYPE orders_total counter',
    'orders_total{pod="shop-0"} 5',
    '# HELP latency_seconds How long the shop takes.',
    '# TYPE latency_seconds histogram',
    'latency_seconds_bucket{le="+Inf"} 2',
    'latency_seconds_sum 1',
    'latency_seconds_count 2',
    '# HELP unused Has no series.',
    '# TYPE unused gauge',
  ].join('\n'),
  secret: [
    '# HELP orders_total Orders of the secret tenant.',
    '# TYPE orders_total counter',
    'orders_total{pod="secret-0"} 777777',
    '# HELP secret_plans_total What only the secret tenant has.',
    '# TYPE secret_plans_total counter',
    'secret_plans_total 777777',
    // Says of itself that it is the shop's: `honor_labels` believes it.
    '# HELP forged A secret that was put into the name of the shop.',
    '# TYPE forged gauge',
    'forged{namespace="shop-prod"} 1',
  ].join('\n'),
  shared: [
    '# HELP pod_info Pods of all.',
    '# TYPE pod_info gauge',
    'pod_info{namespace="shop-prod",pod="shop-0"} 1',
    'pod_info{namespace="secret-b",pod="secret-0"} 777',
    '# HELP secret_quota Only the secret tenant has one.',
    '# TYPE secret_quota gauge',
    'secret_quota{namespace="secret-b"} 777',
    '# HELP node_info Nobody has this: a secret.',
    '# TYPE node_info gauge',
    'node_info{node="secret-node"} 777',
  ].join('\n'),
};

const own = { namespace: 'shop-prod' };
const others = { namespace: 'secret-b' };
const rules = [
  {
    name: 'shop',
    rules: [
      { record: 'shop:orders:sum', expr: 'sum(orders_total{namespace="shop-prod"})', labels: own },
      {
        alert: 'ShopOrders',
        expr: 'orders_total{namespace="shop-prod"} > 0',
        labels: { ...own, severity: 'page' },
        annotations: { summary: '{{ $value }} orders' },
      },
    ],
  },
  {
    name: 'mixed',
    rules: [
      { record: 'secret:orders:sum', expr: 'sum(orders_total{namespace="secret-b"})', labels: others },
      { alert: 'SecretOrders', expr: 'orders_total{namespace="secret-b"} > 777', labels: others },
      { alert: 'AnyOrders', expr: 'orders_total{secret!="x"} > 0', annotations: { summary: '{{ $labels.namespace }}' } },
      // The server's error text names the series of both.
      { record: 'shop:broken', expr: 'orders_total{namespace="shop-prod"} * on () orders_total', labels: own },
    ],
  },
  { name: 'secret-group', rules: [{ record: 'secret:one', expr: 'vector(777)', labels: others }] },
];

let page: Server;
let prometheus: TestServer;

beforeAll(async () => {
  page = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(`${pages[request.url?.slice(1) ?? '']}\n`);
  });
  await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve));
  const job = (name: string, labels: object) => ({
    job_name: name,
    metrics_path: `/${name}`,
    scrape_interval: '1s',
    honor_labels: true,
    static_configs: [{ targets: [`127.0.0.1:${(page.address() as AddressInfo).port}`], labels }],
  });
  prometheus = await startPrometheus({ rules, scrapeConfigs: [job('shop', own), job('secret', others), job('shared', {})] });
  await vi.waitFor(async () => {
    expect(await names('{namespace="shop-prod"}')).toEqual(expect.arrayContaining(['orders_total', 'forged', 'pod_info']));
    expect(await names('{namespace="secret-b"}')).toEqual(expect.arrayContaining(['orders_total', 'pod_info']));
    expect(errorOfBroken(await server('rules'))).toMatch(foreign);
    expect((dataOf(await server('alerts')) as { alerts: unknown[] }).alerts).toHaveLength(4);
  }, 30_000);
});

afterAll(async () => {
  await prometheus?.stop();
  page?.close();
});

/** What the server itself answers. */
async function server(path: string, query = ''): Promise<unknown> {
  const { status, body } = await ask(`${prometheus.url}/api/v1/${path}${query === '' ? '' : `?${query}`}`);
  expect(status, body).toBe(200);
  return JSON.parse(body);
}

function dataOf(body: unknown): unknown {
  return (body as { data: unknown }).data;
}

function errorOfBroken(body: unknown): string | undefined {
  const { groups } = dataOf(body) as { groups: { rules: { name: string; lastError?: string }[] }[] };
  return groups.flatMap((group) => group.rules).find((rule) => rule.name === 'shop:broken')?.lastError;
}

async function names(selector: string): Promise<unknown> {
  return dataOf(await server('label/__name__/values', new URLSearchParams({ 'match[]': selector }).toString()));
}

/** Makes sure that the test can fail: the answer that is filtered holds what must not be left. */
function expectForeign(body: unknown): void {
  expect(JSON.stringify(body)).toMatch(foreign);
}

function metadata(limits: Scope, params: Record<string, string> = {}): Promise<object> {
  const source = {
    visibleNames: async () => dataOf(await server('label/__name__/values', visibleNamesQuery(limits))) as string[],
    targetsMetadata: () => server('targets/metadata', targetsMetadataQuery(limits)),
  };
  return confinedMetadata(source, limits, new Map(Object.entries(params)));
}

describe('rules of a shared Prometheus', () => {
  it("are the environment's own, with everything that Prometheus says of them but its errors", async () => {
    const body = await server('rules');
    expectForeign(body);
    const filtered = filterRules(body, scope);
    expect(JSON.stringify(filtered)).not.toMatch(foreign);
    const { groups } = dataOf(body) as { groups: { name: string; rules: { name: string }[] }[] };
    const [shop, mixed] = ['shop', 'mixed'].map((name) => groups.find((group) => group.name === name));
    const broken = mixed?.rules.find((rule) => rule.name === 'shop:broken');
    const lastError = 'the evaluation of this rule failed; the server knows why';
    // Prometheus sorts groups by name.
    const shown = [{ ...mixed, rules: [{ ...broken, health: 'err', lastError }] }, shop];
    expect(filtered).toEqual({ status: 'success', data: { groups: shown } });
  });

  it('are none for an environment that has none, whatever it is called', async () => {
    const body = await server('rules');
    for (const value of ['shop', 'shop-prod2', '.*', 'shop-prod|secret-b', 'page']) {
      expect(filterRules(body, [{ label: 'namespace', values: [value] }])).toEqual({ status: 'success', data: { groups: [] } });
    }
  });
});

describe('alerts of a shared Prometheus', () => {
  it("are the environment's own, also those of a rule that speaks for all", async () => {
    const body = await server('alerts');
    expectForeign(body);
    const filtered = filterAlerts(body, scope);
    expect(JSON.stringify(filtered)).not.toMatch(foreign);
    const { alerts } = dataOf(body) as { alerts: { labels: Record<string, string> }[] };
    const mine = alerts.filter((alert) => alert.labels.namespace === 'shop-prod');
    expect(mine.map((alert) => alert.labels.alertname).sort()).toEqual(['AnyOrders', 'ShopOrders']);
    expect(dataOf(filtered)).toEqual({ alerts: mine });
  });
});

describe('metadata of a shared Prometheus', () => {
  const orders = [{ type: 'counter', help: 'Orders of the shop.', unit: '' }];

  it('is that of metrics with series in scope, as told by own and by shared targets', async () => {
    expectForeign(await server('metadata'));
    const shown = await metadata(scope);
    expect(JSON.stringify(shown)).not.toMatch(foreign);
    expect(shown).toEqual({
      status: 'success',
      data: {
        latency_seconds: [{ type: 'histogram', help: 'How long the shop takes.', unit: '' }],
        orders_total: orders,
        pod_info: [{ type: 'gauge', help: 'Pods of all.', unit: '' }],
      },
    });
  });

  it('obeys its parameters', async () => {
    expect(dataOf(await metadata(scope, { metric: 'orders_total' }))).toEqual({ orders_total: orders });
    expect(dataOf(await metadata(scope, { metric: 'secret_plans_total' }))).toEqual({});
    expect(Object.keys(dataOf(await metadata(scope, { limit: '1' })) as object)).toEqual(['latency_seconds']);
  });

  it('of a scope with several values is that of all of them', async () => {
    const both = await metadata([{ label: 'namespace', values: ['shop-prod', 'secret-b'] }]);
    expect(dataOf(both)).toMatchObject({ orders_total: [{}, {}], secret_plans_total: [{}], secret_quota: [{}], forged: [{}] });
    expect(dataOf(both)).not.toHaveProperty('node_info');
  });

  it('is asked for in words that the server understands, whatever is in a value', async () => {
    const odd: Scope = [
      { label: 'namespace', values: ['a"b\\c', 'x|y', '(', '.*', 'ä\n'] },
      { label: 'job', values: ["it's"] },
    ];
    expect(await metadata(odd)).toEqual({ status: 'success', data: {} });
  });

  it('shows no text of a target that the server counts to another environment, even if it was asked for too much', async () => {
    const source = {
      visibleNames: async () => (await names('{__name__=~".+"}')) as string[],
      targetsMetadata: () => server('targets/metadata'),
    };
    expectForeign(await source.targetsMetadata());
    const shown = await confinedMetadata(source, scope, new Map());
    expect(JSON.stringify(shown)).not.toContain('secret tenant has.');
    expect(dataOf(shown)).toMatchObject({ orders_total: orders });
    expect(dataOf(shown)).not.toHaveProperty('forged');
  });
});

describe('rules and alerts of a shared vmalert', () => {
  it("are the environment's own, without the group's settings, links and the queries of others", async () => {
    const each = (value: string): string => `label_set(vector(${value}), "namespace"`;
    const vmalert = await startVmalert({
      rules: [
        {
          name: 'mixed',
          labels: { team: 'shared' },
          params: { nocache: ['secret'] },
          rules: [
            { alert: 'Own', expr: 'vector(1)', labels: own, annotations: { summary: 'own {{ $value }}' } },
            { alert: 'Secret', expr: 'vector(777)', labels: others },
            { alert: 'All', expr: `${each('1')}, "shop-prod") or ${each('777')}, "secret-b")` },
            // Only the error text has the word, not the query.
            {
              record: 'shop:broken',
              expr: 'union(label_set(1, "zone", "se" + "cret-1"), label_set(1, "zone", "se" + "cret-2")) * on () 1',
              labels: own,
            },
          ],
        },
      ],
    });
    try {
      const asked = async (path: string): Promise<unknown> => JSON.parse((await ask(`${vmalert.url}/api/v1/${path}`)).body);
      await vi.waitFor(async () => {
        const { alerts } = dataOf(await asked('alerts')) as { alerts: { state: string }[] };
        expect(alerts.map(({ state }) => state)).toEqual(['firing', 'firing', 'firing', 'firing']);
        expect(errorOfBroken(await asked('rules'))).toMatch(foreign);
      }, 20_000);
      const [givenRules, givenAlerts] = await Promise.all([asked('rules'), asked('alerts')]);
      expectForeign(givenRules);
      expectForeign(givenAlerts);
      const shownRules = filterRules(givenRules, scope);
      const shownAlerts = filterAlerts(givenAlerts, scope);
      expect(JSON.stringify([shownRules, shownAlerts])).not.toMatch(foreign);
      const alert = (name: string) =>
        expect.objectContaining({ state: 'firing', name, value: '1', labels: expect.objectContaining(own) });
      const { alerts } = dataOf(shownAlerts) as { alerts: unknown[] };
      expect(alerts).toHaveLength(2);
      expect(alerts).toEqual(expect.arrayContaining([alert('Own'), alert('All')]));
      expect(shownRules).toEqual({
        status: 'success',
        data: {
          groups: [
            {
              name: 'mixed',
              file: expect.any(String),
              interval: 1,
              lastEvaluation: expect.any(String),
              rules: [
                expect.objectContaining({ name: 'Own', query: 'vector(1)', state: 'firing', alerts: [alert('Own')] }),
                expect.objectContaining({
                  name: 'shop:broken',
                  health: 'err',
                  lastError: expect.stringContaining('this rule failed'),
                }),
              ],
            },
          ],
        },
      });
    } finally {
      await vmalert.stop();
    }
  });
});
