/** What rows share. Each thing is made when the first row asks for it, and all of them end with the run. */
import { join } from 'node:path';
import { freePort } from '../test/support/ports.ts';
import { type AnswerName, captureAnswers } from './answers.ts';
import {
  type Contender,
  type Promgate,
  type ProxyServer,
  type Running,
  startBareProxy,
  startPromgate,
  startTrickster,
  startVmauth,
} from './contenders.ts';
import { type History, startHistory } from './history.ts';
import { isInstalled, LOAD_CORE, startPinned } from './pin.ts';
import { type Result, say } from './report.ts';

/** One or more tables of the report. */
export interface Row {
  /** For `BENCH_ONLY`. */
  readonly name: string;
  readonly run: (world: World) => Promise<readonly Result[]>;
}

export interface World {
  /** For files. */
  readonly dir: string;
  /** The stand-in server and what stands in front of it. */
  readonly stage: () => Promise<Stage>;
  /** A real Prometheus with a day of data, and what stands in front of it. */
  readonly past: () => Promise<Past>;
  /** Ends everything, the last first. */
  readonly stop: () => Promise<void>;
}

export interface Stage {
  readonly sizes: Readonly<Record<(typeof staged)[number], number>>;
  readonly upstream: Contender;
  readonly vmauth: Contender;
  readonly bareProxy: Contender;
  /** `null` where it is not on PATH: Debian has no package of it. */
  readonly trickster: Contender | null;
  /** Of `passed` no answers are kept. */
  readonly promgate: Promgate<'passed' | 'cached'>;
}

export interface Past {
  readonly history: History;
  readonly vmauth: ProxyServer<'history'>;
  /** `null` where it is not on PATH. */
  readonly trickster: Contender | null;
  readonly promgate: Promgate<'history'>;
}

const staged = ['small', 'few', 'large'] as const;

export function createWorld(dir: string): World {
  const running: Running[] = [];
  const keep = <T extends Running>(one: T): T => {
    running.push(one);
    return one;
  };
  return {
    dir,
    stage: once(async () => {
      say('answers of a real Prometheus …');
      const sizes = await captureAnswers(dir, staged);
      const upstream = keep(await startUpstream(dir, staged));
      const url = upstream.origin;
      return {
        sizes,
        upstream,
        vmauth: keep(await startVmauth(dir, { bench: url })).of('bench'),
        bareProxy: keep(await startBareProxy(url)),
        trickster: (await isInstalled('trickster')) ? keep(await startTrickster(dir, url)) : null,
        promgate: keep(await startPromgate(dir, { passed: { url, cache: false }, cached: { url, cache: true } })),
      };
    }),
    past: once(async () => {
      say('a day of data, and a bit …');
      const history = keep(await startHistory(dir));
      const url = history.origin;
      return {
        history,
        vmauth: keep(await startVmauth(dir, { history: url })),
        trickster: (await isInstalled('trickster')) ? keep(await startTrickster(dir, url)) : null,
        promgate: keep(await startPromgate(dir, { history: { url, cache: true } })),
      };
    }),
    async stop() {
      for (const one of running.toReversed()) await one.stop();
    },
  };
}

/** The stand-in server with these answers; `nice` makes way for all others on its core. */
export async function startUpstream(dir: string, names: readonly AnswerName[], nice = false): Promise<Contender & Running> {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const args = [join(import.meta.dirname, 'upstream.ts'), String(port), ...names.map((name) => join(dir, name))];
  const command = nice ? ['nice', '-n', '19', process.execPath] : [process.execPath];
  const [program = '', ...rest] = [...command, ...args];
  const { pid, stop } = await startPinned(LOAD_CORE, program, rest, origin);
  return { name: 'the server itself', origin, prefix: '', headers: {}, pid, stop };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
