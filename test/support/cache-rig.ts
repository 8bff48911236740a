/** An endpoint with a cache in front of a server that can be asked directly too, to hold the one answer against the other. */

import { getGlobalDispatcher } from 'undici';
import { expect } from 'vitest';
import { type Answer, ask, type Params } from './ask.ts';
import { startTestPromgate, type TestPromgate, type TestPromgateOptions, type TestToken } from './promgate.ts';
import type { Recorded, Recorder } from './recorder.ts';

/** An answer that came through Promgate. */
export interface Seen extends Answer {
  /** `X-Promgate-Cache`. */
  readonly cache: string;
  /** `Server-Timing`. */
  readonly timing: string;
  /** What the server was asked for it, as long as one question is asked after the other. */
  readonly asked: readonly Recorded[];
}

export interface Asking {
  /** Default: `production`. */
  readonly environment?: string;
  /** Value of an `Authorization` header; default: the rig's own token. */
  readonly authorization?: string;
  /** Default: POST where the endpoint has it. */
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
}

export interface CacheRig {
  readonly promgate: TestPromgate;
  /** Opens `acme/shop`. */
  readonly token: TestToken;
  /** Below `/api/v1/`. */
  through(api: string, params: Params, asking?: Asking): Promise<Seen>;
  /** The server itself. */
  direct(api: string, params: Params): Promise<Answer>;
  close(): Promise<void>;
}

export interface CacheRigOptions {
  /** URL of the server itself. */
  readonly direct: string;
  /** What Promgate asks: a recorder in front of that server, or a server that keeps records of its own. It is stopped on `close`. */
  readonly upstream: Recorder;
  /** Of `acme/shop`; default: `production`. */
  readonly environments?: readonly ({ readonly name: string } & Record<string, unknown>)[];
  /** More of the record of the server `main`, as in a resource file. */
  readonly server?: Record<string, unknown>;
  /** More servers of the project. */
  readonly servers?: readonly Record<string, unknown>[];
  readonly settings?: TestPromgateOptions['settings'];
}

export async function startCacheRig(options: CacheRigOptions): Promise<CacheRig> {
  const { upstream, settings = {} } = options;
  const promgate = await startTestPromgate({ resources: resourcesOf(options), settings });
  const token = await promgate.token('acme/shop');
  const dispatcher = getGlobalDispatcher();
  return {
    promgate,
    token,
    async through(api, params, { environment = 'production', authorization = token.basic, method, headers = {} } = {}) {
      upstream.take();
      const form = params.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
      const { origin, pathname } = new URL(`${promgate.endpoint(`acme/shop:${environment}`)}/api/v1/${api}`);
      const post = method === 'POST' || (method === undefined && POSTABLE.has(api));
      const answer = await dispatcher.request({
        origin,
        path: post || form === '' ? pathname : `${pathname}?${form}`,
        method: post ? 'POST' : 'GET',
        headers: { ...headers, authorization, ...(post ? { 'content-type': 'application/x-www-form-urlencoded' } : {}) },
        body: post ? form : null,
      });
      const body = await answer.body.text();
      const text = (name: string): string => String(answer.headers[name] ?? '');
      return {
        status: answer.statusCode,
        type: text('content-type'),
        body,
        cache: text('x-promgate-cache'),
        timing: text('server-timing'),
        asked: upstream.take(),
      };
    },
    direct: (api, params) => ask(`${options.direct}/api/v1/${api}`, { params, method: POSTABLE.has(api) ? 'POST' : 'GET' }),
    async close() {
      await promgate.close();
      await upstream.stop();
    },
  };
}

const POSTABLE: ReadonlySet<string> = new Set(['query', 'query_range', 'query_exemplars', 'series', 'labels']);

/** The resource file of a rig. */
export function resourcesOf({ upstream, environments, server = {}, servers = [] }: CacheRigOptions): string {
  const main = { name: 'main', url: upstream.url, ...server };
  const project = { path: 'acme/shop', environments: environments ?? [{ name: 'production' }], servers: [main, ...servers] };
  return JSON.stringify({ projects: [project] });
}

/** A server asked without a recorder in between, which would keep the server's headers to itself. `Seen.asked` says nothing then. */
export function unrecorded({ url }: { readonly url: string }): Recorder {
  return { url, take: () => [], stop: async () => {} };
}

/** How many points each of these range queries asks for. */
export function pointsAsked(asked: readonly Recorded[]): number[] {
  return asked.map(({ params }) => {
    const numbers = new Map(params.map(([name, value]) => [name, Math.round(Number(value) * 1000)]));
    const [start = NaN, end = NaN, step = NaN] = ['start', 'end', 'step'].map((name) => numbers.get(name));
    return Math.floor((end - start) / step) + 1;
  });
}

/** Byte for byte what the server says; of an error, its status and type, because its text may name another series. */
export function expectSame(seen: Answer, direct: Answer, about = ''): void {
  expect(outcomeOf(seen), about).toEqual(outcomeOf(direct));
}

function outcomeOf({ status, type, body }: Answer): object {
  if (status === 200) return { status, type, body };
  return { status, errorType: JSON.parse(body).errorType };
}
