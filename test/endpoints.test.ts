import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Answer, ask, askBoth, type Params } from './support/ask.ts';
import { dataset } from './support/dataset.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';
import { startVictoriaMetrics } from './support/victoria-metrics.ts';

type Method = 'GET' | 'POST';

interface Question {
  title: string;
  path: string;
  params?: Params;
  methods: Method[];
  status?: number;
}

const middle = dataset.start + 3600;
const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
const range: Params = [
  ['start', String(dataset.start)],
  ['end', String(dataset.end)],
];
const both: Method[] = ['GET', 'POST'];
const get: Method[] = ['GET'];

function instant(query: string, more: Params = [['time', String(middle)]]): Question {
  return { title: `instant query ${query}`, path: 'query', params: [['query', query], ...more], methods: both };
}

function overTime(query: string, step: string, times: Params = range): Question {
  return {
    title: `range query ${query}`,
    path: 'query_range',
    params: [['query', query], ...times, ['step', step]],
    methods: both,
  };
}

/**
 * One or more for each row of contract §5 that a server answers. Only what has one answer, to the
 * last byte: Prometheus lists quantiles in no fixed order, VictoriaMetrics series of a range vector, and it adds in none, so sums are
 * of whole numbers (`increase`, which it does not extrapolate).
 */
const questions: Question[] = [
  instant('up'),
  instant('up', [['time', iso(middle)]]),
  instant('http_requests_total{instance="10.0.0.1:9100",code="404",method="GET"}[2m]'),
  instant('sum by (job) (increase(http_requests_total[5m]))'),
  instant('histogram_quantile(0.9, sum by (le) (increase(http_request_duration_seconds_bucket[5m])))'),
  instant('odd_values{text=~".+"}'),
  instant('odd_values{text="Grüße, 世界 🚀"}'),
  instant('odd_values{text="back\\\\slash\\\\"} or odd_values{text="two\\nlines"}'),
  instant('no_such_metric'),
  instant('time()'),
  instant('1+1', [['time', '4']]),
  instant(`up${' '.repeat(5_000)}`),
  overTime('up', '60'),
  overTime('sum(increase(http_requests_total{namespace="shop-prod"}[5m]))', '1m'),
  overTime('node_load1', '15', [
    ['start', iso(dataset.start + 60)],
    ['end', iso(dataset.start + 1260)],
  ]),
  overTime('odd_values', '97.5'),
  { title: 'series', path: 'series', params: [...range, ['match[]', 'up'], ['match[]', '{job="odd"}']], methods: both },
  { title: 'label names', path: 'labels', params: range, methods: both },
  { title: 'label names of a selector', path: 'labels', params: [...range, ['match[]', 'up']], methods: both },
  { title: 'label values', path: 'label/text/values', params: range, methods: get },
  { title: 'metric names', path: 'label/__name__/values', params: range, methods: get },
  {
    title: 'label values of a selector',
    path: 'label/instance/values',
    params: [...range, ['match[]', 'up{job="shop"}']],
    methods: get,
  },
  { title: 'metadata', path: 'metadata', methods: get },
  { title: 'rules', path: 'rules', methods: get },
  { title: 'alerts', path: 'alerts', methods: get },
  { title: 'build information', path: 'status/buildinfo', methods: get },
];

/** What only Prometheus has, or tells apart from what Promgate adds. */
const prometheusOnly: Question[] = [
  { title: 'exemplars', path: 'query_exemplars', params: [['query', 'scraped_total'], ...range], methods: both },
  { title: 'formatting', path: 'format_query', params: [['query', 'sum  by(job)(up)']], methods: both },
  { title: 'metadata of one metric', path: 'metadata', params: [['metric', 'scraped_total']], methods: get },
  // Which metrics a limit leaves is up to the order of a Go map: of one metric there is one answer.
  {
    title: 'metadata, limited',
    path: 'metadata',
    params: [
      ['limit', '1'],
      ['metric', 'scraped_total'],
    ],
    methods: get,
  },
  { title: 'alerting rules only', path: 'rules', params: [['type', 'alert']], methods: get },
  { ...instant('up{'), title: 'a syntax error', status: 400 },
  { ...instant('up * on (job) up'), title: 'a failing evaluation', status: 422 },
  { ...overTime('up', '0'), title: 'a step of zero', status: 400 },
  { title: 'a wrong selector', path: 'series', params: [...range, ['match[]', '{']], methods: both, status: 400 },
  { title: 'series without a selector', path: 'series', params: range, methods: both, status: 400 },
  { title: 'an impossible label name', path: 'label/a-b/values', params: range, methods: get, status: 400 },
];

/** A page to scrape, for what blocks cannot hold: exemplars and metadata. */
async function startMetricsPage(): Promise<Server> {
  const page = [
    '# TYPE scraped counter',
    '# HELP scraped Counts "things"\\nof two lines.',
    'scraped_total{path="/"} 5 # {trace_id="4bf92f3577b34da6"} 1 1748768400.5',
    '# TYPE scraped_bytes gauge',
    '# UNIT scraped_bytes bytes',
    'scraped_bytes 7',
    '# EOF',
    '',
  ].join('\n');
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/openmetrics-text; version=1.0.0' }).end(page);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

let page: Server;
let prometheus: TestServer;
let victoriaMetrics: TestServer;
let promgate: TestPromgate;
let token: TestToken;

beforeAll(async () => {
  page = await startMetricsPage();
  const target = `127.0.0.1:${(page.address() as AddressInfo).port}`;
  [prometheus, victoriaMetrics] = await Promise.all([
    startPrometheus({
      data: dataset.openMetrics,
      rules: [
        {
          name: 'shop',
          rules: [
            { record: 'job:up:sum', expr: 'sum by (job) (up)' },
            { alert: 'AlwaysThere', expr: 'vector(1)', labels: { severity: 'page' }, annotations: { summary: 'é "quoted"' } },
          ],
        },
      ],
      scrapeConfigs: [{ job_name: 'page', scrape_interval: '1s', static_configs: [{ targets: [target] }] }],
    }),
    startVictoriaMetrics({ data: dataset.exposition }),
  ]);
  promgate = await startTestPromgate({
    resources: JSON.stringify({
      groups: [{ path: 'acme', servers: [{ name: 'group', url: victoriaMetrics.url }] }],
      projects: [
        {
          path: 'acme/shop',
          environments: [{ name: 'production' }, { name: 'review/login' }],
          servers: [
            { name: 'prometheus', url: prometheus.url },
            { name: 'victoria', url: victoriaMetrics.url, environment_scope: 'review/*' },
          ],
        },
      ],
    }),
  });
  token = await promgate.token('groups/acme');
  // Scraped, evaluated, firing.
  await vi.waitFor(async () => {
    expect((await direct(prometheus, 'metadata')).body).toContain('scraped');
    expect((await direct(prometheus, 'alerts')).body).toContain('AlwaysThere');
  }, 60_000);
});

afterAll(async () => {
  await promgate?.close();
  await Promise.all([prometheus?.stop(), victoriaMetrics?.stop()]);
  page?.close();
});

function direct(server: TestServer, path: string, params: Params = [], method = 'GET'): Promise<Answer> {
  return ask(`${server.url}/api/v1/${path}`, { params, method });
}

function through(target: string, path: string, params: Params = [], method = 'GET'): Promise<Answer> {
  return ask(`${promgate.endpoint(target)}/api/v1/${path}`, { params, method, headers: { authorization: token.basic } });
}

async function compare(
  server: TestServer,
  target: string,
  { path, params = [], status = 200 }: Question,
  method: string,
): Promise<void> {
  const answers = await askBoth(
    () => direct(server, path, params, method),
    () => through(target, path, params, method),
  );
  expect(answers.through).toEqual(answers.direct);
  expect(answers.through.status).toBe(status);
}

const cases = (all: Question[]): [string, string, Question][] =>
  all.flatMap((question) =>
    question.methods.map((method): [string, string, Question] => [method, question.title.trim(), question]),
  );

describe('an endpoint in front of Prometheus answers as Prometheus itself', () => {
  it.each(cases([...questions, ...prometheusOnly]))('%s %s', async (method, _, question) => {
    await compare(prometheus, 'acme/shop:production', question, method);
  });

  it('and its exemplars, metadata, rules and alerts are not empty', async () => {
    const answers = await Promise.all([
      through('acme/shop:production', 'query_exemplars', [
        ['query', 'scraped_total'],
        ['start', '1748768000'],
        ['end', '1748769000'],
      ]),
      through('acme/shop:production', 'metadata'),
      through('acme/shop:production', 'rules'),
      through('acme/shop:production', 'alerts'),
    ]);
    const seen = ['4bf92f3577b34da6', 'scraped_bytes', 'job:up:sum', 'AlwaysThere'];
    expect(answers.map(({ body }, i) => body.includes(seen[i] ?? ''))).toEqual([true, true, true, true]);
  });

  it('and refuses a wrong time, in words of its own', async () => {
    const params: Params = [
      ['query', 'up'],
      ['time', 'yesterday'],
    ];
    const answers = [await direct(prometheus, 'query', params), await through('acme/shop:production', 'query', params)];
    expect(answers.map(({ status, body }) => [status, JSON.parse(body).errorType])).toEqual([
      [400, 'bad_data'],
      [400, 'bad_data'],
    ]);
  });

  it('for the project too', async () => {
    await compare(prometheus, 'acme/shop', instant('up'), 'POST');
  });
});

describe('an endpoint in front of VictoriaMetrics answers as VictoriaMetrics itself', () => {
  it.each(cases(questions))('%s %s', async (method, _, question) => {
    await compare(victoriaMetrics, 'acme/shop:review/login', question, method);
  });

  it('for the group too', async () => {
    await compare(victoriaMetrics, 'groups/acme', instant('up'), 'GET');
  });

  it('but formats a query although VictoriaMetrics cannot', async () => {
    const answer = await through('acme/shop:review/login', 'format_query', [['query', 'sum  by(job)(up)']]);
    expect(answer).toMatchObject({ status: 200, type: 'application/json' });
    expect(JSON.parse(answer.body)).toEqual({ status: 'success', data: 'sum by (job) (up)' });
  });
});
