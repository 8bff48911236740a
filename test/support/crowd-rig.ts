/** Several endpoints in front of one scripted server, and clients that ask them at the same time. */
import { type Asking, type Asked as ClientRequest, open, settled } from './crowd.ts';
import { holdAnswers } from './hold.ts';
import { type Asked, askedOf, honest } from './made-up.ts';
import { startTestPromgate, type TestPromgate, type TestPromgateOptions, type TestToken } from './promgate.ts';
import type { RawResult } from './raw.ts';
import { type Script, type StrictUpstream, startStrictUpstream } from './strict-upstream.ts';

export interface Shape extends ClientRequest {
  /** Default: `production`. */
  environment?: string;
  /** Default: one that opens the project; null: none. */
  token?: TestToken | null;
  read?: boolean;
}

/** What one client asks: below the endpoint's prefix. */
export type Call = readonly [path: string, shape?: Shape];

export interface CrowdRig {
  readonly upstream: StrictUpstream;
  readonly promgate: TestPromgate;
  /** Every answer has a number in it, so that no two are alike. */
  readonly numbered: Script;
  open(...call: Call): Promise<Asking>;
  ask(...call: Call): Promise<RawResult>;
  settled(): Promise<void>;
  /** Sends all calls while the server holds its answers back, and gives the answers and what the server was asked. */
  atOnce(calls: readonly Call[], script?: Script): Promise<{ answers: RawResult[]; asked: Asked[] }>;
  /** What the server was asked meanwhile. */
  during(work: () => Promise<unknown>): Promise<Asked[]>;
  close(): Promise<void>;
}

/**
 * Environments of `acme/shop`: `production` and `staging` on one record; `other` on another one with the same URL; `tenant/a` and
 * `tenant/b`, which differ in a header; `confined/a`, `confined/b` and `confined/a-too` (the same scope as the first).
 */
export async function startCrowdRig(settings: TestPromgateOptions['settings'] = {}, server: object = {}): Promise<CrowdRig> {
  const upstream = await startStrictUpstream(honest());
  let count = 0;
  const numbered = honest({ edition: () => ++count, gzip: true });
  upstream.play(numbered);
  const record = (name: string, more: object) => ({ name, url: upstream.url, kind: 'prometheus', ...server, ...more });
  const resources = {
    projects: [
      {
        path: 'acme/shop',
        environments: [
          ...['production', 'staging', 'other', 'tenant/a', 'tenant/b'].map((name) => ({ name })),
          { name: 'confined/a', kube_namespace: 'a' },
          { name: 'confined/b', kube_namespace: 'b' },
          { name: 'confined/a-too', kube_namespace: 'a' },
        ],
        servers: [
          record('main', { expose: ['targets', 'federate', 'status/tsdb'] }),
          record('other', { environment_scope: 'other' }),
          record('tenants', { environment_scope: 'tenant/*', headers: { 'X-Scope-OrgID': '{{ci_environment_slug}}' } }),
          record('confined', { environment_scope: 'confined/*', enforce: { namespace: '{{kube_namespace}}' } }),
        ],
      },
    ],
  };
  const promgate = await startTestPromgate({ resources: JSON.stringify(resources), settings });
  const projectToken = await promgate.token('acme/shop');

  const openOne: CrowdRig['open'] = (path, { environment = 'production', token = projectToken, ...shape } = {}) => {
    const target = new URL(promgate.endpoint(`acme/shop:${environment}`)).pathname + path;
    const credentials = token === null ? [] : [`Authorization: ${token.basic}`];
    return open(promgate.url, target, { ...shape, headers: [...credentials, ...(shape.headers ?? [])] });
  };
  const during: CrowdRig['during'] = async (work) => {
    const before = upstream.requests.length;
    await work();
    return upstream.requests.slice(before).map(askedOf);
  };
  return {
    upstream,
    promgate,
    numbered,
    during,
    open: openOne,
    ask: async (...call) => (await openOne(...call)).answer(),
    settled: () => settled(promgate.url),
    async atOnce(calls, script = numbered) {
      const hold = holdAnswers(script);
      const before = upstream.requests.length;
      upstream.play(hold.script);
      let answers: RawResult[] = [];
      const asked = await during(async () => {
        const clients = await Promise.all(calls.map((call) => openOne(...call)));
        await upstream.request(before);
        await settled(promgate.url);
        hold.open();
        answers = await Promise.all(clients.map((client) => client.answer()));
      });
      upstream.play(numbered);
      return { answers, asked };
    },
    async close() {
      await promgate.close();
      await upstream.stop();
    },
  };
}
