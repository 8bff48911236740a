import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

export interface StartOptions {
  /** Asked again and again until it is true; a thrown error counts as "not yet". */
  ready: () => Promise<boolean>;
  env?: Record<string, string>;
  cwd?: string;
}

export interface RunningProcess {
  readonly pid: number;
  /** What it wrote to standard output and standard error, together. */
  logs(): string;
  /** SIGTERM, and SIGKILL where that does not help within 10 s. Resolves when it has ended; may be called twice. */
  stop(): Promise<void>;
}

const readyWithinMs = 60_000;
const stopWithinMs = 10_000;
const keptLogCharacters = 64 * 1024;

/**
 * Starts a real program and waits until it is ready. Its end before that, or silence for a minute, is an error that
 * holds its logs. The kernel kills it when the test process ends, in whatever way that ends (`setpriv --pdeathsig`).
 */
export async function startProcess(command: string, args: string[], options: StartOptions): Promise<RunningProcess> {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let logs = '';
  const keep = (chunk: string): void => {
    logs = (logs + chunk).slice(-keptLogCharacters);
  };
  child.stdout.setEncoding('utf8').on('data', keep);
  child.stderr.setEncoding('utf8').on('data', keep);
  await once(child, 'spawn');
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${command} has no process id`);

  const running = (): boolean => child.exitCode === null && child.signalCode === null;
  const closed = once(child, 'close');
  const stop = async (): Promise<void> => {
    if (running()) child.kill('SIGTERM');
    const patience = setTimeout(() => child.kill('SIGKILL'), stopWithinMs);
    await closed;
    clearTimeout(patience);
  };

  const deadline = Date.now() + readyWithinMs;
  while (!(await isReady(options.ready))) {
    if (!running()) {
      await closed;
      throw new Error(
        child.exitCode === 127
          ? `${command} is not installed (the tests need Debian's packages prometheus and victoria-metrics)`
          : `${command} ended with ${child.signalCode ?? child.exitCode} before it was ready:\n${logs}`,
      );
    }
    if (Date.now() > deadline) {
      await stop();
      throw new Error(`${command} was not ready within ${readyWithinMs / 1000} s:\n${logs}`);
    }
    await delay(50);
  }
  return { pid, logs: () => logs, stop };
}

async function isReady(ready: () => Promise<boolean>): Promise<boolean> {
  try {
    return await ready();
  } catch {
    return false;
  }
}

/** Whether a GET of `url` is answered with 200. */
export async function answers200(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  await response.arrayBuffer();
  return response.status === 200;
}
