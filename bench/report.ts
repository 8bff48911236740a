/** What a row found, as a Markdown table on standard output and, all rows together, as one JSON file. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Spread, show } from './figures.ts';
import { JSON_FILE, ROUNDS, SECONDS } from './settings.ts';

export interface Result {
  readonly title: string;
  /** The head first; all lines equally long. */
  readonly table: readonly (readonly string[])[];
  /** What was measured in each round, by contender and figure, such as `vmauth: requests per second`. */
  readonly rounds: Readonly<Record<string, readonly number[]>>;
  /** By contenders and figure. These do not depend on the machine's speed. */
  readonly ratios: Readonly<Record<string, Spread>>;
  readonly goals: readonly Goal[];
  /** Sentences for below the table. */
  readonly notes: readonly string[];
}

/** A figure of the design that is to be reached: at least, or at most. */
export interface Goal {
  readonly what: string;
  readonly found: Spread;
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** Progress, for whoever watches. */
export const say = (line: string): void => void process.stderr.write(`${line}\n`);
/** The report itself. */
export const print = (line: string): void => void process.stdout.write(`${line}\n`);

export function printResult({ title, table, goals, notes }: Result): void {
  print(`\n${title}\n`);
  for (const [i, cells] of table.entries()) {
    print(`| ${cells.join(' | ')} |`);
    if (i === 0) print(`|${'---|'.repeat(cells.length)}`);
  }
  if (goals.length + notes.length > 0) print('');
  for (const goal of goals) {
    const wanted = goal.atLeast === undefined ? `at most ${goal.atMost}` : `at least ${goal.atLeast}`;
    print(
      `- Goal: ${goal.what}, ${wanted}: ${show(goal.found, goal.found.median < 0.1 ? 4 : 2)}, ${isReached(goal) ? 'reached' : '**not reached**'}`,
    );
  }
  for (const note of notes) print(`- ${note}`);
}

/** The median counts. */
function isReached({ found, atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY }: Goal): boolean {
  return found.median >= atLeast && found.median <= atMost;
}

/** Writes what was measured; `failed` holds the errors of the rows that broke off. Returns the file's path. */
export async function writeResults(results: ReadonlyMap<string, readonly Result[]>, failed: ReadonlyMap<string, string>) {
  const rows = Array.from(results, ([name, parts]) => ({
    name,
    parts: parts.map((part) => ({ ...part, goals: part.goals.map((goal) => ({ ...goal, reached: isReached(goal) })) })),
  }));
  const about = { date: new Date().toISOString(), versions: await versions(), rounds: ROUNDS, seconds: SECONDS };
  await mkdir(dirname(JSON_FILE), { recursive: true });
  await writeFile(JSON_FILE, `${JSON.stringify({ ...about, rows, failed: Object.fromEntries(failed) }, null, 2)}\n`);
  return JSON_FILE;
}

async function versions(): Promise<Record<string, string>> {
  const { version } = JSON.parse(await readFile(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as { version: string };
  return {
    promgate: version,
    commit: await firstLine('git', ['-C', import.meta.dirname, 'describe', '--always', '--dirty']),
    node: process.version,
    prometheus: await firstLine('prometheus', ['--version']),
    // Debian's says nothing of its version.
    vmauth: await firstLine('dpkg-query', ['-W', 'victoria-metrics']),
    wrk: await firstLine('wrk', ['-v']),
    kernel: release(),
    processors: `${cpus().length} × ${cpus()[0]?.model ?? '?'}`,
  };
}

/** Of a program's output, whatever it ends with; wrk prints its version and fails. */
async function firstLine(command: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(command, args).catch(
    (error: { stdout?: string; stderr?: string }) => error,
  );
  return `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n')[0] ?? '';
}
