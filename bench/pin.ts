/** Which core runs what: the proxy has one to itself; load and upstream share the other. */
import { type RunningProcess, startProcess } from '../test/support/process.ts';

export const LOAD_CORE = '0';
export const PROXY_CORE = '1';

/** Starts a program on one core and waits until `url` answers anything at all. */
export function startPinned(
  core: string,
  command: string,
  args: string[],
  url: string,
  env: Record<string, string> = {},
): Promise<RunningProcess> {
  const ready = async () => (await fetch(url)).status > 0;
  return startProcess('taskset', ['-c', core, command, ...args], { ready, env });
}
