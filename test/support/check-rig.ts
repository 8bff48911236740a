/** An environment before each kind of server, with a recorder in front of the server, to check queries for. */
import { expect } from 'vitest';
import { type Answer, ask } from './ask.ts';
import { dataset } from './dataset.ts';
import { freePort } from './ports.ts';
import { startPrometheus } from './prometheus.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './promgate.ts';
import { type Recorder, startRecorder } from './recorder.ts';
import { startVictoriaMetrics } from './victoria-metrics.ts';

export const checkPath = '/promgate/-/api/v1/promql/check';
/** The endpoint stands below a path of its own. */
export const belowPath = { externalUrl: 'http://127.0.0.1/promgate' };

/** What the endpoint answers with 200. */
export interface Explained {
  valid: boolean;
  type: string | null;
  errors: { line: number; column: number; offset: number; found?: string; expected?: string; message: string }[];
  variables: object[];
  query: { given: string; substituted: string | null; confined: string | null; extra_filters: string | null };
  selectors: { text: string; name: string | null; matchers: object[] }[];
  limits: { name: string; unit: string; limit: number | null; asked: number | null; ok: boolean }[];
  refused: { status: number; errorType: string; error: string } | null;
  verified: string | null;
  verified_with: string | null;
  server: { name: string; kind: string | null } | null;
}

export interface Sent {
  body?: string;
  method?: string;
  headers?: Record<string, string>;
  to?: TestPromgate;
  at?: string;
}

export interface CheckRig {
  readonly promgate: TestPromgate;
  /** Opens `acme/shop`. */
  readonly token: TestToken;
  /** A resource file. */
  readonly resources: string;
  readonly recorders: { readonly prometheus: Recorder; readonly victoria: Recorder; readonly open: Recorder };
  send(sent: Sent): Promise<Response>;
  /** Fails for any answer but 200. */
  check(asked: object, as?: TestToken): Promise<Explained>;
  /** Asks an environment of `acme/shop` itself. */
  ask(environment: string, api: string, params: readonly (readonly [string, string])[]): Promise<Answer>;
  close(): Promise<void>;
}

export async function startCheckRig(): Promise<CheckRig> {
  const [prometheus, victoria] = await Promise.all([
    startPrometheus({ data: dataset.openMetrics }),
    startVictoriaMetrics({ data: dataset.exposition }),
  ]);
  const recorders = {
    prometheus: await startRecorder(prometheus.url),
    victoria: await startRecorder(victoria.url),
    open: await startRecorder(prometheus.url),
  };
  const enforce = { namespace: '{{kube_namespace}}' };
  const limits = { max_range: '1h', max_points: 100, max_depth: 2, max_query_bytes: 60 };
  const resources = JSON.stringify({
    projects: [
      {
        path: 'acme/shop',
        environments: [
          ...['prometheus', 'victoria', 'local', 'limited', 'dead', 'review/login'].map((name) => ({
            name,
            kube_namespace: 'shop-prod',
          })),
          { name: 'open' },
          { name: 'nameless' },
        ],
        servers: [
          { name: 'main', url: recorders.prometheus.url, enforce },
          { name: 'victoria', url: recorders.victoria.url, environment_scope: 'victoria', enforce },
          { name: 'local', url: recorders.prometheus.url, environment_scope: 'local', enforce, verify: 'local' },
          { name: 'limited', url: recorders.prometheus.url, environment_scope: 'limited', enforce, limits },
          { name: 'dead', url: `http://127.0.0.1:${await freePort()}`, environment_scope: 'dead', enforce },
          { name: 'open', url: recorders.open.url, environment_scope: 'open' },
        ],
      },
      { path: 'acme/serverless', environments: [{ name: 'production' }] },
      { path: 'other/secret', environments: [{ name: 'production' }], servers: [{ name: 'main', url: prometheus.url }] },
    ],
  });
  const promgate = await startTestPromgate({ resources, settings: belowPath });
  const token = await promgate.token('acme/shop');

  async function send({ body = '', method = 'POST', headers = {}, to = promgate, at = checkPath }: Sent): Promise<Response> {
    const init: RequestInit = { method, headers: { 'content-type': 'application/json', ...headers } };
    return fetch(`${to.url}${at}`, method === 'GET' || method === 'HEAD' ? init : { ...init, body });
  }

  return {
    promgate,
    token,
    resources,
    recorders,
    send,
    async check(asked, as = token) {
      const answer = await send({ body: JSON.stringify(asked), headers: { authorization: as.basic } });
      const text = await answer.text();
      expect({ status: answer.status, text: answer.status === 200 ? '' : text }).toEqual({ status: 200, text: '' });
      expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
      return JSON.parse(text) as Explained;
    },
    ask: (environment, api, params) =>
      ask(`${promgate.endpoint(`acme/shop:${environment}`)}/api/v1/${api}`, {
        params,
        method: 'POST',
        headers: { authorization: token.basic },
      }),
    async close() {
      await promgate.close();
      await Promise.all(Object.values(recorders).map((recorder) => recorder.stop()));
      await Promise.all([prometheus.stop(), victoria.stop()]);
    },
  };
}

export const environment = (name: string): string => `acme/shop:${name}`;
