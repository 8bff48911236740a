import type { Settings } from '../../src/config/settings.ts';
import { createLog } from '../../src/ops/log.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './promgate.ts';
import { type RawResult, requestText } from './raw.ts';
import { type RawClient, rawClient } from './raw-client.ts';
import { answers, type StrictUpstream, startStrictUpstream, type UpstreamRequest } from './strict-upstream.ts';

/** A request as the server got it, with its parameters decoded, wherever they stood. */
export interface Reached extends UpstreamRequest {
  readonly path: string;
  readonly params: readonly (readonly [name: string, value: string])[];
}

/** `acme/shop:production` in front of a server that does as it is told, and records what it is asked. */
export interface StrictRig extends RawClient {
  readonly upstream: StrictUpstream;
  readonly promgate: TestPromgate;
  /** Opens the project. */
  readonly token: TestToken;
  /** Every line that Promgate logged, down to level debug. */
  readonly logs: readonly string[];
  /** A request below the endpoint with the token, as text for `sendRaw`. */
  text(path: string, options?: { method?: string; headers?: string[]; body?: string }): string;
  /** Does `request`, which must be answered with 200, and tells what it made of the server's only question. */
  reaching(request: () => Promise<RawResult>): Promise<Reached>;
  close(): Promise<void>;
}

export interface StrictRigOptions {
  settings?: Partial<Omit<Settings, 'limits'>> & { limits?: Partial<Settings['limits']> };
  /** More of the server's record, as in a resource file. */
  server?: Record<string, unknown>;
  /** Default: a plain `production`. */
  environments?: readonly object[];
}

/** Starts both with a server named `main`. */
export async function startStrictRig({ settings = {}, server = {}, environments }: StrictRigOptions = {}): Promise<StrictRig> {
  const upstream = await startStrictUpstream(answers());
  const logs: string[] = [];
  const project = {
    path: 'acme/shop',
    environments: environments ?? [{ name: 'production' }],
    servers: [{ name: 'main', url: upstream.url, ...server }],
  };
  const promgate = await startTestPromgate({
    resources: JSON.stringify({ projects: [project] }),
    settings,
    log: createLog('debug', (line) => logs.push(line)),
  });
  const token = await promgate.token('acme/shop');
  return {
    upstream,
    promgate,
    token,
    logs,
    ...rawClient(promgate, 'acme/shop', token),
    text(path, options = {}) {
      const target = new URL(promgate.endpoint('acme/shop:production')).pathname + path;
      const headers = [`Authorization: ${token.basic}`, ...(options.headers ?? [])];
      return requestText(promgate.url, target, { ...options, headers });
    },
    async reaching(request) {
      const before = upstream.requests.length;
      const answer = await request();
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
      if (upstream.requests.length !== before + 1) throw new Error(`${upstream.requests.length - before} requests`);
      if (upstream.violations.length > 0) throw new Error(upstream.violations.join('\n'));
      const asked = await upstream.request(before);
      const [path = '', query = ''] = asked.target.split('?');
      return { ...asked, path, params: [...new URLSearchParams(asked.body === '' ? query : asked.body)] };
    },
    async close() {
      await promgate.close();
      await upstream.stop();
    },
  };
}
