/** Which core runs what: the proxy has one to itself; load and server share the other. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type RunningProcess, startProcess } from '../test/support/process.ts';

export const LOAD_CORE = '0';
export const PROXY_CORE = '1';

/** Starts a program on one core and waits until `url` answers anything at all. */
export function startPinned(
  core: string,
  command: string,
  args: readonly string[],
  url: string,
  env: Record<string, string> = {},
): Promise<RunningProcess> {
  const ready = async () => (await fetch(url)).status > 0;
  return startProcess('taskset', ['-c', core, command, ...args], { ready, env });
}

/** Keeps this process, all of its threads, off the proxy's core: for rows that ask by themselves instead of by wrk. */
export async function pinThisProcess(): Promise<void> {
  await promisify(execFile)('taskset', ['-a', '-c', '-p', LOAD_CORE, String(process.pid)]);
}

/** Whether a program is on PATH. */
export async function isInstalled(program: string): Promise<boolean> {
  return (await promisify(execFile)('sh', ['-c', `command -v ${program}`]).catch(() => null)) !== null;
}
