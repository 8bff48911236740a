import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from './support/ports.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { tempDir } from './support/temp-dir.ts';

const root = join(import.meta.dirname, '..');
const fence = /^```(\w+)\n(.*?)^```$/gms;

interface Step {
  readonly commands: string;
  /** What they print, as the document shows it; empty: nothing. */
  readonly shown: string;
}

let prometheus: TestServer;
beforeAll(async () => {
  const port = await freePort();
  const scrapeConfigs = [{ job_name: 'prometheus', scrape_interval: '1s', static_configs: [{ targets: [`127.0.0.1:${port}`] }] }];
  prometheus = await startPrometheus({ port, scrapeConfigs });
  while (!(await (await fetch(`${prometheus.url}/api/v1/query?query=up`)).text()).includes('"up"')) await delay(100);
});
afterAll(() => prometheus?.stop());

/** The blocks of commands in their order, each with the block of output that follows it. */
function stepsOf(text: string): Step[] {
  const steps: Step[] = [];
  for (const [, language, block = ''] of text.matchAll(fence)) {
    if (language === 'sh') steps.push({ commands: block, shown: '' });
    else steps.push({ commands: steps.pop()?.commands ?? '', shown: block });
  }
  return steps;
}

/** Runs all in one shell and gives what each step printed. */
async function run(steps: readonly Step[], env: Record<string, string>): Promise<{ printed: string[]; errors: string }> {
  const home = await tempDir('walkthrough');
  const end = 'THE END OF STEP';
  await writeFile(join(home.path, 'steps.sh'), steps.map(({ commands }) => `${commands}\necho '${end}'\n`).join(''));
  // A group of its own, so that what is left of it can be ended with it.
  const shell = spawn('setpriv', ['--pdeathsig', 'KILL', 'sh', '-eu', 'steps.sh'], {
    cwd: home.path,
    env: { ...env, PATH: `${join(root, 'bin')}:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let [printed, errors] = ['', ''];
  shell.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  shell.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  try {
    await Promise.race([once(shell, 'close'), delay(240_000, undefined, { ref: false })]);
    return { printed: printed.split(`${end}\n`).slice(0, -1), errors };
  } finally {
    endGroup(shell.pid ?? 0);
    await home.remove();
  }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing is left of it.
  }
}

/** What is shown, as a pattern: `…` is whatever stands there on the line. */
function pattern(shown: string): RegExp {
  const parts = shown.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.+')}$`);
}

it('the walk-through through the API works from its first step to its last, and prints what it shows', {
  timeout: 300_000,
}, async () => {
  const port = await freePort();
  const document = await readFile(join(root, 'docs/api-walkthrough.md'), 'utf8');
  const steps = stepsOf(
    document.replaceAll('localhost:9490', `localhost:${port}`).replaceAll('127.0.0.1:9090', `127.0.0.1:${prometheus.port}`),
  );
  expect(steps.length).toBeGreaterThan(10);
  const { printed, errors } = await run(steps, {
    PROMGATE_LISTEN: `localhost:${port}`,
    PROMGATE_OPS_LISTEN: '127.0.0.1:0',
    PROMGATE_EXTERNAL_URL: `http://localhost:${port}`,
  });
  expect(errors).toBe('');
  for (const [index, { commands, shown }] of steps.entries()) {
    expect(printed[index] ?? `nothing: an earlier step failed`, commands).toMatch(pattern(shown));
  }
});
