/** Everything that `promgate demo` runs: a Promgate with a small directory in front of a real Prometheus. */
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPromgate } from '../app.ts';
import { loadSettings } from '../config/settings.ts';
import type { ListenAddress } from '../config/values.ts';
import type { Child } from './child.ts';
import { type DemoToken, fillDirectory } from './directory.ts';
import { grafanaDataSource } from './grafana.ts';
import { addressText, freeAddress } from './ports.ts';
import { findPrograms } from './programs.ts';
import { startNodeExporter, startPrometheus } from './prometheus.ts';
import { checkAnswer, waitForScrape } from './ready.ts';

export interface DemoOptions {
  /** Of the gateway; where it is taken, the next free port is. */
  readonly listen: ListenAddress;
  /** A Prometheus that runs already; `null`: the demo starts one. */
  readonly prometheusUrl: string | null;
  /** Whether to install missing programs. */
  readonly install: boolean;
  /** Ends the start; it then throws with nothing left running. */
  readonly signal: AbortSignal;
  /** Told what happens, for a person. */
  readonly note: (line: string) => void;
}

export interface Demo extends DemoToken {
  /** Path of a provisioning file for Grafana. */
  readonly grafanaFile: string;
  readonly prometheusUrl: string;
  readonly opsUrl: string;
  /** Resolves when a program of it has ended by itself: the demo is broken then. */
  readonly broken: Promise<Error>;
  /** Stops everything and removes all files. */
  close(): Promise<void>;
}

/** Starts everything and waits until the endpoint answers. Throws, with nothing left running, when that fails. */
export async function startDemo({ prometheusUrl, install, signal, note, ...wanted }: DemoOptions): Promise<Demo> {
  const programs = prometheusUrl === null ? await findPrograms({ install }) : null;
  const dir = await mkdtemp(join(tmpdir(), 'promgate-demo-'));
  const removeDir = (): void => rmSync(dir, { recursive: true, force: true });
  // For the ways out that do not close.
  process.once('exit', removeDir);
  const started: { close(): Promise<void> }[] = [];
  const children: Child[] = [];
  const close = async (): Promise<void> => {
    for (const each of started) await each.close();
    await Promise.all(children.map((child) => child.stop()));
    removeDir();
  };
  try {
    const listen = await takeAddress(wanted.listen, note);
    const ops = await takeAddress(loopback(listen.port + 1), note);
    const server = await freeAddress(loopback(ops.port + 1));
    const serverUrl = prometheusUrl ?? `http://${addressText(server)}`;
    const settings = loadSettings({
      flags: {
        listen: addressText(listen),
        opsListen: addressText(ops),
        externalUrl: `http://${addressText(reachable(listen))}`,
        dataDir: join(dir, 'promgate'),
        logLevel: 'warn',
      },
      env: {},
      cwd: dir,
    });
    const token = await fillDirectory(settings, serverUrl);
    const promgate = await startPromgate(settings);
    started.push(promgate);

    if (programs === null) await checkAnswer(token, serverUrl, signal);
    else {
      const jobs: Record<string, string> = { prometheus: addressText(server), promgate: addressText(ops) };
      if (programs.nodeExporter === null)
        note('Doing without the node exporter: there is no prometheus-node-exporter on the path.');
      else {
        jobs.node = addressText(await freeAddress(loopback(server.port + 1)));
        children.push(startNodeExporter(programs.nodeExporter, jobs.node));
      }
      children.push(await startPrometheus({ program: programs.prometheus, address: addressText(server), dir, jobs }));
      note(`Started ${programs.prometheus}; waiting until what it scrapes arrives through the endpoint …`);
      await waitForScrape(token, serverUrl, Object.keys(jobs).length, { programs: children, signal });
    }
    return {
      ...token,
      grafanaFile: await writeGrafanaFile(dir, token),
      prometheusUrl: serverUrl,
      opsUrl: promgate.opsUrl,
      broken: Promise.race(children.map(({ died }) => died)),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const loopback = (port: number): ListenAddress => ({ host: '127.0.0.1', port });

async function takeAddress(wanted: ListenAddress, note: (line: string) => void): Promise<ListenAddress> {
  const address = await freeAddress(wanted);
  if (wanted.port !== 0 && address.port !== wanted.port) note(`${addressText(wanted)} is taken; using ${addressText(address)}.`);
  return address;
}

/** An address for clients on this machine. */
function reachable({ host, port }: ListenAddress): ListenAddress {
  return { host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port };
}

async function writeGrafanaFile(dir: string, { endpoint, username, token }: DemoToken): Promise<string> {
  const file = join(dir, 'grafana-datasource.yml');
  const text = grafanaDataSource({ name: 'demo/shop production', url: endpoint, username, token });
  await writeFile(file, text, { mode: 0o600 });
  return file;
}
