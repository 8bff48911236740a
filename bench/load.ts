/** Load by wrk: 32 connections for a fixed time, from one core. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LOAD_CORE } from './pin.ts';

const run = promisify(execFile);

export interface Ask {
  /** Behind the contender's URL, with the query string. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Load {
  readonly origin: string;
  /** Of `writeScript`. */
  readonly script: string;
  readonly seconds: number;
}

let scripts = 0;

/** A Lua script of wrk's that asks for these in turn. Returns its path. */
export async function writeScript(dir: string, asks: readonly Ask[]): Promise<string> {
  const requests = asks.map(({ path, headers }) => {
    const fields = Object.entries(headers).map(([name, value]) => `["${name}"]="${value}"`);
    return `  requests[#requests + 1] = wrk.format("GET", "${path}", {${fields.join(', ')}})`;
  });
  const file = join(dir, `requests-${scripts++}.lua`);
  const script = `
local requests = {}
local at = 0
function init()
${requests.join('\n')}
end
function request()
  at = at % #requests + 1
  return requests[at]
end
`;
  await writeFile(file, script);
  return file;
}

/**
 * Requests per second, and what a proxy used of its core for each request, in microseconds: steadier than rates where other
 * programs run, too.
 */
export async function measureCpu(pid: number, load: Load): Promise<{ rate: number; cpu: number }> {
  const before = await cpuMicroseconds(pid);
  const started = performance.now();
  const rate = await measure(load);
  const requests = (rate * (performance.now() - started)) / 1000;
  return { rate, cpu: ((await cpuMicroseconds(pid)) - before) / requests };
}

/** User and system time of all threads; the kernel counts in hundredths of a second (proc(5)). */
async function cpuMicroseconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Requests per second. Throws when a request failed: a proxy must not look fast by refusing. */
export async function measure({ origin, script, seconds }: Load): Promise<number> {
  const args = ['-c', LOAD_CORE, 'wrk', '-t1', '-c32', `-d${seconds}s`, '--timeout', '10s', '-s', script];
  const { stdout } = await run('taskset', [...args, origin]);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`requests to ${origin} failed:\n${stdout}`);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  if (rate === undefined) throw new Error(`wrk printed no rate:\n${stdout}`);
  return Number(rate);
}
