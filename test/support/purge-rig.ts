/** Two processes on one database before one Prometheus, and all the ways to purge what they keep. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { request } from 'undici';
import { expect } from 'vitest';
import { type Promgate, startPromgate } from '../../src/app.ts';
import type { DatabaseDialect } from '../../src/storage/database.ts';
import { dataset } from './dataset.ts';
import { startPrometheus } from './prometheus.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './promgate.ts';

/** Of `acme/shop`. `one` and `same` are shown the same, `alone` has a server of its own. */
export const environments = ['one', 'same', 'other', 'alone'] as const;
export type EnvironmentName = (typeof environments)[number];

/** The product promises a second; a busy machine may take longer. */
const WITHIN = { timeout: 20_000, interval: 20 };
const program = join(import.meta.dirname, '../../bin/promgate');

export interface Told {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Record<string, unknown>;
}

export interface PurgeRig {
  readonly promgate: TestPromgate;
  /** Of the other process. */
  readonly opsUrl: string;
  /** Opens `acme/shop`. */
  readonly token: TestToken;
  /** URL of the Prometheus. */
  readonly upstream: string;
  byToken(body: unknown, headers?: Record<string, string>): Promise<Told>;
  /** Asks the other process. */
  byOperator(body: unknown, headers?: Record<string, string>): Promise<Told>;
  /** `promgate cache purge` with these arguments, a process of its own. */
  run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  /** `X-Promgate-Cache` of a question that only this environment asks: the answer to another's says nothing of it. */
  fate(origin: string, name: EnvironmentName, authorization?: string): Promise<unknown>;
  /** Fails unless, of what all are shown from the cache, these alone are asked of the server anew after `work`, in both processes. */
  renews(expected: readonly EnvironmentName[], work: () => Promise<unknown>): Promise<void>;
  close(): Promise<void>;
}

/** @param more of the record of the server `main` of `acme/shop` */
export function purgeResources(url: string, more: object = {}): string {
  return JSON.stringify({
    servers: [{ name: 'main', url }],
    groups: [{ path: 'acme', servers: [{ name: 'group', url, environment_scope: '*' }] }],
    projects: [
      {
        path: 'acme/shop',
        environments: [
          { name: 'one', kube_namespace: 'shop-prod' },
          { name: 'same', kube_namespace: 'shop-prod' },
          { name: 'other', kube_namespace: 'shop-staging' },
          { name: 'alone' },
        ],
        servers: [
          { name: 'main', url, enforce: { namespace: '{{kube_namespace}}' }, ...more },
          { name: 'open', url, environment_scope: 'alone' },
        ],
      },
      { path: 'other/secret', environments: [{ name: 'one' }] },
      { path: 'acme/nothing' },
    ],
  });
}

/** @param redisUrl where both share what they keep */
export async function startPurgeRig(database: DatabaseDialect, redisUrl = ''): Promise<PurgeRig> {
  const prometheus = await startPrometheus({ data: dataset.openMetrics });
  const promgate = await startTestPromgate({
    resources: purgeResources(prometheus.url),
    settings: { cache: { redisUrl } },
    database,
  });
  const other: Promgate = await startPromgate(promgate.settings);
  const token = await promgate.token('acme/shop');
  const processes = [promgate.url, new URL(other.url).origin];

  async function fate(origin: string, name: EnvironmentName, authorization = token.basic): Promise<unknown> {
    const { pathname } = new URL(promgate.endpoint(`acme/shop:${name}`));
    const query = encodeURIComponent(`up{job!="${name}"}`);
    const range = `query=${query}&start=${dataset.start}&end=${dataset.start + 600}&step=60`;
    const answer = await request(`${origin}${pathname}/api/v1/query_range?${range}`, { headers: { authorization } });
    await answer.body.text();
    return answer.statusCode === 200 ? answer.headers['x-promgate-cache'] : answer.statusCode;
  }

  const send = async (url: string, body: unknown, headers: Record<string, string>): Promise<Told> => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const kept = Object.entries({ 'content-type': 'application/json', ...headers }).filter(([, value]) => value !== '');
    const answer = await request(url, { method: 'POST', headers: Object.fromEntries(kept), body: text });
    return { status: answer.statusCode, headers: answer.headers, body: JSON.parse(await answer.body.text()) };
  };

  return {
    promgate,
    opsUrl: other.opsUrl,
    token,
    upstream: prometheus.url,
    byToken: (body, headers = {}) =>
      send(`${promgate.url}/-/api/v1/cache/purge`, body, { authorization: token.basic, ...headers }),
    byOperator: (body, headers = {}) => send(`${other.opsUrl}/-/cache/purge`, body, headers),
    run: (...args) =>
      new Promise((resolve) => {
        const { dataDir, databaseUrl } = promgate.settings;
        const env = { PATH: process.env.PATH, PROMGATE_DATA_DIR: dataDir, PROMGATE_DATABASE_URL: databaseUrl };
        execFile(program, ['cache', 'purge', ...args], { cwd: dataDir, env }, (error, stdout, stderr) => {
          resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
        });
      }),
    fate,
    async renews(expected, work) {
      for (const origin of processes) {
        for (const name of environments) await expect.poll(() => fate(origin, name), WITHIN).toBe('hit');
      }
      await work();
      // Where they share, what the one has asked again is there for the other.
      for (const origin of redisUrl === '' ? processes : processes.slice(0, 1)) {
        for (const name of expected) await expect.poll(() => fate(origin, name), { ...WITHIN, message: name }).toBe('miss');
        for (const name of environments) expect([name, await fate(origin, name)]).toEqual([name, 'hit']);
      }
    },
    async close() {
      await other.close();
      await promgate.close();
      await prometheus.stop();
    },
  };
}
