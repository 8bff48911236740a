import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

const program = join(import.meta.dirname, '../bin/promgate');
const cleanups: (() => void)[] = [];

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'promgate-serve-'));
  cleanups.push(() => rmSync(cwd, { recursive: true }));
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** The program in its directory, with what it writes and how it ends. */
function start(...args: string[]) {
  const child = spawn(program, args, { cwd, env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
  cleanups.push(() => child.kill('SIGKILL'));
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

async function startServer() {
  const server = start('serve', '--listen', '127.0.0.1:0', '--ops-listen', '127.0.0.1:0');
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
  expect(second.stderr()).toContain('EADDRINUSE');
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
