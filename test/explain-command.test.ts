import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { type CheckRig, environment, startCheckRig } from './support/check-rig.ts';

const program = join(import.meta.dirname, '../bin/promgate');

// Each command is a process of its own.
vi.setConfig({ testTimeout: 120_000 });

let rig: CheckRig;
beforeAll(async () => {
  rig = await startCheckRig();
});
afterAll(() => rig?.close());

describe('promgate explain', () => {
  let cwd: string;
  beforeAll(async () => {
    cwd = mkdtempSync(join(tmpdir(), 'promgate-explain-'));
    writeFileSync(join(cwd, 'resources.yml'), rig.resources);
    expect((await run(['apply', '-f', 'resources.yml'])).code).toBe(0);
  });
  afterAll(() => rmSync(cwd, { recursive: true }));

  function run(args: string[], input = ''): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const child = spawn(program, args, { cwd, env: { PATH: process.env.PATH }, stdio: ['pipe', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin.end(input);
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, stdout, stderr }));
    });
  }

  it('prints the same as the API, exit 0', async () => {
    const times = ['--start', '0', '--end', '3600', '--step', '1m'];
    const query = 'sum(rate(up{a="{{b}}"}[{{__range}}]))';
    const expected = await rig.check({
      query,
      environment: environment('prometheus'),
      start: 0,
      end: 3600,
      step: '1m',
      variables: { b: 'c=d' },
    });
    const args = ['explain', environment('prometheus'), query, ...times, '--var', 'b=c=d'];
    const asJson = await run([...args, '-o', 'json']);
    expect({ code: asJson.code, told: JSON.parse(asJson.stdout) }).toEqual({ code: 0, told: expected });
    expect(parse((await run([...args, '-o', 'yaml'])).stdout)).toEqual(expected);
  });

  it('is a text for a person: what is sent, and the verdict', async () => {
    const { code, stdout } = await run([
      'explain',
      environment('prometheus'),
      'sum(up{a="{{b}}"})',
      '--var',
      'b=c',
      '--time',
      '0',
    ]);
    expect(code).toBe(0);
    expect(stdout.replace(/ +$/gm, '')).toBe(`query           sum(up{a="{{b}}"})
with variables  sum(up{a="c"})
confined        sum(up{a="c",namespace="shop-prod"})
type            instant vector
server          main (prometheus)
verified        in the server's own reading (format_query)

VARIABLE  VALUE  SET BY
b         c      the request

SELECTOR
up{a="c",namespace="shop-prod"}

LIMIT            AT MOST       ASKED
max_query_bytes  131072 bytes  14 bytes  ok
max_depth        100 levels    2 levels  ok
max_range        unlimited     0s        ok

Allowed, and sent confined.
`);
  });

  it('reads a query from standard input; an error has a caret under its place; exit 3', async () => {
    const { code, stdout } = await run(['explain', environment('prometheus'), '-'], 'sum(\n\trate(up{x="é𝄞"}[5m]) +)\n');
    expect(code).toBe(3);
    expect(stdout).toContain('\n  \trate(up{x="é𝄞"}[5m]) +)\n  \t                      ^\n');
    expect(stdout).toMatch(/\nRefused with 400: invalid parameter "query": 2:24: parse error: .*\n$/);
  });

  it.each([
    ['prometheus', 'info(up)', 'Refused with 422: info()'],
    ['limited', 'sum(sum(up))', 'max_depth        2 levels  3 levels  EXCEEDED'],
    ['open', 'WITH (x = up) x', 'server open has the last word'],
    ['victoria', 'WITH (x = up) x', 'confined by extra_filters[]'],
    ['dead', 'up', 'Refused with 503: server "dead" cannot be reached'],
  ])('for %s, %s: exit 3', async (name, query, text) => {
    const { code, stdout } = await run(['explain', environment(name), query]);
    expect(stdout).toContain(text);
    expect(code).toBe(3);
  });

  it.each([
    [['acme/serverless:production', 'up'], 3, 'No server answers for acme/serverless:production'],
    [['acme/shop:nameless', 'up'], 3, 'has no value here'],
    [['acme/shop:nothing', 'up'], 1, 'There is no environment acme/shop:nothing.'],
    [['acme/shop:open', 'up', '--start', '0'], 2, '--end must be given together with start'],
    [['acme/shop:open', 'up', '--var', 'x'], 2, 'write it as name=value'],
    [['acme/shop:open'], 2, "missing required argument 'query'"],
  ])('%j: exit %i', async (args, code, text) => {
    expect(await run(['explain', ...args])).toEqual({ code, stdout: '', stderr: expect.stringContaining(text) });
  });
});
