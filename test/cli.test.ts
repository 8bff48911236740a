import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { isTokenText } from '../src/access/token-text.ts';

const program = join(import.meta.dirname, '../bin/promgate');
const resources = `
servers:
  - { name: shared, url: "http://10.0.0.9:9090" }
projects:
  - path: acme/shop
    environments: [{ name: production }, { name: review/login }]
    servers:
      - name: main
        url: http://127.0.0.1:9090
        environment_scope: review/*
        auth: { basic: { username: u, password: { file: secrets/password } } }
`;

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

// Each command is a process of its own, and some tests run six.
vi.setConfig({ testTimeout: 120_000 });

let cwd: string;
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'promgate-cli-'));
  mkdirSync(join(cwd, 'config/secrets'), { recursive: true });
  mkdirSync(join(cwd, 'tmp'));
  writeFileSync(join(cwd, 'config/resources.yml'), resources);
  writeFileSync(join(cwd, 'config/secrets/password'), 'hunter2\n');
});
afterAll(() => rmSync(cwd, { recursive: true }));

/** Runs the program as a person would, all in one data directory. */
function promgate(args: string[], input = ''): Promise<Run> {
  const env = { PATH: process.env.PATH, TMPDIR: join(cwd, 'tmp'), PROMGATE_EXTERNAL_URL: 'https://ops.example/promgate' };
  const child = spawn(program, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
  const run: Run = { code: null, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    run.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    run.stderr += text;
  });
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...run, code }));
  });
}

/** The data of a command that must succeed. */
async function json(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await promgate([...args, '-o', 'json']);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

describe('promgate apply', () => {
  it('prints what it would do in a dry run and does nothing', async () => {
    const { code, stdout, stderr } = await promgate(['apply', '-f', 'config/resources.yml', '--dry-run']);
    expect(code).toBe(0);
    expect(stdout.split('\n').map((line) => line.replace(/ +/g, ' '))).toEqual([
      'ACTION KIND NAME DETAILS',
      'created server shared (instance)',
      'created group acme',
      'created project acme/shop',
      'created server main (acme/shop)',
      'created environment acme/shop:production',
      'created environment acme/shop:review/login',
      '',
    ]);
    expect(stderr).toContain('6 created, 0 changed, 0 left as they were, 0 removed (dry run: nothing was done)');
    expect(existsSync(join(cwd, 'data'))).toBe(false);
    expect(readdirSync(join(cwd, 'tmp'))).toEqual([]);
  });

  it('does it, and the second time says that nothing changed', async () => {
    expect(await json('apply', '-f', 'config/resources.yml')).toMatchObject({ dry_run: false, counts: { created: 6 } });
    const again = await promgate(['apply', '-f', 'config/resources.yml']);
    expect(again).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('6 left as they were') });
  });

  it('reads standard input, as YAML output names it', async () => {
    const { code, stdout } = await promgate(['apply', '-f', '-', '-o', 'yaml'], 'groups: [{ path: other }]');
    expect(code).toBe(0);
    expect(parse(stdout)).toMatchObject({ changes: [{ action: 'created', kind: 'group', name: 'other' }] });
  });

  it('tells every problem of a bad file by file, line and column, exit 1', async () => {
    writeFileSync(join(cwd, 'bad.yml'), 'server: []\nprojects:\n  - path: shop\n');
    const { code, stdout, stderr } = await promgate(['apply', '-f', 'bad.yml']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toEqual([
      'promgate: the resource file has 2 problems:',
      'bad.yml:1:1: server: unknown key (did you mean "servers"?)',
      'bad.yml:3:5: projects[0].path: must name a group and a project, such as acme/shop',
    ]);
  });

  it('fails on a file that is not there with exit 1, without one with exit 2', async () => {
    expect(await promgate(['apply', '-f', 'missing.yml'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('missing.yml'),
    });
    expect(await promgate(['apply'])).toMatchObject({ code: 2 });
  });
});

describe('promgate resolve', () => {
  it('prints the chosen server and why each other one lost', async () => {
    expect(await json('resolve', 'acme/shop:review/login')).toEqual({
      name: 'acme/shop:review/login',
      server: 'main',
      url: 'http://127.0.0.1:9090',
      candidates: [
        {
          server: 'main',
          owner: 'project acme/shop',
          environment_scope: 'review/*',
          outcome: 'chosen',
          reason: 'nearest level with a fitting server; its environment_scope "review/*" fits best',
          url: 'http://127.0.0.1:9090',
        },
        {
          server: 'shared',
          owner: 'the instance',
          environment_scope: '*',
          outcome: 'lost',
          reason: 'a server of project acme/shop is nearer',
          url: 'http://10.0.0.9:9090',
        },
      ],
    });
    const { stdout } = await promgate(['resolve', 'acme/shop:production']);
    expect(stdout).toMatch(/^main .*lost .*does not match "production"/m);
    expect(stdout).toMatch(/^shared .*chosen /m);
  });

  it('takes an environment by its slug as well', async () => {
    expect(await json('resolve', 'acme/shop:review-login-py9mn2')).toMatchObject({ server: 'main' });
  });

  it('never prints credentials', async () => {
    const { stdout, stderr } = await promgate(['resolve', 'acme/shop:review/login', '-o', 'yaml']);
    expect(stdout + stderr).not.toContain('hunter2');
  });

  it('ends with exit 3 where no server answers, for a project or a group', async () => {
    expect(await promgate(['resolve', 'acme/shop'])).toMatchObject({
      code: 3,
      stdout: expect.stringContaining('speaks for environments only'),
      stderr: 'No server answers for acme/shop.\n',
    });
    expect(await promgate(['resolve', 'acme'])).toMatchObject({ code: 3, stdout: '' });
  });

  it('ends with exit 1 for what does not exist', async () => {
    expect(await promgate(['resolve', 'acme/shop:nope'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'promgate: There is no environment acme/shop:nope.\n',
    });
    expect(await promgate(['resolve', 'nope'])).toMatchObject({ code: 1 });
  });
});

describe('promgate token', () => {
  const create = ['token', 'create', '--environment', 'acme/shop:production', '--name', 'grafana'];

  it('create prints the token, its username and its URL', async () => {
    const issued = await json(...create);
    expect(issued).toEqual({
      id: 1,
      name: 'grafana',
      username: 'token-1',
      token: expect.toSatisfy(isTokenText),
      url: 'https://ops.example/promgate/acme/shop/-/environments/production/prometheus',
      expires_at: null,
    });
    expect(await json('token', 'create', '--project', 'acme/shop', '--name', 'x', '--username', 'me')).toMatchObject({
      username: 'me',
      url: 'https://ops.example/promgate/acme/shop/-/prometheus',
    });
    expect(await json('token', 'create', '--group', 'acme', '--name', 'x')).toMatchObject({
      url: 'https://ops.example/promgate/groups/acme/-/prometheus',
    });
  });

  it('create takes an expiry as a duration, a date or never, and networks', async () => {
    const before = Date.now();
    const { expires_at: in90d } = (await json(...create, '--expires', '90d')) as { expires_at: string };
    expect(Date.parse(in90d)).toBeGreaterThanOrEqual(before + 90 * 86_400_000 - 1000);
    expect(Date.parse(in90d)).toBeLessThanOrEqual(Date.now() + 90 * 86_400_000);
    expect(await json(...create, '--expires', '2199-01-31')).toMatchObject({ expires_at: '2199-01-31T00:00:00Z' });
    expect(await json(...create, '--expires', 'never', '--allow', '10.0.0.0/8', '--allow', '::1')).toMatchObject({
      expires_at: null,
    });
    const entries = (await json('token', 'list')) as { allowed_networks: string[] }[];
    expect(entries.at(-1)?.allowed_networks).toEqual(['10.0.0.0/8', '::1/128']);
  });

  it.each([
    [['--expires', 'soon'], 2, '"soon"'],
    [['--expires', '2199-02-31'], 2, '"2199-02-31"'],
    [['--expires', '2001-01-31'], 1, 'future'],
    [['--expires', '0'], 1, 'future'],
    [['--allow', '10.0.0.1/8'], 1, '10.0.0.0/8'],
    [['--username', 'a:b'], 1, 'username'],
    [['--project', 'acme/shop'], 2, 'only one of'],
  ])('create refuses %j with exit %i', async (args, code, reason) => {
    expect(await promgate([...create, ...args])).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(reason) });
  });

  it('create needs a name and something to open', async () => {
    expect(await promgate(['token', 'create', '--group', 'acme'])).toMatchObject({ code: 2 });
    expect(await promgate(['token', 'create', '--name', 'x'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--environment'),
    });
    const nothing = ['token', 'create', '--name', 'x', '--environment', 'acme/shop:nope'];
    expect(await promgate(nothing)).toMatchObject({ code: 1, stderr: expect.stringContaining('"nope"') });
  });

  it('list shows tokens, all or of one target, and never a secret', async () => {
    const { stdout } = await promgate(['token', 'list']);
    expect(stdout).toMatch(/^1 +grafana +token-1 +environment acme\/shop:production +active +never +never$/m);
    expect(await json('token', 'list', '--group', 'acme')).toMatchObject([{ group: 'acme', state: 'active' }]);
    const text = stdout + (await promgate(['token', 'list', '-o', 'json'])).stdout;
    expect(text).not.toContain('promgate_');
    expect(text).not.toMatch(/[0-9a-f]{64}/);
  });

  it('rotate prints a new token for the same username, and list the end of the old one', async () => {
    const rotated = await json('token', 'rotate', '1', '--grace', '24h');
    expect(rotated).toMatchObject({ id: 1, username: 'token-1', token: expect.toSatisfy(isTokenText) });
    expect(rotated).toMatchObject({ url: 'https://ops.example/promgate/acme/shop/-/environments/production/prometheus' });
    const [entry] = (await json('token', 'list')) as { previous_until: string }[];
    expect(Date.parse(entry?.previous_until ?? '')).toBeGreaterThan(Date.now() + 23 * 3_600_000);
    expect(await promgate(['token', 'rotate', '1', '--grace', 'long'])).toMatchObject({ code: 2 });
  });

  it('revoke ends a token for good', async () => {
    expect(await promgate(['token', 'revoke', '1'])).toEqual({ code: 0, stdout: '', stderr: 'The token 1 is revoked.\n' });
    expect(await json('token', 'list')).toMatchObject([{ id: 1, state: 'revoked' }, ...new Array(5).fill({})]);
    expect(await promgate(['token', 'rotate', '1'])).toMatchObject({ code: 1, stderr: expect.stringContaining('revoked') });
    expect(await promgate(['token', 'revoke', '999'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no token 999'),
    });
    expect(await promgate(['token', 'revoke', 'x'])).toMatchObject({ code: 2 });
  });
});

describe('where there is no database', () => {
  it.each([
    'token list',
    'token create --name x --project acme/shop',
    'token revoke 1',
    'resolve acme/shop:production',
    'explain acme/shop:production up',
    'server test acme/shop:production',
    'user list',
    'user block ada',
    'cache purge --all',
  ])('%s says so, and makes none', async (line) => {
    const run = await promgate([...line.split(' '), '--data-dir', 'elsewhere']);
    expect(run).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^promgate: There is no database \S*elsewhere\/promgate\.db: set data_dir \(--data-dir\)/),
    });
    expect(existsSync(join(cwd, 'elsewhere'))).toBe(false);
  });

  it('user create makes one, for the first administrator, and says where', async () => {
    const args = ['user', 'create', '--username', 'ada', '--admin', '--data-dir', 'first'];
    const made = await promgate(args);
    expect(made.code).toBe(0);
    expect(made.stderr).toMatch(/^Began a new database: \S*first\/promgate\.db\.$/m);
    expect((await promgate(args.with(3, 'bob'))).stderr).not.toContain('new database');
  });
});
