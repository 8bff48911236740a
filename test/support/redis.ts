import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient, RESP_TYPES } from '@redis/client';
import { freePort } from './ports.ts';
import { startProcess } from './process.ts';
import { tempDir } from './temp-dir.ts';
import type { KeyPair } from './tls.ts';

export interface RedisOptions {
  /** Of the user `default`, who may do everything; default: none needed. */
  password?: string;
  /** More users, as after `user` in an ACL file: `reader on >secret ~promgate:* +get`. */
  users?: readonly string[];
  /** Bytes; beyond them what would need more is refused. */
  maxMemory?: number;
  /** PEM texts (see `tls.ts`); there is no port without TLS then. */
  tls?: { ca: string; server: KeyPair };
  /** To come back where another one was; default: any free port. */
  port?: number;
}

export interface TestRedis {
  /** For the user `default`. */
  readonly url: string;
  readonly port: number;
  /** Sends a command as the user `default`; strings in replies are buffers. */
  ask(...command: (string | Buffer)[]): Promise<unknown>;
  /** It answers nothing any more, and its connections stay. */
  pause(): void;
  resume(): void;
  /** As a crash: its connections break. `stop` is still to be called. */
  kill(): void;
  stop(): Promise<void>;
}

/** Starts a real Redis on 127.0.0.1 that writes nothing to disk, and waits until it answers. */
export async function startRedis(options: RedisOptions = {}): Promise<TestRedis> {
  const dir = await tempDir('redis');
  try {
    const port = options.port ?? (await freePort());
    const config = join(dir.path, 'redis.conf');
    await writeFile(config, (await configOf(options, port, dir.path)).join('\n'));
    const secret = options.password === undefined ? '' : `:${encodeURIComponent(options.password)}@`;
    const url = `${options.tls ? 'rediss' : 'redis'}://${secret}127.0.0.1:${port}`;
    const ask = (...command: (string | Buffer)[]) => askOnce(url, options.tls?.ca, command);
    const server = await startProcess('redis-server', [config], { ready: async () => String(await ask('PING')) === 'PONG' });
    let paused = false;
    return {
      url,
      port,
      ask,
      pause() {
        process.kill(server.pid, 'SIGSTOP');
        paused = true;
      },
      resume() {
        process.kill(server.pid, 'SIGCONT');
        paused = false;
      },
      kill() {
        process.kill(server.pid, 'SIGKILL');
        paused = false;
      },
      async stop() {
        if (paused) process.kill(server.pid, 'SIGCONT');
        await server.stop();
        await dir.remove();
      },
    };
  } catch (error) {
    await dir.remove();
    throw error;
  }
}

async function configOf({ password, users = [], maxMemory, tls }: RedisOptions, port: number, dir: string): Promise<string[]> {
  const lines = [
    'bind 127.0.0.1',
    `dir ${dir}`,
    'save ""',
    'appendonly no',
    'unixsocket ""',
    ...users.map((user) => `user ${user}`),
  ];
  if (password !== undefined) lines.push(`requirepass ${JSON.stringify(password)}`);
  if (maxMemory !== undefined) lines.push(`maxmemory ${maxMemory}`, 'maxmemory-policy noeviction');
  if (tls === undefined) return [...lines, `port ${port}`];
  for (const [name, text] of Object.entries({ 'ca-cert': tls.ca, cert: tls.server.cert, key: tls.server.key })) {
    const file = join(dir, `${name}.pem`);
    await writeFile(file, text);
    lines.push(`tls-${name}-file ${file}`);
  }
  return [...lines, 'port 0', `tls-port ${port}`, 'tls-auth-clients no'];
}

async function askOnce(url: string, ca: string | undefined, command: readonly (string | Buffer)[]): Promise<unknown> {
  const client = createClient({
    url,
    RESP: 2,
    maintNotifications: 'disabled',
    socket: { reconnectStrategy: false, ...(ca === undefined ? {} : { tls: true, ca }) },
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return await client.sendCommand([...command]);
  } finally {
    client.destroy();
  }
}
