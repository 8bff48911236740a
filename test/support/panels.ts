/** Dashboards over history, and what a Prometheus itself says to them. */
import { getGlobalDispatcher } from 'undici';

/**
 * What panels ask, over the data of `dataset.ts`. No aggregation of an aggregation: a Prometheus goes through what the inner one
 * gives in no particular order, so it chooses among equals, and rounds sums, in another way each time.
 */
export const panels: readonly string[] = [
  'sum by (job) (rate(http_requests_total[5m]))',
  'sum by (code) (rate(http_requests_total[5m]))',
  'sum(rate(http_requests_total{code="500"}[5m])) / sum(rate(http_requests_total[5m]))',
  'topk(3, rate(http_requests_total{code="200"}[2m]))',
  'histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))',
  'histogram_quantile(0.5, sum by (le, job) (rate(http_request_duration_seconds_bucket[5m])))',
  'sum(rate(http_request_duration_seconds_sum[5m])) / sum(rate(http_request_duration_seconds_count[5m]))',
  'up',
  'sum(up) by (job)',
  'count(up == 0)',
  'avg_over_time(up[10m])',
  'node_load1',
  'max_over_time(node_load1[5m])',
  'avg(node_load1) by (namespace)',
  'node_load1 > bool 2',
  'predict_linear(node_load1[10m], 3600)',
  'odd_values',
  'resets(http_requests_total{method="GET"}[15m])',
  'increase(http_requests_total{method="POST", code="200"}[10m])',
  'http_requests_total{code="404"} offset 10m',
];

/** Of a range query; seconds. */
export interface Window {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

export interface Panelled {
  readonly status: number;
  /** `X-Promgate-Cache`. */
  readonly cache: string | undefined;
  readonly body: string;
}

/** `base`: URL of a server or an endpoint. */
export async function askPanel(base: string, query: string, window: Window, authorization?: string): Promise<Panelled> {
  const { origin, pathname } = new URL(base);
  const params = new URLSearchParams({ query, start: `${window.start}`, end: `${window.end}`, step: `${window.step}` });
  const { statusCode, headers, body } = await getGlobalDispatcher().request({
    origin,
    path: `${pathname.replace(/\/$/, '')}/api/v1/query_range?${params}`,
    method: 'GET',
    headers: authorization === undefined ? {} : { authorization },
  });
  const cache = headers['x-promgate-cache'];
  return { status: statusCode, cache: typeof cache === 'string' ? cache : undefined, body: await body.text() };
}

/** The server's own answers; each is asked for once. */
export function remembered(server: string): (query: string, window: Window) => Promise<string> {
  const known = new Map<string, Promise<string>>();
  return (query, window) => {
    const key = `${window.start} ${window.end} ${window.step} ${query}`;
    const asked = known.get(key) ?? askPanel(server, query, window).then(({ body }) => body);
    known.set(key, asked);
    return asked;
  };
}

export function pointsOf(params: readonly (readonly [name: string, value: string])[]): number {
  const [start, end, step] = ['start', 'end', 'step'].map((name) => Number(params.find(([key]) => key === name)?.[1]));
  return Math.floor(((end ?? Number.NaN) - (start ?? Number.NaN)) / (step ?? Number.NaN) + 1e-6) + 1;
}
