import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ask } from './ask.ts';
import { answers200 } from './process.ts';
import { tempDir } from './temp-dir.ts';

const program = join(import.meta.dirname, '../../bin/promgate');

/** `bin/promgate serve`, a process of its own, in an empty directory with a `promgate.yml`. */
export interface Served {
  readonly url: string;
  readonly opsUrl: string;
  readonly pid: number;
  /** All that it wrote to standard error. */
  logs(): string;
  /** Runs another command there; gives its standard output. Throws where it fails. */
  run(...args: string[]): Promise<string>;
  /** Applies a resource file. */
  apply(resources: object): Promise<void>;
  /** Makes a token for an environment, with the value of an `Authorization` header, and waits until the gateway knows it. */
  token(environment: string): Promise<{ id: number; token: string; authorization: string }>;
  /** Replaces `promgate.yml` but for where it listens. */
  configure(settings: string): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves with the exit code, or the signal that ended it. */
  readonly exited: Promise<number | string | null>;
  /** Ends it in whatever way, and removes everything. */
  remove(): Promise<void>;
}

/** @param settings more lines for `promgate.yml` */
export async function startServed(resources: object, settings = ''): Promise<Served> {
  const directory = await tempDir('served');
  const cwd = directory.path;
  const env = { PATH: process.env.PATH };
  const configure = (lines: string): Promise<void> =>
    writeFile(join(cwd, 'promgate.yml'), `listen: 127.0.0.1:0\nops_listen: 127.0.0.1:0\n${lines}\n`);
  const run = async (...args: string[]): Promise<string> => (await promisify(execFile)(program, args, { cwd, env })).stdout;
  const apply = async (text: object): Promise<void> => {
    await writeFile(join(cwd, 'resources.yml'), JSON.stringify(text));
    await run('apply', '-f', 'resources.yml');
  };
  await configure(settings);
  await apply(resources);
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, 'serve'], {
    cwd,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let logs = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    logs += text;
  });
  const exited = once(child, 'close').then(([code, signal]): number | string | null => code ?? signal);
  const remove = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
    await directory.remove();
  };
  const addresses = /listens on (http:\S+), for operators on (http:\S+)/;
  while (!addresses.test(logs)) {
    if ((await Promise.race([exited.then(() => 'ended'), once(child.stderr, 'data')])) === 'ended') {
      await remove();
      throw new Error(`promgate ended before it listened:\n${logs}`);
    }
  }
  const [, url = '', opsUrl = ''] = addresses.exec(logs) ?? [];
  if (!(await answers200(`${opsUrl}/-/ready`))) throw new Error('not ready');
  return {
    url,
    opsUrl,
    pid: child.pid ?? 0,
    logs: () => logs,
    run,
    apply,
    token: async (environment) => {
      const {
        id,
        token,
        url: endpoint,
      } = JSON.parse(await run('token', 'create', '--environment', environment, '--name', 'test', '-o', 'json'));
      const authorization = `Bearer ${token}`;
      const unknown = `${url}${new URL(endpoint).pathname}/api/v1/unknown`;
      while ((await ask(unknown, { headers: { authorization } })).status === 401) await delay(25);
      return { id, token, authorization };
    },
    configure,
    signal: (signal) => void child.kill(signal),
    exited,
    remove,
  };
}
