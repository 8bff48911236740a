import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { grafanaDataSource } from '../src/demo/grafana.ts';
import { freePort } from './support/ports.ts';
import { startPrometheus } from './support/prometheus.ts';
import { basicAuth } from './support/promgate.ts';
import { type TempDir, tempDir } from './support/temp-dir.ts';

const root = join(import.meta.dirname, '..');
const program = join(root, 'bin/promgate');
const run = promisify(execFile);
// Each demo starts several programs, and waits until they have scraped one another.
vi.setConfig({ testTimeout: 120_000 });

interface Running {
  readonly process: ChildProcess;
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Resolves with the exit code, or the signal. */
  readonly ended: Promise<number | string | null>;
}

/** `promgate demo` as a user starts it, with a directory of its own for temporary files. */
function startDemo(temp: string, args: readonly string[], path = process.env.PATH): Running {
  const child = spawn(program, ['demo', ...args], { env: { PATH: path, TMPDIR: temp }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  return { process: child, pid: child.pid ?? 0, stdout: () => stdout, stderr: () => stderr, ended };
}

function failIfEnded({ process, stderr }: Running): void {
  if (process.exitCode !== null || process.signalCode !== null) throw new Error(`the demo ended:\n${stderr()}`);
}

/** What is printed when the demo is ready. Fails, with what it said, when it ends before that. */
async function printed(demo: Running) {
  while (!demo.stderr().includes('Ctrl-C ends the demo')) {
    failIfEnded(demo);
    await delay(50);
  }
  const value = (label: string): string => new RegExp(`^${label} +(\\S+)$`, 'm').exec(demo.stdout())?.[1] ?? '';
  return {
    url: value('URL'),
    username: value('Username'),
    token: value('Token'),
    grafanaFile: value('Grafana'),
    curl: /^curl .*$/m.exec(demo.stdout())?.[0] ?? '',
    prometheusUrl: /^.* Behind the URL: (\S+)$/m.exec(demo.stderr())?.[1] ?? '',
    opsUrl: /Promgate's own metrics: (\S+)\/metrics\./.exec(demo.stderr())?.[1] ?? '',
  };
}

/** Processes below this one, children of children too: pid → name. */
function descendants(pid: number): Map<number, string> {
  const parents = new Map<number, { parent: number; name: string }>();
  for (const entry of readdirSync('/proc')) {
    // `pid (name) state ppid …`; it may end while we look.
    const match = /^\d+$/.test(entry) ? /^\d+ \((.*)\) (\S) (\d+) /.exec(readStat(entry)) : null;
    if (match !== null && match[2] !== 'Z') parents.set(Number(entry), { name: match[1] ?? '', parent: Number(match[3]) });
  }
  const found = new Map<number, string>();
  const visit = (id: number): void => {
    for (const [child, { parent, name }] of parents) {
      if (parent !== id) continue;
      found.set(child, name);
      visit(child);
    }
  };
  visit(pid);
  return found;
}

/** Where a program of this machine is. */
function pathOf(name: string): string {
  const found = (process.env.PATH ?? '')
    .split(':')
    .map((directory) => join(directory, name))
    .find((file) => existsSync(file));
  if (found === undefined) throw new Error(`${name} is not installed`);
  return found;
}

function readStat(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return '';
  }
}

/** Those that still run; a dead one whose new parent has not looked yet (Z) does not. */
function alive(pids: Iterable<number>): number[] {
  return [...pids].filter((pid) => /^\d+ \(.*\) [^ZX] /.test(readStat(String(pid))));
}

async function answers(url: string): Promise<boolean> {
  try {
    await (await fetch(url)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

let temp: TempDir;
let running: Running[] = [];

function start(args: readonly string[], path?: string): Running {
  const demo = startDemo(temp.path, args, path);
  running.push(demo);
  return demo;
}

async function clean(): Promise<void> {
  for (const demo of running) {
    demo.process.kill('SIGKILL');
    await demo.ended;
  }
  running = [];
  await temp.remove();
}

describe('promgate demo', () => {
  let demo: Running;
  let out: Awaited<ReturnType<typeof printed>>;

  beforeAll(async () => {
    temp = await tempDir('demo');
    demo = start(['--listen', `127.0.0.1:${await freePort()}`]);
    out = await printed(demo);
  });
  afterAll(clean);

  it('prints a curl line that, pasted into a shell, shows every target as up', async () => {
    const { stdout } = await run('sh', ['-c', out.curl]);
    const { status, data } = JSON.parse(stdout);
    expect(status).toBe('success');
    const jobs = data.result.map(({ metric, value }: { metric: { job: string }; value: [number, string] }) => [
      metric.job,
      value[1],
    ]);
    expect(Object.fromEntries(jobs)).toMatchObject({ prometheus: '1', promgate: '1' });
    expect(jobs.map(([, value]: [string, string]) => value)).not.toContain('0');
  });

  it('prints on stdout only what a person copies', () => {
    const lines = demo.stdout().split('\n').filter(Boolean);
    expect(lines.map((line) => line.split(' ')[0])).toEqual(['URL', 'Username', 'Token', 'curl', 'Grafana']);
    expect(out.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/demo\/shop\/-\/environments\/production\/prometheus$/);
    expect(out.token).toMatch(/^promgate_[0-9A-Za-z]{38}$/);
  });

  it('writes a Grafana data source whose URL, user and password answer a POST query', async () => {
    const file = parse(readFileSync(out.grafanaFile, 'utf8'));
    expect(file).toEqual({
      apiVersion: 1,
      datasources: [
        {
          name: 'demo/shop production',
          type: 'prometheus',
          access: 'proxy',
          url: out.url,
          basicAuth: true,
          basicAuthUser: out.username,
          secureJsonData: { basicAuthPassword: out.token },
          jsonData: { httpMethod: 'POST', prometheusType: 'Prometheus' },
        },
      ],
    });
    const [source] = file.datasources;
    const answer = await fetch(`${source.url}/api/v1/query`, {
      method: source.jsonData.httpMethod,
      headers: { authorization: basicAuth(source.basicAuthUser, source.secureJsonData.basicAuthPassword) },
      body: new URLSearchParams({ query: '1+1', time: '4' }),
    });
    expect(await answer.json()).toEqual({ status: 'success', data: { resultType: 'scalar', result: [4, '2'] } });
  });

  it('has recording and alerting rules', async () => {
    const answer = await fetch(`${out.url}/api/v1/rules`, { headers: { authorization: `Bearer ${out.token}` } });
    const { data } = (await answer.json()) as { data: { groups: { rules: { type: string }[] }[] } };
    const types = data.groups.flatMap(({ rules }) => rules.map(({ type }) => type));
    expect(new Set(types)).toEqual(new Set(['recording', 'alerting']));
  });

  it('the token opens production and nothing else', async () => {
    const staging = out.url.replace('production', 'staging');
    const answer = await fetch(`${staging}/api/v1/query?query=up`, { headers: { authorization: `Bearer ${out.token}` } });
    expect(answer.status).toBe(404);
  });

  it('takes another port, and says so, where its own is taken', async () => {
    const { port } = new URL(out.url);
    const second = start(['--listen', `127.0.0.1:${port}`, '--prometheus-url', out.prometheusUrl]);
    const { url } = await printed(second);
    expect(second.stderr()).toContain(`127.0.0.1:${port} is taken; using ${new URL(url).host}.`);
    expect(await answers(url)).toBe(true);
    second.process.kill('SIGTERM');
    expect(await second.ended).toBe(0);
  });

  it('at Ctrl-C ends with 0 and leaves no process, no open port and no file', async () => {
    const children = descendants(demo.pid);
    expect([...children.values()]).toContain('prometheus');
    const urls = [out.url, out.opsUrl, out.prometheusUrl];
    expect(await Promise.all(urls.map(answers))).toEqual([true, true, true]);
    expect(readdirSync(temp.path)).toHaveLength(1);

    demo.process.kill('SIGINT');
    expect(await demo.ended).toBe(0);
    expect(alive(children.keys())).toEqual([]);
    expect(await Promise.all(urls.map(answers))).toEqual([false, false, false]);
    expect(readdirSync(temp.path)).toEqual([]);
  });
});

describe('promgate demo, when not all goes well,', () => {
  beforeEach(async () => {
    temp = await tempDir('demo');
  });
  afterEach(clean);

  /** A demo that waits for its Prometheus, and all its processes. */
  async function starting() {
    const demo = start(['--listen', `127.0.0.1:${await freePort()}`]);
    while (![...descendants(demo.pid).values()].includes('prometheus')) {
      failIfEnded(demo);
      await delay(50);
    }
    return { demo, children: descendants(demo.pid) };
  }

  it('leaves no process when it is killed with SIGKILL', async () => {
    const { demo, children } = await starting();
    demo.process.kill('SIGKILL');
    expect(await demo.ended).toBe('SIGKILL');
    await expect.poll(() => alive(children.keys()), { timeout: 60_000 }).toEqual([]);
  });

  it('can be stopped while it starts', async () => {
    const { demo, children } = await starting();
    demo.process.kill('SIGTERM');
    expect(await demo.ended).toBe(0);
    expect(demo.stdout()).toBe('');
    expect(alive(children.keys())).toEqual([]);
    expect(readdirSync(temp.path)).toEqual([]);
  });

  it('fails, and ends the rest, when its Prometheus ends', async () => {
    const { demo, children } = await starting();
    for (const [pid, name] of children) if (name === 'prometheus') process.kill(pid, 'SIGKILL');
    expect(await demo.ended).toBe(1);
    expect(demo.stderr()).toContain('Prometheus ended (exit code 137).');
    expect(alive(children.keys())).toEqual([]);
    expect(readdirSync(temp.path)).toEqual([]);
  });

  /** A directory for the path that holds what the scripts need, and no Prometheus. */
  async function barePath(): Promise<string> {
    const path = join(temp.path, 'bin');
    await mkdir(path);
    for (const tool of ['dirname', 'env', 'id', 'readlink', 'sh']) await symlink(`/usr/bin/${tool}`, join(path, tool));
    return path;
  }

  it('says what to install, or to pass --prometheus-url, where there is no Prometheus', async () => {
    const demo = start(['--listen', `127.0.0.1:${await freePort()}`], await barePath());
    expect(await demo.ended).toBe(1);
    expect(demo.stdout()).toBe('');
    expect(demo.stderr()).toContain('sudo apt-get install --no-install-recommends prometheus prometheus-node-exporter\n');
    expect(demo.stderr()).toContain('--prometheus-url');
    expect(readdirSync(temp.path)).toEqual(['bin']);
  });

  it('--install installs the packages that are missing, and goes on', async () => {
    const path = await barePath();
    const command = (name: string, script: string) => writeFile(join(path, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    await command('sudo', 'shift; exec "$@"');
    await command(
      'apt-get',
      `[ "$1" = update ] || ln -s ${['prometheus', 'promtool'].map(pathOf).join(' ')} '${path}'; echo "$@"`,
    );
    await symlink('/usr/bin/ln', join(path, 'ln'));
    const demo = start(['--install', '--listen', `127.0.0.1:${await freePort()}`], path);
    while (!demo.stderr().includes(`Started ${path}/prometheus`)) {
      failIfEnded(demo);
      await delay(50);
    }
    expect(demo.stderr()).toMatch(/^install .* prometheus prometheus-node-exporter$/m);
    // This one did not come with the packages.
    expect(demo.stderr()).toContain('Doing without the node exporter');
    demo.process.kill('SIGTERM');
    expect(await demo.ended).toBe(0);
  });

  it('stands in front of a Prometheus that runs already, and starts none', async () => {
    const prometheus = await startPrometheus();
    try {
      const demo = start(['--listen', `127.0.0.1:${await freePort()}`, '--prometheus-url', `${prometheus.url}/`]);
      const out = await printed(demo);
      expect(out.prometheusUrl).toBe(prometheus.url);
      const { stdout } = await run('sh', ['-c', out.curl]);
      expect(JSON.parse(stdout)).toEqual({ status: 'success', data: { resultType: 'vector', result: [] } });
      expect([...descendants(demo.pid)]).toEqual([]);
    } finally {
      await prometheus.stop();
    }
  });

  it('fails where the given Prometheus does not answer', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const demo = start(['--listen', `127.0.0.1:${await freePort()}`, '--prometheus-url', url]);
    expect(await demo.ended).toBe(1);
    expect(demo.stderr()).toContain(`promgate: ${url} gives no answer: server "demo" cannot be reached: connection refused\n`);
    expect(readdirSync(temp.path)).toEqual([]);
  });

  it.each([
    ['--listen', '9490', '--listen: "9490" must be host:port'],
    ['--prometheus-url', 'localhost:9090', '--prometheus-url must start with http:// or https://'],
    ['--prometheus-url', 'http://me:secret@localhost', '--prometheus-url must not hold a user name or password'],
  ])('refuses %s %s as wrong usage', async (flag, value, message) => {
    const demo = start([flag, value]);
    expect(await demo.ended).toBe(2);
    expect(demo.stderr()).toContain(message);
  });

  it('refuses to listen on an address that is not this machine’s', async () => {
    const demo = start(['--listen', '192.0.2.1:9490']);
    expect(await demo.ended).toBe(1);
    expect(demo.stderr()).toContain('Cannot listen on 192.0.2.1:9490 (');
    expect(readdirSync(temp.path)).toEqual([]);
  });
});

describe('the files of the demo', () => {
  beforeEach(async () => {
    temp = await tempDir('demo');
  });
  afterEach(clean);

  it('its resource file can be applied as it is: production, staging and a review app of demo/shop', async () => {
    const args = ['apply', '-f', join(root, 'demo/resources.yml'), '--data-dir', join(temp.path, 'data'), '-o', 'json'];
    const { stdout } = await run(program, args, { env: { PATH: process.env.PATH } });
    for (const name of ['production', 'staging', 'review/login']) expect(stdout).toContain(`"demo/shop:${name}"`);
  });

  it('the guide prints the data source that the demo writes', () => {
    const guide = readFileSync(join(root, 'docs/connect-grafana.md'), 'utf8');
    const blocks = [...guide.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block]) => block);
    const url = 'https://promgate.example/acme/shop/-/environments/production/prometheus';
    expect(blocks).toContain(grafanaDataSource({ name: 'acme/shop production', url, username: 'token-1', token: 'promgate_…' }));
  });

  it('a dollar sign in a value is not taken for a variable by Grafana', () => {
    const file = parse(grafanaDataSource({ name: 'a $b', url: 'http://h/$c', username: 'u', token: 't' }));
    expect(file.datasources[0]).toMatchObject({ name: 'a $$b', url: 'http://h/$$c' });
  });
});
