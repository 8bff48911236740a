import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createDatabaseHome } from './support/database.ts';

// Each test starts programs or hashes passwords, which a busy machine is slow at.
vi.setConfig({ testTimeout: 120_000 });

const program = join(import.meta.dirname, '../bin/promgate');
const cleanups: (() => unknown)[] = [];

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'promgate-serve-'));
  cleanups.push(() => rmSync(cwd, { recursive: true }));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The program in its directory, with what it writes and how it ends. */
function start(...args: string[]) {
  return startWith({}, ...args);
}

function startWith(env: Record<string, string>, ...args: string[]) {
  const child = spawn(program, args, { cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  // Whatever it still writes would come into the way of removing its directory.
  cleanups.push(() => {
    child.kill('SIGKILL');
    return ended;
  });
  return {
    ended,
    stdout: () => stdout,
    stderr: () => stderr,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** Waits until stderr holds what is looked for; fails with all of it when the program ends first. */
    async says(pattern: RegExp): Promise<RegExpExecArray> {
      for (;;) {
        const found = pattern.exec(stderr);
        if (found) return found;
        const more = new Promise((resolve) => child.stderr.once('data', resolve));
        const end = await Promise.race([more.then(() => null), ended]);
        if (end && !pattern.test(stderr)) throw new Error(`ended with ${end.code ?? end.signal}:\n${stderr}`);
      }
    },
  };
}

const anyPort = ['serve', '--listen', '127.0.0.1:0', '--ops-listen', '127.0.0.1:0'];

/** A start that has come as far as its database, which does not answer before `answer` is called. */
async function startHalfway() {
  const home = await createDatabaseHome('postgres');
  cleanups.push(home.remove);
  const database = new URL(home.settings.databaseUrl);
  const asked = Promise.withResolvers<void>();
  const mayAnswer = Promise.withResolvers<void>();
  const gate = createTcpServer(async (near) => {
    near.on('error', () => {});
    cleanups.push(() => near.destroy());
    asked.resolve();
    await mayAnswer.promise;
    const far = connect(Number(database.port), database.hostname);
    far.on('error', () => {});
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => gate.close());
  const address = gate.address();
  const url = new URL(database);
  url.host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const server = startWith({ PROMGATE_DATABASE_URL: url.href }, ...anyPort);
  await asked.promise;
  return { ...server, answer: mayAnswer.resolve };
}

async function startServer(env: Record<string, string> = {}) {
  const server = startWith(env, ...anyPort);
  const [, url = '', opsUrl = ''] = await server.says(/^Promgate listens on (\S+), for operators on (\S+)$/m);
  return { ...server, url, opsUrl };
}

it('serve tells its addresses, is ready there, and ends with 0 on SIGTERM and on SIGINT', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const server = await startServer();
    expect((await fetch(`${server.url}/none/-/prometheus/api/v1/query`)).status).toBe(401);
    expect((await fetch(`${server.opsUrl}/-/ready`)).status).toBe(200);
    server.kill(signal);
    expect(await server.ended).toEqual({ code: 0, signal: null });
  }
});

it('an address that is taken is told without a stack trace, exit 1', async () => {
  const server = await startServer();
  const second = start('serve', '--listen', new URL(server.url).host, '--ops-listen', '127.0.0.1:0', '--data-dir', 'other');
  expect((await second.ended).code).toBe(1);
  expect(second.stderr()).toMatch(/listen: 127\.0\.0\.1:\d+ is taken by another process; set another one \(--(ops-)?listen\)/);
  expect(second.stderr()).not.toMatch(/^ {4}at /m);
});

it('on SIGHUP a good configuration is taken over; a bad one is told with all its problems and changes nothing', async () => {
  const server = await startServer();
  writeFileSync(join(cwd, 'promgate.yml'), 'log_level: loud\nlisten: here\nlimit: {}\n');
  server.kill('SIGHUP');
  await server.says(
    /the old configuration stays:.* 2 problems:\n {2}promgate.yml:3: limit: .*\n {2}promgate.yml:1: log_level: .*\n/,
  );
  expect((await fetch(`${server.opsUrl}/-/ready`)).status).toBe(200);
  writeFileSync(join(cwd, 'promgate.yml'), 'log_level: warn\n');
  server.kill('SIGHUP');
  await server.says(/SIGHUP: the configuration was read again/);
  expect((await fetch(`${server.opsUrl}/-/ready`)).status).toBe(200);
});

it('on SIGHUP what needs a restart is named, each setting by itself and none by its value', async () => {
  const server = await startServer();
  const cache = 'cache: { memory: 1MiB, recent_window: 1m, redis_url: "redis://:s3cret@127.0.0.1:1" }';
  writeFileSync(join(cwd, 'promgate.yml'), `data_dir: elsewhere\nlimits: { timeout: 1s }\n${cache}\n`);
  server.kill('SIGHUP');
  await server.says(/SIGHUP: the configuration was read again/);
  const told = server.stderr().matchAll(/"key":"([^"]*)","msg":"a changed setting needs a restart"/g);
  expect(Array.from(told, ([, key]) => key).sort()).toEqual(['cache.memory', 'cache.redis_url', 'data_dir']);
  expect(server.stderr()).not.toContain('s3cret');
});

it('the first signal waits for a running answer, the second does not', async () => {
  // A server that never answers.
  const asked = Promise.withResolvers<void>();
  const upstream = createServer(() => asked.resolve());
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  cleanups.push(
    () => upstream.closeAllConnections(),
    () => upstream.close(),
  );
  const address = upstream.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  writeFileSync(
    join(cwd, 'resources.yml'),
    `projects: [{ path: demo/shop, environments: [{ name: prod }], servers: [{ name: main, url: "http://127.0.0.1:${port}" }] }]`,
  );
  expect((await start('apply', '-f', 'resources.yml').ended).code).toBe(0);
  const create = start('token', 'create', '--environment', 'demo/shop:prod', '--name', 'test', '-o', 'json');
  expect((await create.ended).code).toBe(0);
  const { token } = JSON.parse(create.stdout());

  const server = await startServer();
  const answer = fetch(`${server.url}/demo/shop/-/environments/prod/prometheus/api/v1/query?query=up`, {
    headers: { authorization: `Bearer ${token}` },
  }).catch((error: unknown) => error);
  await asked.promise;
  server.kill('SIGTERM');
  await server.says(/SIGTERM: stopping/);
  server.kill('SIGTERM');
  expect(await server.ended).toEqual({ code: 1, signal: null });
  expect(await answer).toBeInstanceOf(Error);
});

it('SIGTERM during the start ends the program with 0 as soon as it has started', async () => {
  const server = await startHalfway();
  server.kill('SIGTERM');
  await server.says(/SIGTERM: stopping/);
  server.answer();
  expect(await server.ended).toEqual({ code: 0, signal: null });
  expect(server.stderr()).toContain('"msg":"stopped"');
});

it('a second SIGTERM during the start ends the program at once', async () => {
  const server = await startHalfway();
  server.kill('SIGTERM');
  await server.says(/SIGTERM: stopping/);
  server.kill('SIGTERM');
  expect(await server.ended).toEqual({ code: 1, signal: null });
});

it('SIGHUP during the start is heard once it has started', async () => {
  const server = await startHalfway();
  writeFileSync(join(cwd, 'promgate.yml'), 'log_level: loud\n');
  server.kill('SIGHUP');
  server.answer();
  await server.says(/^Promgate listens on /m);
  await server.says(/SIGHUP: the old configuration stays:.* a problem:\n/);
});

it('a stop that fails is told, exit 1', async () => {
  // What the program itself fears from closing is handled there; so this takes away what it stands on.
  const fault = "process.on('SIGTERM', () => { globalThis.setTimeout = () => { throw new Error('it is stuck'); }; });";
  writeFileSync(join(cwd, 'fault.mjs'), fault);
  const server = await startServer({ NODE_OPTIONS: `--import ${join(cwd, 'fault.mjs')}` });
  server.kill('SIGTERM');
  expect(await server.ended).toEqual({ code: 1, signal: null });
  expect(server.stderr()).toMatch(/^promgate: could not stop in order: it is stuck$/m);
});

it('what the configuration holds without effect is told at the start, once', async () => {
  writeFileSync(join(cwd, 'promgate.yml'), 'cache: { memory: 0, redis_url: "redis://localhost" }\n');
  const server = await startServer();
  server.kill('SIGHUP');
  await server.says(/SIGHUP: the configuration was read again/);
  expect(server.stderr().match(/^cache.redis_url: has no effect, because cache.memory is 0$/gm)).toHaveLength(1);
});
