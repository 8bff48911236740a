import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/ask.ts';
import { selectorsIn } from '../support/canonical.ts';
import {
  startTenantPrometheus,
  startTenantVictoriaMetrics,
  type TenantServers,
  type TenantVictoriaMetrics,
} from '../support/tenant-servers.ts';
import { leaks } from '../support/tenants.ts';

/** Without this the other tests of this directory would prove nothing. */
let prometheus: TenantServers;
let victoria: TenantVictoriaMetrics;

beforeAll(async () => {
  [prometheus, victoria] = await Promise.all([startTenantPrometheus(), startTenantVictoriaMetrics()]);
});

afterAll(async () => void (await Promise.all([prometheus?.stop(), victoria?.stop()])));

const time = String(Date.UTC(2025, 5, 1, 9) / 1000);
const names = [
  'up',
  'node_load1',
  'target_info',
  'http_requests_total',
  'http_request_duration_seconds_bucket',
  'secret_b_total',
];
const get = async (url: string, path: string) => (await ask(`${url}/api/v1/${path}`)).body;

describe('a server that holds everybody’s data gives the other tenant away', () => {
  it.each(names)('in each series of %s but a’s own, by its labels and by its value', async (name) => {
    for (const url of [prometheus.prometheus.url, victoria.victoria.url]) {
      const { data } = JSON.parse(await get(url, `query?query=${name}&time=${time}`));
      const foreign = data.result.filter(({ metric }: { metric: Record<string, string> }) => metric.namespace !== 'shop-prod');
      expect(foreign.length).toBeGreaterThanOrEqual(6);
      for (const { metric, value } of foreign) {
        expect(leaks(JSON.stringify(metric))).not.toEqual([]);
        expect(leaks(JSON.stringify(value))).toHaveLength(1);
        expect(leaks(JSON.stringify(value), { values: false })).toEqual([]);
      }
    }
  });

  it.each(['rate(http_requests_total[5m])', 'sum(up)', 'max(increase(http_requests_total[1m]))'])('in %s', async (query) => {
    for (const url of [prometheus.prometheus.url, victoria.victoria.url]) {
      expect(leaks(await get(url, `query?query=${encodeURIComponent(query)}&time=${time}`))).not.toEqual([]);
    }
  });

  it.each([
    'labels',
    'label/__name__/values',
    'label/namespace/values',
    'series?match[]=live_load',
    'metadata',
    'rules',
    'alerts',
    'targets',
    'query_exemplars?query=live_requests_total&start=0&end=9999999999',
  ])('in the answer to %s', async (path) => {
    expect(leaks(await get(prometheus.prometheus.url, path))).not.toEqual([]);
  });

  it('in help texts, exemplars, annotations and errors of rules', async () => {
    const { url } = prometheus.prometheus;
    expect(await get(url, 'metadata')).toContain('Requests that secretb got.');
    expect(await get(url, 'query_exemplars?query=live_requests_total&start=0&end=9999999999')).toContain('secretb-trace');
    expect(await get(url, 'alerts')).toContain('secretb has load');
    const broken = JSON.parse(await get(url, 'rules')).data.groups.flatMap(({ rules }: { rules: object[] }) => rules);
    expect(leaks(broken.find(({ name }: { name: string }) => name === 'shop:broken').lastError)).not.toEqual([]);
  });
});

describe('a server that holds a’s data alone gives nobody away', () => {
  it.each([
    'query?query={__name__=~".%2b"}',
    `query?query={__name__=~".%2b"}&time=${time}`,
    'labels',
    'label/__name__/values',
    'series?match[]={__name__=~".%2b"}',
    'metadata',
  ])('in the answer to %s', async (path) => {
    for (const url of [prometheus.prometheusOfA.url, victoria.victoriaOfA.url]) {
      const body = await get(url, path);
      expect(JSON.parse(body).status).toBe('success');
      expect(leaks(body)).toEqual([]);
    }
  });
});

it('what the client itself wrote is no trace', () => {
  expect(leaks('unknown metric "secret_b_total"', { asked: 'secret_b_total{namespace="secret-b"}' })).toEqual([]);
  expect(leaks('{"namespace":"secret-b","secretb_zone":"secretb-1"}', { asked: '{namespace="secret-b"}' })).toEqual([
    'secretb_zone',
    'secretb-1',
  ]);
});

describe('the reader of canonical queries', () => {
  it.each([
    ['up', ['up']],
    ['{a="b"} + up{c!="d\\"}"}', ['{a=b}', 'up{c!=d"}}']],
    ['sum by (up, down) (a / on (x) group_left (y) b offset 5m)', ['a', 'b']],
    ['quantile(scalar(b{n="}"}), c[5m:1m] @ start())', ['b{n=}}', 'c']],
    ['count_values without (z) ("up", a) > bool 1e+06 unless -b ^ Inf @ 123.000', ['a', 'b']],
    ['sum + by + offset offset 1m', ['sum', 'by', 'offset']],
    ['rate({"http.requests", "a b"="\\x41"}[5m]) or vector(NaN)', ['{__name__=http.requests,a b=A}']],
  ])('sees the selectors of %s', (text, expected) => {
    const seen = selectorsIn(text).map(({ name, matchers }) => {
      const inner = matchers.map(({ label, op, value }) => label + op + value).join(',');
      return inner === '' ? name : `${name}{${inner}}`;
    });
    expect(seen).toEqual(expected);
  });
});
