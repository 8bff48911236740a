/** Load by wrk: 32 connections for a fixed time, from one core. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { LOAD_CORE } from './pin.ts';

const run = promisify(execFile);

export interface Load {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A Lua script of wrk's that makes the requests. */
  readonly script?: string;
  readonly seconds: number;
}

/** What a proxy used of its core for each request, in microseconds: steadier than rates where other programs run, too. */
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
export async function measure({ url, headers = {}, script, seconds }: Load): Promise<number> {
  const args = ['-c', LOAD_CORE, 'wrk', '-t1', '-c32', `-d${seconds}s`, '--timeout', '10s'];
  for (const [name, value] of Object.entries(headers)) args.push('-H', `${name}: ${value}`);
  if (script !== undefined) args.push('-s', script);
  const { stdout } = await run('taskset', [...args, url]);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`requests to ${url} failed:\n${stdout}`);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  if (rate === undefined) throw new Error(`wrk printed no rate:\n${stdout}`);
  return Number(rate);
}
