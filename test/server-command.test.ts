import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { freePort } from './support/ports.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { type TempDir, tempDir } from './support/temp-dir.ts';
import { startVictoriaMetrics } from './support/victoria-metrics.ts';

// Each test starts programs or hashes passwords, which a busy machine is slow at.
vi.setConfig({ testTimeout: 120_000 });

const program = join(import.meta.dirname, '../bin/promgate');

let prometheus: TestServer;
let victoriaMetrics: TestServer;
let dir: TempDir;

beforeAll(async () => {
  [prometheus, victoriaMetrics, dir] = await Promise.all([startPrometheus(), startVictoriaMetrics(), tempDir('server-command')]);
  await writeFile(
    join(dir.path, 'resources.yml'),
    `
projects:
  - path: acme/shop
    environments:
      - { name: production, servers: [{ name: main, url: "${prometheus.url}" }] }
      - { name: victoria, servers: [{ name: vm, url: "${victoriaMetrics.url}" }] }
      - { name: gone, servers: [{ name: gone, url: "http://127.0.0.1:${await freePort()}/secret-path" }] }
      - { name: none }
`,
  );
  expect(await promgate('apply', '-f', 'resources.yml')).toMatchObject({ code: 0 });
});
afterAll(async () => {
  await Promise.all([prometheus.stop(), victoriaMetrics.stop(), dir.remove()]);
});

function promgate(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd: dir.path }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe('promgate server test', () => {
  it.each([
    ['production', 'main', 'prometheus'],
    ['victoria', 'vm', 'victoriametrics'],
  ])('says of the server of %s what it is and that its clock agrees', async (environment, server, kind) => {
    const before = performance.now();
    const { code, stdout } = await promgate('server', 'test', `acme/shop:${environment}`, '-o', 'json');
    const found = JSON.parse(stdout) as { clock_ahead_seconds: number };
    expect(found).toMatchObject({ server, kind });
    // It is one clock: what is found is at most the rounding of a date and half of the time that it took to ask.
    expect(Math.abs(found.clock_ahead_seconds)).toBeLessThan(1 + (performance.now() - before) / 2_000);
    expect(code).toBe(0);
  });

  it('ends with exit 3 and the reason where the server cannot be reached, or there is none', async () => {
    expect(await promgate('server', 'test', 'acme/shop:gone')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('server "gone" cannot be reached: connection refused'),
    });
    expect(await promgate('server', 'test', 'acme/shop:none')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('No server answers for acme/shop:none'),
    });
  });
});
