/** A directory of 100,000 environments, each with a token, beside one of 10. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Running, serve } from '../contenders.ts';
import { fillDirectory, questions } from '../directory.ts';
import { ratio, show, spread } from '../figures.ts';
import { writeScript } from '../load.ts';
import { say } from '../report.ts';
import { measureInTurn, rateFigures, rateGoal, type Way } from '../rounds.ts';
import type { Row } from '../world.ts';

const SIZES = [10, 100_000] as const;
const [SMALL, BIG] = SIZES.map(nameOf) as [string, string];

export const directory: Row = {
  name: 'directory',
  async run({ dir, stage }) {
    const { upstream } = await stage();
    const running: (Way & Running & { readonly started: number })[] = [];
    try {
      for (const size of SIZES) {
        say(`${nameOf(size)} …`);
        const dataDir = join(dir, `directory-${size}`);
        const script = await writeScript(dir, questions(await fillDirectory(dataDir, upstream.origin, size)));
        const before = performance.now();
        const served = await serve(dataDir);
        running.push({ ...served, name: nameOf(size), script, started: (performance.now() - before) / 1000 });
      }
      const title = 'A large directory, ~1 KB answers, passed through, from all over it';
      const found = await measureInTurn(title, running);
      const memory = await Promise.all(running.map(({ pid }) => peakMegabytes(pid)));
      const lines = found.map(({ name, rates }, i) => [
        name,
        spread(rates).median.toFixed(0),
        show(ratio(rates, found[0]?.rates ?? [])),
        `${running[i]?.started.toFixed(1)} s`,
        `${memory[i]?.toFixed(0)} MB`,
      ]);
      const peak = memory.at(-1) ?? Number.NaN;
      const goals = [
        rateGoal(found, BIG, SMALL, 0.95),
        { what: `peak memory with ${BIG}, MB`, found: spread([peak]), atMost: 600 },
      ];
      const head = ['', 'requests/s, median', `× ${SMALL}`, 'start-up', 'peak memory'];
      return [{ title, table: [head, ...lines], ...rateFigures(found, [SMALL]), goals, notes: [] }];
    } finally {
      for (const { stop } of running) await stop();
    }
  },
};

function nameOf(size: number): string {
  return `${size.toLocaleString('en')} environments and tokens`;
}

async function peakMegabytes(pid: number): Promise<number> {
  return Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
