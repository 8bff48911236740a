/** What is compared: each stands in front of the same upstream and gets the same questions. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createToken } from '../src/access/tokens.ts';
import { applyResources } from '../src/directory/apply.ts';
import { openKeyring } from '../src/storage/crypto.ts';
import { openDatabase } from '../src/storage/database.ts';
import { freePort } from '../test/support/ports.ts';
import { PROXY_CORE, startPinned } from './pin.ts';

export interface Contender {
  readonly name: string;
  /** In front of `/api/v1/…`. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

const USER = 'bench';
const PASSWORD = 'bench-password';

export async function startVmauth(dir: string, upstream: string): Promise<Contender> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = join(dir, 'vmauth.yml');
  await writeFile(config, `users:\n- username: ${USER}\n  password: ${PASSWORD}\n  url_prefix: ${upstream}\n`);
  const args = [
    `-httpListenAddr=127.0.0.1:${port}`,
    `-auth.config=${config}`,
    '-maxIdleConnsPerBackend=256',
    '-loggerLevel=ERROR',
  ];
  const { pid, stop } = await startPinned(PROXY_CORE, 'vmauth', args, url, { GOMAXPROCS: '1' });
  return { name: 'vmauth', url, headers: { Authorization: basic(USER, PASSWORD) }, pid, stop };
}

export async function startBareProxy(upstream: string): Promise<Contender> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { pid, stop } = await startPinned(
    PROXY_CORE,
    process.execPath,
    [join(import.meta.dirname, 'bare-proxy.ts'), String(port), upstream],
    url,
  );
  return { name: 'bare undici proxy', url, headers: {}, pid, stop };
}

export async function startPromgate(dir: string, upstream: string): Promise<Contender> {
  const dataDir = join(dir, 'promgate');
  const database = await openDatabase({ dataDir, databaseUrl: '' });
  const keyring = openKeyring({ dataDir, secretKey: null });
  const resources = `
servers: [{ name: bench, url: "${upstream}" }]
projects: [{ path: acme/shop, environments: [{ name: production }] }]
`;
  await applyResources(database, keyring, resources, { fileName: 'bench', dryRun: false, prune: false, env: {} });
  const target = { level: 'environment', path: 'acme/shop:production' } as const;
  const { username, token } = await createToken(database, target, { name: 'bench' });
  await database.close();
  const { origin, pid, stop } = await serve(dataDir);
  const url = `${origin}/acme/shop/-/environments/production/prometheus`;
  return { name: 'Promgate', url, headers: { Authorization: basic(username, token) }, pid, stop };
}

/** Runs `promgate serve` as a user would, on the proxy's core. */
export async function serve(dataDir: string): Promise<{ origin: string; pid: number; stop: () => Promise<void> }> {
  const origin = `http://127.0.0.1:${await freePort()}`;
  const ops = `http://127.0.0.1:${await freePort()}`;
  const main = join(import.meta.dirname, '..', 'src', 'main.ts');
  const args = [main, 'serve', '--data-dir', dataDir, '--listen', origin.slice(7), '--ops-listen', ops.slice(7)];
  const { pid, stop } = await startPinned(PROXY_CORE, process.execPath, args, origin);
  return { origin, pid, stop };
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
