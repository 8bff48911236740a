import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { confinedMetadata, targetsMetadataQuery, visibleNamesQuery } from '../src/gateway/filter-metadata.ts';
import { filterAlerts, filterRules } from '../src/gateway/filter-rules.ts';
import type { Scope } from '../src/guard/scope.ts';
import { type Answer, ask, askBoth } from './support/ask.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';

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
    // A scrape may take no longer, and one that did would take the series away for a while.
    scrape_interval: '3s',
    honor_labels: true,
    static_configs: [{ targets: [`127.0.0.1:${(page.address() as AddressInfo).port}`], labels }],
  });
  prometheus = await startPrometheus({ rules, scrapeConfigs: [job('shop', own), job('secret', others), job('shared', {})] });
  await vi.waitFor(async () => {
    expect(await names('{namespace="shop-prod"}')).toEqual(expect.arrayContaining(['orders_total', 'forged', 'pod_info']));
    expect(await names('{namespace="secret-b"}')).toEqual(expect.arrayContaining(['orders_total', 'pod_info']));
    expect(errorOfBroken(await server('rules'))).toMatch(foreign);
    expect((dataOf(await server('alerts')) as { alerts: unknown[] }).alerts).toHaveLength(4);
  }, 60_000);
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

describe('through an endpoint of an environment that shares its server', () => {
  let promgate: TestPromgate;
  const tokens: Record<string, TestToken> = {};

  beforeAll(async () => {
    const project = (path: string, namespace: string) => ({
      path,
      environments: [{ name: 'production', kube_namespace: namespace }],
    });
    promgate = await startTestPromgate({
      resources: JSON.stringify({
        servers: [{ name: 'shared', url: prometheus.url, enforce: { namespace: '{{kube_namespace}}' } }],
        projects: [project('acme/shop', 'shop-prod'), project('other/b', 'secret-b'), project('other/empty', 'empty')],
      }),
    });
    for (const path of ['acme/shop', 'other/b', 'other/empty']) tokens[path] = await promgate.token(`${path}:production`);
  });

  afterAll(async () => {
    await promgate?.close();
  });

  function through(project: string, path: string): Promise<Answer> {
    const headers = { authorization: tokens[project]?.basic ?? '' };
    return ask(`${promgate.endpoint(`${project}:production`)}/api/v1/${path}`, { headers });
  }

  async function shown(project: string, path: string): Promise<unknown> {
    const answer = await through(project, path);
    expect(answer).toMatchObject({ status: 200, type: 'application/json' });
    return JSON.parse(answer.body);
  }

  /** Times of the last evaluation change from one answer to the next. */
  function timeless(body: unknown): unknown {
    return JSON.parse(JSON.stringify(body), (key, value) => (/^(evaluationTime|lastEvaluation)$/.test(key) ? null : value));
  }

  it('rules are those of the environment', async () => {
    for (const [project, value] of [
      ['acme/shop', 'shop-prod'],
      ['other/b', 'secret-b'],
      ['other/empty', 'empty'],
    ] as const) {
      const limits = [{ label: 'namespace', values: [value] }];
      const expected = async () => timeless(filterRules(await server('rules'), limits));
      const answers = await askBoth(expected, () => shown(project, 'rules'));
      expect(timeless(answers.through)).toEqual(answers.direct);
    }
    expect((await through('acme/shop', 'rules')).body).not.toMatch(foreign);
    expect((await through('acme/shop', 'rules')).body).toContain('shop:orders:sum');
  });

  it('rules can be chosen by the parameters of the API, but not to see more', async () => {
    const ruleNames = async (query: string): Promise<string[]> => {
      const { groups } = dataOf(await shown('acme/shop', `rules?${query}`)) as { groups: { rules: { name: string }[] }[] };
      return groups.flatMap((group) => group.rules.map((rule) => rule.name));
    };
    expect(await ruleNames('type=alert')).toEqual(['ShopOrders']);
    expect(await ruleNames('type=record')).toEqual(['shop:broken', 'shop:orders:sum']);
    for (const query of ['rule_name[]=SecretOrders', 'rule_group[]=secret-group', 'match[]={namespace="secret-b"}', 'file[]=x']) {
      const { body } = await through(
        'acme/shop',
        `rules?${query.replace('{', '%7B').replace('}', '%7D').replaceAll('"', '%22')}`,
      );
      expect(body).not.toMatch(foreign);
    }
  });

  it('rules come on one page, whatever page is asked for', async () => {
    const all = async () => timeless(await shown('acme/shop', 'rules'));
    for (const page of ['group_limit=1', 'group_limit=1&group_next_token=abc']) {
      const answers = await askBoth(all, () => shown('acme/shop', `rules?${page}`));
      expect(timeless(answers.through)).toEqual(answers.direct);
    }
  });

  it('alerts are those of the environment', async () => {
    for (const [project, value] of [
      ['acme/shop', 'shop-prod'],
      ['other/b', 'secret-b'],
      ['other/empty', 'empty'],
    ] as const) {
      const limits = [{ label: 'namespace', values: [value] }];
      // Prometheus goes through its groups in the order of a Go map.
      const sorted = (body: unknown) =>
        (dataOf(body) as { alerts: object[] }).alerts.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
      const answers = await askBoth(
        async () => sorted(filterAlerts(await server('alerts'), limits)),
        async () => sorted(await shown(project, 'alerts')),
      );
      expect(answers.through).toEqual(answers.direct);
    }
    expect((await through('acme/shop', 'alerts')).body).not.toMatch(foreign);
  });

  it('metadata is that of the environment, with the parameters of the API', async () => {
    expect(await shown('acme/shop', 'metadata')).toEqual(await metadata(scope));
    expect((await through('acme/shop', 'metadata')).body).not.toMatch(foreign);
    expect(await shown('other/empty', 'metadata')).toEqual({ status: 'success', data: {} });
    for (const params of [{ metric: 'orders_total' }, { limit: '2' }, { limit_per_metric: '1' }, { metric: 'secret_quota' }]) {
      const query = new URLSearchParams(params).toString();
      expect(await shown('acme/shop', `metadata?${query}`)).toEqual(await metadata(scope, params));
    }
    expect(await through('acme/shop', 'metadata?limit=many')).toMatchObject({
      status: 400,
      body: '{"status":"error","errorType":"bad_data","error":"limit must be a number"}',
    });
  });

  it("an error of the server is handed on without others' names", async () => {
    const { status, body } = await through('acme/shop', 'rules?type=secretless');
    expect(status).toBe(400);
    expect(JSON.parse(body)).toMatchObject({ status: 'error', errorType: 'bad_data' });
  });
});
