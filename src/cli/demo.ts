import { once } from 'node:events';
import type { ListenAddress } from '../config/values.ts';
import type { Demo } from '../demo/demo.ts';
import { exitCodes, note, type RegisterCommand, UsageError } from './command.ts';

interface DemoFlags {
  readonly listen: string;
  readonly prometheusUrl?: string;
  readonly install?: true;
}

export const register: RegisterCommand = (program) => {
  program
    .command('demo')
    .description('try it: a Prometheus, a small directory, a token and a curl line to paste; Ctrl-C ends it')
    .option('--listen <host:port>', 'address of the gateway; the next free port where it is taken', '127.0.0.1:9490')
    .option('--prometheus-url <url>', 'stand in front of this one instead of starting one')
    .option('--install', 'install missing programs with apt-get, where this user may')
    .action(async (flags: DemoFlags) => {
      const listen = await listenFrom(flags.listen);
      const prometheusUrl = await prometheusUrlFrom(flags.prometheusUrl);
      const signal = stopSignal();
      const { startDemo } = await import('../demo/demo.ts');
      let demo: Demo;
      try {
        demo = await startDemo({ listen, prometheusUrl, install: flags.install === true, signal, note });
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      try {
        show(demo);
        await stay(demo, signal);
      } finally {
        await demo.close();
      }
    });
};

async function listenFrom(text: string): Promise<ListenAddress> {
  const { listenAddress } = await import('../config/values.ts');
  const reading = listenAddress(text, '');
  if ('value' in reading) return reading.value;
  throw new UsageError(`--listen: "${text}" must be ${'expected' in reading ? reading.expected : reading.problem}`);
}

async function prometheusUrlFrom(text: string | undefined): Promise<string | null> {
  if (text === undefined) return null;
  const { normalizeServerUrl, serverUrlProblem } = await import('../directory/resource-values.ts');
  const problem = serverUrlProblem(text);
  if (problem !== null) throw new UsageError(`--prometheus-url ${problem}`);
  return normalizeServerUrl(text);
}

/** Aborts at the first signal; the second one does not wait. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(exitCodes.failed);
    note('Stopping …');
    controller.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  return controller.signal;
}

function show({ endpoint, username, token, grafanaFile, prometheusUrl, opsUrl }: Demo): void {
  process.stdout.write(`
URL       ${endpoint}
Username  ${username}
Token     ${token}

curl -sS -u '${username}:${token}' '${endpoint}/api/v1/query?query=up'

Grafana   ${grafanaFile}

`);
  note(`The file makes a Grafana data source: docs/connect-grafana.md. Behind the URL: ${prometheusUrl}
Promgate's own metrics: ${opsUrl}/metrics. Ctrl-C ends the demo and removes its files.`);
}

/** Until a signal comes. Throws when a part of the demo ends before that. */
async function stay({ broken }: Demo, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const error = await Promise.race([broken, once(signal, 'abort').then(() => null)]);
  if (error !== null) throw error;
}
