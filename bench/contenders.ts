/** What is compared: each stands in front of the same servers and gets the same questions. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createToken } from '../src/access/tokens.ts';
import { applyResources } from '../src/directory/apply.ts';
import { commandLineActor } from '../src/ops/audit.ts';
import { openKeyring } from '../src/storage/crypto.ts';
import { openDatabase } from '../src/storage/database.ts';
import { freePort } from '../test/support/ports.ts';
import { PROXY_CORE, startPinned } from './pin.ts';

export interface Contender {
  readonly name: string;
  readonly origin: string;
  /** In front of `/api/v1/…`; empty for most. */
  readonly prefix: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly pid: number;
}

export interface Running {
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/** A proxy in front of several servers. */
export interface ProxyServer<Name extends string> extends Running {
  readonly of: (name: Name) => Contender;
}

const PASSWORD = 'bench-password';

/** A user for each of the servers, which are given by URL. */
export async function startVmauth<Name extends string>(
  dir: string,
  servers: Readonly<Record<Name, string>>,
): Promise<ProxyServer<Name>> {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const config = join(dir, `vmauth-${port}.yml`);
  const users = Object.entries(servers).map(
    ([name, url]) => `- username: ${name}\n  password: ${PASSWORD}\n  url_prefix: ${url}\n`,
  );
  await writeFile(config, `users:\n${users.join('')}`);
  const args = [
    `-httpListenAddr=127.0.0.1:${port}`,
    `-auth.config=${config}`,
    '-maxIdleConnsPerBackend=256',
    '-loggerLevel=ERROR',
  ];
  const { pid, stop } = await startPinned(PROXY_CORE, 'vmauth', args, origin, { GOMAXPROCS: '1' });
  const of = (name: Name) => ({
    name: 'vmauth',
    origin,
    prefix: '',
    headers: { Authorization: basic(name, PASSWORD) },
    pid,
  });
  return { pid, stop, of };
}

export async function startBareProxy(upstream: string): Promise<Contender & Running> {
  return startBare('bare undici proxy', 'bare-proxy.ts', upstream);
}

/** Knows one answer, and gives it to every question. */
export async function startBareAnswer(file: string): Promise<Contender & Running> {
  return startBare('bare node:http answer', 'bare-answer.ts', file);
}

async function startBare(name: string, program: string, argument: string): Promise<Contender & Running> {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const args = [join(import.meta.dirname, program), String(port), argument];
  const { pid, stop } = await startPinned(PROXY_CORE, process.execPath, args, origin);
  return { name, origin, prefix: '', headers: {}, pid, stop };
}

/** Trickster 1.1 or 2.0, with its cache in memory and all else as it comes. */
export async function startTrickster(dir: string, upstream: string): Promise<Contender & Running> {
  const [port, metricsPort] = [await freePort(), await freePort()];
  const config = join(dir, `trickster-${port}.yml`);
  const listener = (at: number) => ({ listen_address: '127.0.0.1', listen_port: at });
  const backends = { default: { provider: 'prometheus', origin_url: upstream } };
  // JSON is YAML.
  await writeFile(config, JSON.stringify({ frontend: listener(port), metrics: listener(metricsPort), backends }));
  const origin = `http://127.0.0.1:${port}`;
  const { pid, stop } = await startPinned(PROXY_CORE, 'trickster', ['-config', config], origin, { GOMAXPROCS: '1' });
  return { name: 'Trickster', origin, prefix: '', headers: {}, pid, stop };
}

export interface Promgate<Name extends string> extends ProxyServer<Name> {
  /** Its own counters: how many answers since its start had each value of `X-Promgate-Cache`. */
  readonly cacheResults: () => Promise<Readonly<Record<string, number>>>;
}

export interface BenchServer {
  readonly url: string;
  /** Whether its answers are kept. */
  readonly cache: boolean;
}

/** An environment for each of the servers, and one token for all. */
export async function startPromgate<Name extends string>(
  dir: string,
  servers: Readonly<Record<Name, BenchServer>>,
): Promise<Promgate<Name>> {
  const dataDir = join(dir, `promgate-${await freePort()}`);
  const database = await openDatabase({ dataDir, databaseUrl: '' });
  const keyring = openKeyring({ dataDir, secretKey: null });
  const records = Object.entries<BenchServer>(servers).map(([name, { url, cache }]) => {
    return { name, url, environment_scope: name, cache: { enabled: cache } };
  });
  const environments = Object.keys(servers).map((name) => ({ name }));
  const resources = JSON.stringify({ projects: [{ path: 'acme/shop', environments, servers: records }] });
  const actor = commandLineActor('bench');
  await applyResources(database, keyring, resources, { fileName: 'bench', dryRun: false, prune: false, env: {}, actor });
  const { username, token } = await createToken(database, { level: 'project', path: 'acme/shop' }, { name: 'bench' }, actor);
  await database.close();
  const { origin, ops, pid, stop } = await serve(dataDir);
  const headers = { Authorization: basic(username, token) };
  return {
    pid,
    stop,
    of: (name) => {
      return { name: 'Promgate', origin, prefix: `/acme/shop/-/environments/${name}/prometheus`, headers, pid };
    },
    async cacheResults() {
      const text = await (await fetch(`${ops}/metrics`)).text();
      const counters = text.matchAll(/^promgate_cache_requests_total\{result="(\w+)"\} (\d+)$/gm);
      return Object.fromEntries(Array.from(counters, ([, result, count]) => [result, Number(count)]));
    },
  };
}

/** Runs `promgate serve` as a user would, on the proxy's core. */
export async function serve(dataDir: string): Promise<Running & { readonly origin: string; readonly ops: string }> {
  const origin = `http://127.0.0.1:${await freePort()}`;
  const ops = `http://127.0.0.1:${await freePort()}`;
  const main = join(import.meta.dirname, '..', 'src', 'main.ts');
  const args = [main, 'serve', '--data-dir', dataDir, '--listen', origin.slice(7), '--ops-listen', ops.slice(7)];
  const { pid, stop } = await startPinned(PROXY_CORE, process.execPath, args, origin);
  return { origin, ops, pid, stop };
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
