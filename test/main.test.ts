import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import manifest from '../package.json' with { type: 'json' };

// A test starts up to six programs, each of which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const program = join(import.meta.dirname, '../bin/promgate');

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'promgate-main-'));
});
afterEach(() => rmSync(cwd, { recursive: true }));

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the program as a user would, in an empty directory and with nothing of this process's own settings. */
function promgate(
  args: string[],
  { env = {}, file = program }: { env?: Record<string, string>; file?: string } = {},
): Promise<Run> {
  const child = spawn(file, args, { cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const run: Run = { code: null, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    run.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    run.stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...run, code }));
  });
}

describe('what a command prints and how it ends', () => {
  it('the version goes to stdout, exit 0', async () => {
    const expected = { code: 0, stdout: `promgate ${manifest.version}\n`, stderr: '' };
    expect(await promgate(['version'])).toEqual(expected);
    expect(await promgate(['--version'])).toEqual(expected);
  });

  it('help is data: stdout, exit 0, and it names every command', async () => {
    const { code, stdout, stderr } = await promgate(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const command of ['demo', 'serve', 'apply', 'resolve', 'token', 'config', 'migrate', 'version']) {
      expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    }
  });

  it.each([
    [[], 'Usage: promgate'],
    [['srve'], "unknown command 'srve'"],
    [['version', 'now'], 'too many arguments'],
    [['serve', '--listne', 'x'], "unknown option '--listne'\n(Did you mean --listen?)"],
    [['serve', '--listen'], 'argument missing'],
    [['serve', '--database-url', 'postgres://db.example/x'], "unknown option '--database-url'"],
    [['serve', '--secret-key', 'x'], "unknown option '--secret-key'"],
    [['config'], 'Usage: promgate config'],
    [['config', 'chek'], "unknown command 'chek'"],
  ])('wrong usage %j is told on stderr, exit 2', async (args, message) => {
    const { code, stdout, stderr } = await promgate(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  it('a configuration with problems stops a command with all of them, exit 1, and without a stack trace', async () => {
    writeFileSync(join(cwd, 'promgate.yml'), 'limits:\n  timeout: 60\n');
    const run = await promgate(['serve', '--listen', 'here'], { env: { PROMGATE_DATABASE_URL: 'mysql://root:hunter2@db' } });
    expect(run).toEqual({
      code: 1,
      stdout: '',
      stderr: `promgate: the configuration has 3 problems:
  --listen: "here" must be host:port, such as 127.0.0.1:9490, or 0.0.0.0:9490 or [::]:9490 for every interface
  PROMGATE_DATABASE_URL: must be empty (SQLite in data_dir) or a URL such as postgres://user:password@host:5432/promgate
  promgate.yml:2: limits.timeout: "60" must be a duration with a unit, such as 500ms, 30s, 1h30m or 31d
`,
    });
  });

  it('PROMGATE_DEBUG=1 adds the stack trace', async () => {
    const { code, stderr } = await promgate(['serve', '--listen', 'here'], { env: { PROMGATE_DEBUG: '1' } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ {4}at .*settings\.ts/m);
  });

  it('config check ends with 3 and one line for each problem, or with 0', async () => {
    writeFileSync(join(cwd, 'promgate.yml'), 'listne: x\nlog_level: loud\n');
    expect(await promgate(['config', 'check'])).toEqual({
      code: 3,
      stdout: '',
      stderr: `promgate.yml:1: listne: unknown key (did you mean "listen"?)
promgate.yml:2: log_level: "loud" must be one of fatal, error, warn, info, debug, trace
`,
    });
    expect(await promgate(['config', 'check', '--config', '/dev/null'])).toEqual({
      code: 0,
      stdout: '',
      stderr: 'The configuration is good.\n',
    });
  });

  it('config check tells once what has no effect, and that is no problem', async () => {
    writeFileSync(join(cwd, 'promgate.yml'), 'log_level: warn\ncache: { memory: 0, redis_url: "redis://localhost" }\n');
    expect(await promgate(['config', 'check'])).toEqual({
      code: 0,
      stdout: '',
      stderr: 'cache.redis_url: has no effect, because cache.memory is 0\nThe configuration is good.\n',
    });
  });

  it('migrate says from where to where, and then that there is nothing to do', async () => {
    const first = await promgate(['migrate']);
    expect(first).toMatchObject({ code: 0, stdout: '' });
    expect(first.stderr).toMatch(/^The database went from empty to \d{3}-[a-z-]+\.\n$/);
    const second = await promgate(['migrate']);
    expect(second).toMatchObject({ code: 0, stdout: '' });
    expect(second.stderr).toMatch(/^The database is up to date: \d{3}-[a-z-]+\.\n$/);
  });

  it('a database that cannot be opened fails the command with a message, exit 1', async () => {
    const { code, stderr } = await promgate(['migrate', '--data-dir', '/dev/null/data']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^promgate: .+\n$/);
  });
});

describe('bin/promgate', () => {
  it('works through links, relative ones too', async () => {
    mkdirSync(join(cwd, 'bin'));
    symlinkSync(program, join(cwd, 'promgate-1'));
    symlinkSync('../promgate-1', join(cwd, 'bin/promgate'));
    expect(await promgate(['version'], { file: join(cwd, 'bin/promgate') })).toMatchObject({ code: 0, stderr: '' });
  });

  it('hands on its signals: the process is the program itself', async () => {
    writeFileSync(join(cwd, 'hang.mjs'), 'console.log(process.ppid); setInterval(() => {}, 1000);');
    const child = spawn(program, ['version'], {
      cwd,
      env: { PATH: process.env.PATH, NODE_OPTIONS: `--import ${join(cwd, 'hang.mjs')}` },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const parent = await new Promise<string>((resolve) => {
      child.stdout.setEncoding('utf8').once('data', resolve);
    });
    expect(Number.parseInt(parent, 10)).toBe(process.pid);
    child.kill('SIGTERM');
    expect(await new Promise((resolve) => child.on('exit', (_code, signal) => resolve(signal)))).toBe('SIGTERM');
  });

  it('without libraries or a new enough Node it says what to do, exit 1', async () => {
    mkdirSync(join(cwd, 'bin'));
    const copy = join(cwd, 'bin/promgate');
    copyFileSync(program, copy);
    chmodSync(copy, 0o755);
    const bare = await promgate(['version'], { file: copy });
    expect(bare).toMatchObject({ code: 1, stdout: '' });
    expect(bare.stderr).toContain('npm ci --prefix');

    mkdirSync(join(cwd, 'node_modules/commander'), { recursive: true });
    mkdirSync(join(cwd, 'path'));
    for (const version of ['v20.1.0', 'v24.6.9', 'nonsense']) {
      writeFileSync(join(cwd, 'path/node'), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
      const old = await promgate(['version'], { file: copy, env: { PATH: `${join(cwd, 'path')}:/usr/bin:/bin` } });
      expect(old).toMatchObject({ code: 1, stdout: '' });
      expect(old.stderr).toContain(`Node.js 24.7 or newer is needed (found: ${version})`);
    }
    writeFileSync(join(cwd, 'path/node'), '#!/bin/sh\ncase $1 in --version) echo v25.0.0 ;; *) echo "started $*" ;; esac\n', {
      mode: 0o755,
    });
    const newer = await promgate(['version'], { file: copy, env: { PATH: `${join(cwd, 'path')}:/usr/bin:/bin` } });
    expect(newer.stdout).toMatch(/^started .*src\/main\.ts version/);
  });
});
