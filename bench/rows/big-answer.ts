/** A big answer on its way, and what others wait meanwhile: work on it must never hold them up. */
import { join } from 'node:path';
import { captureAnswers, pathOf } from '../answers.ts';
import { askTwice } from '../ask.ts';
import { type Contender, startPromgate, startVmauth } from '../contenders.ts';
import { ratio, show, spread } from '../figures.ts';
import { LOAD_CORE, pinThisProcess, startPinned } from '../pin.ts';
import { probe, type Stream, type Waits } from '../probe.ts';
import { type Result, say } from '../report.ts';
import { ROUNDS, SECONDS } from '../settings.ts';
import { type Row, startUpstream } from '../world.ts';

/** Bytes per second. */
const SLOWLY = 5_000_000;

/** Read again and again while others ask. */
interface BigAnswer {
  readonly what: string;
  readonly contender: Contender;
  readonly path: string;
  /** Bytes per second; 0: as fast as it comes. */
  readonly speed: number;
}

/** Small questions by one proxy, in a quiet time and beside each of the big answers. */
interface Scene {
  readonly streams: readonly (Stream & { readonly name: string })[];
  readonly meanwhile: readonly (BigAnswer | null)[];
}

export const bigAnswer: Row = {
  name: 'big-answer',
  async run({ dir, stage }) {
    const { upstream } = await stage();
    say('an answer of 50 MB …');
    const sizes = await captureAnswers(dir, ['huge', 'wide']);
    // Makes way for the small questions on their core: only the proxy is to be looked at.
    const heavy = await startUpstream(dir, ['huge', 'wide'], true);
    const servers = { small: upstream.origin, huge: heavy.origin };
    const vmauth = await startVmauth(dir, servers);
    const promgate = await startPromgate(dir, {
      small: { url: servers.small, cache: false },
      kept: { url: servers.small, cache: true },
      huge: { url: servers.huge, cache: false },
      wide: { url: servers.huge, cache: true },
    });
    await pinThisProcess();
    try {
      const passing = (contender: Contender): BigAnswer[] => {
        const answer = { contender, path: pathOf('huge') };
        return [
          { ...answer, what: `${megabytes(sizes.huge)} passed, read as fast as it comes`, speed: 0 },
          { ...answer, what: `${megabytes(sizes.huge)} passed, read at ${megabytes(SLOWLY)}/s`, speed: SLOWLY },
        ];
      };
      const wide = { contender: promgate.of('wide'), path: pathOf('wide'), speed: 0 };
      const passed = (n: number) => pathOf('small', n);
      const scenes: readonly Scene[] = [
        {
          streams: [{ name: 'vmauth, passed', contender: vmauth.of('small'), path: passed }],
          meanwhile: [null, ...passing(vmauth.of('huge'))],
        },
        {
          streams: [
            { name: 'Promgate, passed', contender: promgate.of('small'), path: passed },
            { name: 'Promgate, from the cache', contender: promgate.of('kept'), path: () => pathOf('small') },
          ],
          meanwhile: [
            null,
            ...passing(promgate.of('huge')),
            { ...wide, what: `${megabytes(sizes.wide)} from the cache, read as fast as it comes` },
          ],
        },
      ];
      const said = await askTwice(wide.contender, wide.path);
      for (const { streams } of scenes) await probe(streams, SECONDS);
      const lines = new Map<string, Line>();
      for (let round = 1; round <= ROUNDS; round++) {
        for (const scene of scenes) await playScene(scene, lines);
        say(`big answers, round ${round}/${ROUNDS}`);
      }
      return [resultOf([...lines.values()], said)];
    } finally {
      for (const one of [promgate, vmauth, heavy]) await one.stop();
    }
  },
};

/** Of the table: who asked, what was going on, and by round, in milliseconds, what they waited. */
interface Line {
  readonly others: string;
  readonly meanwhile: string;
  readonly p50: number[];
  readonly p99: number[];
}

const QUIET = 'nothing';

async function playScene({ streams, meanwhile }: Scene, lines: Map<string, Line>): Promise<void> {
  for (const big of meanwhile) {
    const waits = big === null ? await probe(streams, SECONDS) : await waitsBeside(big, streams);
    for (const [i, { name: others }] of streams.entries()) {
      const what = big?.what ?? QUIET;
      const line = lines.get(`${others}\n${what}`) ?? { others, meanwhile: what, p50: [], p99: [] };
      lines.set(`${others}\n${what}`, line);
      line.p50.push(waits[i]?.p50 ?? Number.NaN);
      line.p99.push(waits[i]?.p99 ?? Number.NaN);
    }
  }
}

async function waitsBeside({ contender, path, speed }: BigAnswer, streams: readonly Stream[]): Promise<readonly Waits[]> {
  const { origin, prefix, headers } = contender;
  const program = join(import.meta.dirname, '..', 'reader.ts');
  const args = ['-n', '19', process.execPath, program, origin + prefix + path, headers.Authorization ?? '', String(speed)];
  const reader = await startPinned(LOAD_CORE, 'nice', args, origin);
  let waits: readonly Waits[];
  try {
    waits = await probe(streams, SECONDS);
  } finally {
    await reader.stop();
  }
  if (reader.logs().includes('Error')) throw new Error(`a big answer failed:\n${reader.logs()}`);
  return waits;
}

function resultOf(lines: readonly Line[], said: string): Result {
  const slower = ({ others, p99 }: Line) =>
    ratio(p99, lines.find((one) => one.others === others && one.meanwhile === QUIET)?.p99 ?? []);
  const nameOf = ({ others, meanwhile }: Line) => `${others}, meanwhile ${meanwhile}`;
  const sorted = lines.toSorted((a, b) => Number(a.others > b.others) - Number(a.others < b.others));
  return {
    title: 'Small answers (about 1 KB) while a big one is on its way',
    table: [
      ['small answers by', 'meanwhile', 'p50, ms', 'p99, ms', 'p99 × with nothing else'],
      ...sorted.map((line) => [
        line.others,
        line.meanwhile,
        spread(line.p50).median.toFixed(2),
        spread(line.p99).median.toFixed(2),
        show(slower(line)),
      ]),
    ],
    rounds: Object.fromEntries(
      sorted.flatMap((line) => [
        [`${nameOf(line)}: p50 milliseconds`, line.p50] as const,
        [`${nameOf(line)}: p99 milliseconds`, line.p99] as const,
      ]),
    ),
    ratios: Object.fromEntries(sorted.map((line) => [`${nameOf(line)}: p99 × with nothing else`, slower(line)] as const)),
    goals: [],
    notes: [`The big answer from the cache: X-Promgate-Cache said ${said}`],
  };
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
