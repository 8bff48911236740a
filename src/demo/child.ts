/** Programs that run beside the demo and end with it, in whatever way it ends. */
import { spawn } from 'node:child_process';

export interface Child {
  /** Resolves when the program has ended without being asked to; never, when it was asked. */
  readonly died: Promise<Error>;
  /** Resolves when it has ended; may be called twice. */
  stop(): Promise<void>;
}

/**
 * The shell reads from a pipe that nobody writes to. The kernel closes its other end when this process ends, be it by
 * SIGKILL, and then the shell ends the program. The program alone keeps the outputs: they close when it has ended.
 */
const keeper = `
"$@" </dev/null &
exec >/dev/null 2>&1
read -r line
kill $!
wait $!`;

const keptLogCharacters = 4096;

export function startChild(name: string, program: string, args: readonly string[]): Child {
  const shell = spawn('sh', ['-c', keeper, 'sh', program, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Ctrl-C in a terminal signals the whole group of processes. Only this one shall hear it, and stop the others in order.
    detached: true,
  });
  let log = '';
  const keep = (chunk: string): void => {
    log = (log + chunk).slice(-keptLogCharacters);
  };
  shell.stderr.setEncoding('utf8').on('data', keep);
  shell.stdout.setEncoding('utf8').on('data', keep);
  shell.stdout.once('end', () => shell.stdin.end());

  let asked = false;
  const closed = new Promise<number | null>((resolve, reject) => {
    shell.once('error', reject);
    shell.once('close', resolve);
  });
  return {
    died: new Promise((resolve, reject) => {
      closed.then((code) => {
        if (!asked)
          resolve(new Error(`${name} ended (exit code ${code ?? 'unknown'}).${log === '' ? '' : `\n${log.trimEnd()}`}`));
      }, reject);
    }),
    async stop() {
      asked = true;
      shell.stdin.end();
      await closed;
    },
  };
}
