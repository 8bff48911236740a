/**
 * Tenant a's token in front of servers that hold everybody's data (`tenants.ts`), and all that is needed to see what came
 * of a question: the answer, byte by byte, what was sent for it, and what a server with a's data alone would say.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { selectorsOf } from '../../src/guard/confine.ts';
import { parse } from '../../src/promql/parse.ts';
import { type Answer, ask, type Params } from './ask.ts';
import { type SeenSelector, selectorsIn } from './canonical.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './promgate.ts';
import { requestText, sendRaw } from './raw.ts';
import { type Recorded, type Recorder, startRecorder } from './recorder.ts';
import {
  startTenantPrometheus,
  startTenantVictoriaMetrics,
  type TenantServers,
  type TenantVictoriaMetrics,
} from './tenant-servers.ts';
import { foreignNamespace, leaks, own } from './tenants.ts';

/** How parameters travel. */
export type Carrier = 'GET' | 'POST' | 'multipart';

export interface Reply {
  readonly status: number;
  /** Everything that came, status line and headers included. */
  readonly raw: string;
  readonly body: string;
}

export interface GuardRig {
  readonly promgate: TestPromgate;
  /** Opens `acme/shop`. */
  readonly token: TestToken;
  readonly prometheus: TenantServers;
  readonly victoria: TenantVictoriaMetrics;
  /** In front of everybody's Prometheus and VictoriaMetrics. */
  readonly recorders: Readonly<Record<SharedServer, Recorder>>;
  /** One request to an environment of `acme/shop`; `path` follows the endpoint's prefix as it is. */
  send(environment: string, path: string, params?: Params, carrier?: Carrier, headers?: readonly string[]): Promise<Reply>;
  /** What the server that holds only a's data answers to the same. */
  alone(server: SharedServer, path: string, params?: Params): Promise<Answer>;
  /** How Prometheus itself writes a query; null where it cannot read it. */
  format(query: string): Promise<string | null>;
  /** All resources, with other values to confine by. */
  resources(enforced?: string): string;
  close(): Promise<void>;
}

export type SharedServer = 'prometheus' | 'victoria';

/**
 * Of `acme/shop`, one for each server. `several` is confined by two labels with several values. Behind the last three is the same Prometheus: under its path, with the build
 * information of a VictoriaMetrics, and declared as one.
 */
const environments = ['prometheus', 'victoria', 'several', 'prefixed', 'pretender', 'mistaken'];

/** Namespaces that nobody has, but that are not what they look like to a regular expression. */
export const otherValues = ['shop.prod.*', '(?i)secret-b|', '\\w+'];

/** A time in the middle of the data, Unix seconds; the answers there never change. */
export const noon = Date.UTC(2025, 5, 1, 9) / 1000;

export async function startGuardRig({
  settings = {},
}: {
  settings?: Parameters<typeof startTestPromgate>[0]['settings'];
} = {}): Promise<GuardRig> {
  const cleanUp: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of cleanUp.splice(0).reverse()) await step();
  };
  const keep = async <T>(starting: Promise<T>, stop: (started: T) => Promise<unknown>): Promise<T> => {
    const started = await starting;
    cleanUp.push(() => stop(started));
    return started;
  };
  try {
    const [prometheus, victoria] = await Promise.all([
      keep(startTenantPrometheus(), (servers) => servers.stop()),
      keep(startTenantVictoriaMetrics(), (servers) => servers.stop()),
    ]);
    const recorders = {
      prometheus: await keep(startRecorder(prometheus.prometheus.url), (recorder) => recorder.stop()),
      victoria: await keep(startRecorder(victoria.victoria.url), (recorder) => recorder.stop()),
    };
    const buildinfo = { '/api/v1/status/buildinfo': '{"status":"success","data":{}}' };
    const pretender = await keep(startRecorder(prometheus.prometheus.url, buildinfo), (recorder) => recorder.stop());
    // Each question is to be seen at the server; what is kept, and for whom, is the matter of `test/cache/access.test.ts`.
    const cache = { enabled: false };
    const enforce = (value: string) => ({ enforce: { [own.label]: value }, cache });
    const resources = (enforced = '{{kube_namespace}}'): string =>
      JSON.stringify({
        servers: [{ name: 'everybody', url: recorders.prometheus.url, ...enforce(enforced) }],
        projects: [
          {
            path: 'acme/shop',
            environments: environments.map((name) => ({ name, kube_namespace: own.value })),
            servers: [
              {
                name: 'victoria',
                environment_scope: 'victoria',
                url: recorders.victoria.url,
                kind: 'victoriametrics',
                ...enforce(enforced),
              },
              { name: 'prefixed', environment_scope: 'prefixed', url: prometheus.prometheus.url, ...enforce(enforced) },
              {
                name: 'several',
                environment_scope: 'several',
                url: recorders.prometheus.url,
                enforce: { [own.label]: [enforced, ...otherValues], job: ['shop', 'node', 'live'] },
                cache,
              },
              { name: 'pretender', environment_scope: 'pretender', url: pretender.url, ...enforce(enforced) },
              {
                name: 'mistaken',
                environment_scope: 'mistaken',
                url: prometheus.prometheus.url,
                kind: 'victoriametrics',
                ...enforce(enforced),
              },
            ],
          },
          { path: 'other/secret', environments: [{ name: 'prometheus', kube_namespace: foreignNamespace }] },
        ],
      });
    const promgate = await keep(startTestPromgate({ resources: resources(), settings }), (running) => running.close());
    const token = await promgate.token('acme/shop');
    const authorization = `Authorization: ${token.basic}`;
    // Before the first question Promgate asks each server what it can do; what is recorded comes after that.
    for (const name of environments) await sendAs(promgate, `acme/shop:${name}`, [authorization], '/api/v1/labels', [], 'GET');
    for (const recorder of Object.values(recorders)) recorder.take();
    const alone = { prometheus: prometheus.prometheusOfA.url, victoria: victoria.victoriaOfA.url };
    return {
      promgate,
      token,
      prometheus,
      victoria,
      recorders,
      send: (environment, path, params = [], carrier = 'GET', headers = []) =>
        sendAs(promgate, `acme/shop:${environment}`, [authorization, ...headers], path, params, carrier),
      alone: (server, path, params = []) =>
        ask(alone[server] + path, { params, method: params.length > 0 && !path.startsWith('/api/v1/label/') ? 'POST' : 'GET' }),
      format: remembering((query) => formatBy(prometheus.prometheus.url, query)),
      resources,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** One request below an endpoint, on a connection of its own. */
export async function sendAs(
  promgate: TestPromgate,
  target: string,
  headers: readonly string[],
  path: string,
  params: Params,
  carrier: Carrier,
): Promise<Reply> {
  const form = params.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
  const prefix = new URL(promgate.endpoint(target)).pathname;
  const url = carrier === 'GET' && form !== '' ? `${prefix}${path}${path.includes('?') ? '&' : '?'}${form}` : prefix + path;
  const method = carrier === 'GET' ? 'GET' : 'POST';
  const { type, body } = carrier === 'multipart' ? multipart(params) : { type: 'application/x-www-form-urlencoded', body: form };
  const options = carrier === 'GET' ? {} : { body };
  const all = carrier === 'GET' ? [...headers] : [...headers, `Content-Type: ${type}`];
  const answer = await sendRaw(promgate.url, requestText(promgate.url, url, { method, headers: all, ...options }), {
    deadlineMs: 20_000,
  });
  expect(answer.complete).toBe(true);
  return { status: answer.status, raw: answer.raw.toString(), body: answer.body.toString() };
}

export function multipart(params: Params, boundary = 'boundary-7d3'): { type: string; body: string } {
  const parts = params.map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  return { type: `multipart/form-data; boundary=${boundary}`, body: `${parts.join('')}--${boundary}--\r\n` };
}

/** The text of an answer without what changes from one to the next: its own request id, dates and durations. */
export function expectNoTrace(reply: Reply, asked: string, values = true): void {
  expect({ leaks: leaks(reply.raw, { asked, values }), body: reply.body }).toEqual({ leaks: [], body: reply.body });
}

/** What of an answer must be equal: the data with its series in one order, or what kind of error it was. */
export function comparable({ status, body }: { status: number; body: string }): unknown {
  // Prometheus adds numbers up in no certain order.
  const rounded = body.replace(/-?\d+\.\d{9,}(?:e[+-]\d+)?/g, (number) => String(Number(Number(number).toPrecision(9))));
  const { status: outcome, data, errorType } = JSON.parse(rounded);
  if (outcome !== 'success') return { status, errorType };
  const results = Array.isArray(data) ? data : data?.result;
  const isSeries = Array.isArray(results) && typeof results[0] === 'object';
  const sorted = isSeries ? results.map((one) => JSON.stringify(one)).toSorted() : results;
  return { status, type: data?.resultType, results: sorted ?? data };
}

function remembering<T>(ask: (query: string) => Promise<T>): (query: string) => Promise<T> {
  const known = new Map<string, Promise<T>>();
  return (query) => {
    const answer = known.get(query) ?? ask(query);
    known.set(query, answer);
    return answer;
  };
}

async function formatBy(url: string, query: string): Promise<string | null> {
  const { body } = await ask(`${url}/api/v1/format_query`, { method: 'POST', params: [['query', query]] });
  const { status, data } = JSON.parse(body);
  return status === 'success' ? String(data) : null;
}

const reading = /\/(?:query|query_range|query_exemplars|series|labels|federate|label\/[^/]+\/values)$/;

const nothing = '{__promgate_none__="none"}';
const discoveries: ReadonlySet<string> = new Set(
  [
    ['/api/v1/status/buildinfo'],
    ['/api/v1/label/__name__/values', ['start', '0'], ['limit', '1']],
    ['/api/v1/label/__name__/values', ['start', '0'], ['match[]', nothing]],
    ['/api/v1/labels', ['start', '0'], ['match[]', nothing]],
    ['/api/v1/parse_query', ['query', 'up']],
    ['/api/v1/format_query', ['query', 'up']],
    ['/api/v1/query', ['query', '1'], ['extra_filters[]', nothing]],
    ['/api/v1/query', ['query', '1'], ['extra_filters[]', '{']],
  ].map((question) => JSON.stringify(question)),
);

/**
 * Whether it is what the guard asks for itself, at the start and every few minutes, to see what a server can do
 * (`src/guard/capabilities.ts`). Nothing of the answer goes on to a client.
 */
export function isDiscovery({ path, params }: Recorded): boolean {
  return discoveries.has(JSON.stringify([path, ...params.filter(([name]) => name !== 'end')]));
}

/**
 * Each selector of each question that was sent carries the matcher, as the server itself reads them: its own way of
 * writing them is asked for, and read by `canonical.ts`. What this server is too old to read a newer one could answer, so
 * there our own reading counts; what neither can read is not to be sent.
 * @returns how many selectors were seen
 */
export async function expectConfined(
  rig: Pick<GuardRig, 'format'>,
  requests: readonly Recorded[],
  namespace: string = own.value,
): Promise<number> {
  let seen = 0;
  for (const request of requests) {
    const { path, params } = request;
    if (!reading.test(path) || isDiscovery(request)) continue;
    const texts = params.filter(([name]) => name === 'query' || name === 'match[]').map(([, value]) => value);
    // Without a query there is no answer; without a selector there is everything.
    if (texts.length === 0 && !/\/query\w*$/.test(path)) throw new Error(`no selector: ${path}`);
    for (const text of texts) {
      const formatted = await rig.format(text);
      const selectors: readonly SeenSelector[] = formatted === null ? selectorsOf(parse(text)) : selectorsIn(formatted);
      for (const { name, matchers } of selectors) {
        const enforced = matchers.filter(({ label, op, value }) => label === own.label && op === '=' && value === namespace);
        if (enforced.length === 0)
          throw new Error(`sent to ${path} unconfined: ${text}\nread as: ${formatted ?? 'by ourselves'}\nselector: ${name}`);
        seen += 1;
      }
    }
  }
  return seen;
}

/** Asks until it is so. The product promises a second; a busy machine may take longer. */
export async function eventually(look: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error('it never came true');
    await delay(20);
  }
}
