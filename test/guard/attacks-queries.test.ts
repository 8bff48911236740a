import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, type Params } from '../support/ask.ts';
import { expectNoTrace, type GuardRig, type SharedServer, startGuardRig } from '../support/guard-rig.ts';
import { leaks } from '../support/tenants.ts';
import { around, at, attempt } from './attempt.ts';

/** Attacks through the text of a query or selector, each by GET, urlencoded and multipart POST, with the token of tenant a. */
let rig: GuardRig;
beforeAll(async () => {
  rig = await startGuardRig();
});
afterAll(() => rig?.close());

const window: Params = [
  ['start', '1748767800'],
  ['end', '1748768400'],
];
const servers: SharedServer[] = ['prometheus', 'victoria'];

/** For both servers: the answer is that of a server with a's data alone, for an instant and for a range. */
function asAlone(queries: readonly string[]): void {
  describe.each(servers)('%s', (server) => {
    it.each(queries)('%s', async (query) => {
      await attempt(rig, server, '/api/v1/query', at(query));
      await attempt(rig, server, '/api/v1/query_range', around(query));
    });
  });
}

/** Nothing is asked of the server, and the answer is 400. */
async function expectRefused(query: string, status = 400, text = ''): Promise<void> {
  for (const [path, params] of [
    ['/api/v1/query', at(query)],
    ['/api/v1/query_range', around(query)],
    ['/api/v1/query_exemplars', around(query)],
  ] as const) {
    rig.recorders.prometheus.take();
    const reply = await attempt(rig, 'prometheus', path, params, { asAlone: false });
    expect(reply).toMatchObject({ status, body: expect.stringContaining(text) });
    expect(JSON.parse(reply.body)).toMatchObject({ status: 'error' });
  }
}

it('without an attack, a’s own series come as a server with them alone gives them', async () => {
  for (const server of servers) {
    const reply = await attempt(rig, server, '/api/v1/query', at('sum by (instance) (rate(http_requests_total[5m]))'));
    expect(JSON.parse(reply.body).data.result).toHaveLength(2);
    expect(await attempt(rig, server, '/api/v1/query', at('1 + 1'))).toMatchObject({ status: 200 });
  }
  const direct = await ask(`${rig.prometheus.prometheus.url}/api/v1/query`, { params: at('count(up)') });
  expect(JSON.parse(direct.body).data.result[0].value[1]).toBe('8');
});

describe('attack 1: parameters of aggregations and arguments of functions', () => {
  asAlone([
    'quantile(scalar(secret_b_total{namespace="secret-b"}), up)',
    'quantile without (instance) (scalar(secret_b_total{job="secretb"}), up)',
    'topk(scalar(count(secret_b_total)), up)',
    'topk by (job) (scalar(max(secret_b_total)) / 7e12, http_requests_total)',
    'bottomk(scalar(up{namespace="secret-b", job="secretb"} > bool 0), up)',
    'count_values("value", secret_b_total)',
    'histogram_quantile(scalar(secret_b_total), http_request_duration_seconds_bucket)',
    'quantile_over_time(scalar(secret_b_total{job="secretb"}), up[5m])',
    'clamp_min(vector(1), scalar(secret_b_total{job="secretb"}))',
    'vector(scalar(sum(secret_b_total)))',
    'round(up, scalar(secret_b_total{job="secretb"}))',
    'predict_linear(up[5m], scalar(secret_b_total{job="secretb"}))',
    'sum(topk(2, quantile(scalar(sum(topk(scalar(secret_b_total), secret_b_total))), up)))',
  ]);
});

describe('attack 2: info() reads info metrics that no selector names', () => {
  it.each([
    'info(up)',
    'info(up, {version=~".+"})',
    'sum(info(rate(http_requests_total[5m])))',
    'up or topk(scalar(info(up)), up)',
    'max_over_time(info(up)[5m:1m])',
  ])('%s', async (query) => {
    await expectRefused(query, 422, 'info()');
    expect(rig.recorders.prometheus.take()).toEqual([]);
    await attempt(rig, 'victoria', '/api/v1/query', at(query), { asAlone: false });
  });
});

describe('attack 3: what ends a comment or separates words for one parser and not for another', () => {
  const separators =
    '\r \v \f \x85 \xa0 \xad \u1680 \u180e \u2000 \u2003 \u200b \u200e \u2028 \u2029 \u202e \u202f \u205f \u2060 \u3000 \ufeff \0 \x1a \x1c \x7f';
  it.each(separators.split(' ').map((character) => [JSON.stringify(character), character]))('%s', async (_, character) => {
    for (const query of [
      `up #${character} or secret_b_total`,
      `up #${character}or secret_b_total\n`,
      `up # ${character}\r\n#${character}\n or up`,
      `up${character}or${character}secret_b_total`,
      `${character}secret_b_total`,
      `secret_b_total{namespace=${character}"secret-b"${character}}`,
      `secret_b_total{namespace="secret-b${character}"}`,
      `sum(${character}secret_b_total)${character}`,
    ]) {
      // Prometheus ends a comment at a carriage return; to be safe, such a comment is refused.
      const differs = character === '\r' && query.includes('#\r');
      await attempt(rig, 'prometheus', '/api/v1/query', at(query), { asAlone: !differs });
      await attempt(rig, 'victoria', '/api/v1/query', at(query), { asAlone: false });
    }
  });
  it('a comment with a lone carriage return is refused', async () => {
    await expectRefused('up #\r or secret_b_total', 400, 'carriage return');
    await expectRefused('up # x\r\r\n or secret_b_total', 400, 'carriage return');
    expect(rig.recorders.prometheus.take()).toEqual([]);
  });
});

describe('attack 3, before a Prometheus that passes for VictoriaMetrics, which would read more than Promgate does', () => {
  it.each([
    'up #\r or secret_b_total',
    'secret_b_total @ start() [5m]',
    'last_over_time(secret_b_total[5s x 5m])',
    'up or {__name__=~"secret.*", x=~"(?P<a>)?"}',
    'secret_b_total keep_metric_names',
    'WITH (x = secret_b_total) x',
  ])('%j', async (query) => {
    for (const environment of ['pretender', 'mistaken']) {
      const reply = await rig.send(environment, '/api/v1/query', at(query));
      expectNoTrace(reply, query);
      expect(reply.status).toBeLessThan(500);
    }
  });
});

describe('attack 5: matchers of the client that contradict', () => {
  asAlone([
    'up{namespace="secret-b"}',
    'up{namespace=~"shop-prod|secret-b"}',
    'up{namespace=~".+"}',
    'up{namespace!="shop-prod"}',
    'up{namespace!~"shop.*"}',
    'up{namespace="shop-prod",namespace="secret-b"}',
    'up{namespace="secret-b",namespace=~"secret.*"} or up{namespace=~"(?i)shop-prod"}',
    'secret_b_total{namespace=~"(?i:SHOP-prod)|secret-b"}',
    'up{namespace=~"shop-prod.*"}',
    'up{namespace=~"|shop-prod",}',
    'up{secretb_zone!=""}',
    'up{U__namespace="secret-b"}',
    'up{U__secretb_zone=""}',
  ]);
  it.each([
    '{"n\\x61mespace"="secret-b"}',
    '{"up", "namespace"="secret-b"}',
    '{"up", \'n\\u0061mespace\'!="shop-prod"}',
    '{"secret_b_total"}',
    '{"up", `namespace`=~".+"}',
    '{"__name__"="secret_b_total"}',
  ])('names in quotes are as good as names, and as confined: %s', async (query) => {
    // This Prometheus does not read them as they are written.
    expect(await attempt(rig, 'prometheus', '/api/v1/query', at(query), { asAlone: false })).toMatchObject({ status: 200 });
    await attempt(rig, 'victoria', '/api/v1/query', at(query), { asAlone: false });
  });
});

describe('attack 6: strings that end elsewhere for another parser', () => {
  asAlone([
    'up{job=~`secret.*|shop`}',
    'up{job="\\\\"} or secret_b_total{namespace="secret-b"}',
    'up{job="\\"} or secret_b_total{namespace=\\"secret-b"}',
    "up{job='\"'} or secret_b_total{namespace!='\"'}",
    "up{job='#'} or secret_b_total # '}",
    'up{job="# "} # "} or secret_b_total',
    'up{job="}"} or secret_b_total{namespace="secret-b"}',
    'up{job!="{{x}}"} or secret_b_total',
    'label_replace(up, "x", "$1 # }", "job", "(.*)") or secret_b_total',
    'up{job="\\x22} or secret_b_total{namespace=\\x22secret-b"}',
    'up{job!="\\u0022,namespace=\\u0022secret-b"}',
    'count_values("a\\"b", secret_b_total)',
  ]);
  it.each(['up{job=`\\`} or secret_b_total{namespace="secret-b"}', '{"up\\"} or {\\"secret_b_total"}'])('%s', async (query) => {
    for (const server of servers) await attempt(rig, server, '/api/v1/query', at(query), { asAlone: false });
  });
});

describe('attack 7: everything at once, and other times', () => {
  asAlone([
    '{__name__=~".+"}',
    '{__name__!=""}',
    '{job=~".+"}',
    'count({__name__=~".+"})',
    'count by (namespace) ({__name__=~".+"})',
    'max_over_time(secret_b_total[30m:1m])',
    'sum(sum_over_time({__name__=~"secret.+"}[30m:1m]))',
    'up offset 30m',
    'up offset -30m',
    'secret_b_total offset -1h',
  ]);
  it.each([
    'up @ start()',
    'secret_b_total @ end()',
    'rate(http_requests_total[5m] @ 1748768000)',
    'sum(max_over_time((secret_b_total or up)[10m:1m] @ end()))',
    'max_over_time(max_over_time(secret_b_total[5m:1m] offset -5m)[10m:1m] @ 1748768400 offset 1m)',
  ])('%s', async (query) => {
    await attempt(rig, 'prometheus', '/api/v1/query', at(query));
    await attempt(rig, 'prometheus', '/api/v1/query_range', around(query));
    await attempt(rig, 'victoria', '/api/v1/query_range', around(query), { asAlone: false });
  });
});

describe('attack 8: labels that are made, not had', () => {
  asAlone([
    'label_replace(up{namespace="secret-b"}, "namespace", "shop-prod", "", "")',
    'label_replace(secret_b_total, "namespace", "shop-prod", "job", ".*")',
    'label_join(secret_b_total, "namespace", "-", "job", "job")',
    'label_replace(up, "namespace", "secret-b", "", "")',
    'label_replace(up{instance="shop-0:8080"}, "namespace", "$1", "job", "(.*)") or secret_b_total',
    'up * on (job, instance) group_left (secretb_zone) label_replace(target_info, "a", "b", "", "")',
    'sum by (namespace, secretb_zone) (label_replace({__name__=~".+"}, "namespace", "shop-prod", "", ""))',
    'count by (namespace) (label_replace(secret_b_total, "namespace", "shop-prod", "", "") or up)',
    'up and on () label_replace(secret_b_total, "namespace", "shop-prod", "", "")',
    'up unless on () secret_b_total',
  ]);
});

describe('attack 9: selectors that are missing, empty or none', () => {
  const bare = [
    'up',
    'secret_b_total',
    '{namespace="secret-b"}',
    'up{namespace!="shop-prod"}',
    '{__name__=~".+"}',
    '{__name__=~"up|secret_b_total",namespace=~".*"}',
  ];
  const others = [
    [
      '',
      ' ',
      '{}',
      '{namespace=~".*"}',
      '{namespace=""}',
      '{job=~"|x"}',
      'up or secret_b_total',
      'rate(up[5m])',
      'up[5m]',
      '(up)',
      'sum(up)',
    ],
    [
      '1',
      '"up"',
      'up offset 5m',
      'up @ 0',
      'up @ start()',
      '-up',
      'up,secret_b_total',
      'up}',
      'up{',
      'up{}{}',
      'up[5m:1m]',
      'time()',
    ],
  ].flat();
  const endpoints = ['/api/v1/series', '/api/v1/labels', '/api/v1/label/namespace/values', '/api/v1/label/__name__/values'];

  describe.each(servers)('%s', (server) => {
    it.each(endpoints)('%s shows what a has alone', async (path) => {
      for (const selector of bare) await attempt(rig, server, path, [['match[]', selector], ...window]);
      await attempt(rig, server, path, [['match[]', 'up'], ['match[]', 'secret_b_total'], ...window]);
    });
    it.each([
      '/api/v1/labels',
      '/api/v1/label/namespace/values',
      '/api/v1/label/__name__/values',
      '/api/v1/label/secretb_zone/values',
    ])('%s without a selector too', async (path) => {
      await attempt(rig, server, path, window);
      await attempt(rig, server, path, [['match[]', 'up'], ...window.map(([name]): [string, string] => [name, '1748768400'])]);
      await attempt(rig, server, path, [['limit', '1000']], { asAlone: false });
    });
  });
  it.each(endpoints)('%s takes nothing but bare selectors, of which none matches everything', async (path) => {
    for (const selector of others) {
      const params: Params = [['match[]', selector], ...window];
      expect({ selector, ...(await attempt(rig, 'prometheus', path, params)) }).toMatchObject({ selector, status: 400 });
      await attempt(rig, 'prometheus', path, [['match[]', 'up'], ...params]);
      await attempt(rig, 'victoria', path, params, { asAlone: false });
    }
  });
  it('series without a selector is refused, as by Prometheus', async () => {
    for (const server of servers) {
      expect(await attempt(rig, server, '/api/v1/series', window, { asAlone: false })).toMatchObject({ status: 400 });
    }
    expect(rig.recorders.prometheus.take()).toEqual([]);
  });
  it.each(['U__namespace', 'U__secretb__zone', 'secretb_zone', 'U__', 'U___', 'namespace%20', 'NAMESPACE'])(
    'values of the label %s',
    async (label) => {
      const path = `/api/v1/label/${label}/values`;
      await attempt(rig, 'prometheus', path, window);
      await attempt(rig, 'victoria', path, window, { asAlone: false });
    },
  );
  it('federation is closed, with selectors and without', async () => {
    for (const server of servers) {
      const reply = await attempt(rig, server, '/federate', [['match[]', '{__name__=~".+"}']], { asAlone: false });
      expect(reply.status).toBe(404);
      expect(rig.recorders[server].take()).toEqual([]);
    }
  });
});

describe('attack 13: selectors that match everything but for what is added', () => {
  asAlone([
    '{}',
    '{namespace=~".*"}',
    '{namespace=""}',
    '{namespace!="x"}',
    '{namespace!~"shop-prod"}',
    '{job=~"|shop"}',
    '{job=~"(?s).*"}',
    '{__name__=~""}',
    '{__name__=""}',
    '{a=~"b{0}"}',
    '{namespace=~"(secret-b)?"}',
    'up or {namespace!=""} or {x=~"y*"}',
    'up{namespace=""}',
    'up{namespace=~"|secret-b"}',
    'up{namespace=~".*"}',
    '{namespace=~".+"}',
  ]);
});

describe('attack 14: answers that tell of what they do not show', () => {
  asAlone([
    'count_values("namespace", up)',
    'count_values("v", secret_b_total or up)',
    'count(up) + count(up)',
    'sort_desc(up)',
    'up * on (job) http_requests_total',
    'http_requests_total / on (job) up',
    'node_load1 + on () up',
    'label_replace(up, "instance", "x", "", "") * on (instance) up',
    'sum by (secretb_zone) (up)',
    'group without (job, instance) (up)',
    'unknown_secret(up)',
    'rate(secret_b_total)',
    'sum(secret_b_total) by (',
    'secret_b_total{namespace="secret-b}',
  ]);
  it('the same error of the server itself names the others', async () => {
    const query = 'up * on (job) http_requests_total';
    const { body } = await ask(`${rig.prometheus.prometheus.url}/api/v1/query`, { params: at(query) });
    expect(leaks(body, { asked: query })).not.toEqual([]);
  });
  it.each([
    'absent(secret_b_total{namespace="secret-b"})',
    'absent(secret_b_total)',
    'absent(up)',
    'absent_over_time(secret_b_total[5m])',
    'absent(secret_b_total{namespace="secret-b"}) or up',
  ])('what is absent is what a does not have: %s', async (query) => {
    for (const server of servers) {
      const reply = await attempt(rig, server, '/api/v1/query', at(query), { asAlone: false });
      const { result } = JSON.parse(reply.body).data;
      expect(result.length > 0).toBe(
        JSON.parse((await rig.alone(server, '/api/v1/query', at(query))).body).data.result.length > 0,
      );
    }
  });
});
