/** Answers that Promgate has, beside vmauth, which asks for them each time, and a server that can do nothing else. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathOf } from '../answers.ts';
import { askTwice } from '../ask.ts';
import { type Contender, startBareAnswer } from '../contenders.ts';
import { writeScript } from '../load.ts';
import { measureInTurn, rateFigures, rateGoal, rateTable } from '../rounds.ts';
import type { Row } from '../world.ts';

export const hitInstant = hits('hit-instant', 'An instant query in the past', 'small');
export const hitRange = hits('hit-range', 'A small range query', 'few');
export const hitLarge = hits('hit-large', 'A large range query', 'large');

function hits(name: string, what: string, answer: 'small' | 'few' | 'large'): Row {
  const path = pathOf(answer);
  return {
    name,
    async run({ dir, stage }) {
      const { upstream, vmauth, trickster, promgate, sizes } = await stage();
      const cached = promgate.of('cached');
      const body = join(dir, `${answer}.json`);
      await writeFile(body, Buffer.from(await (await fetch(upstream.origin + path)).arrayBuffer()));
      const bare = await startBareAnswer(body);
      try {
        const said = await askTwice(cached, path);
        const contenders = [vmauth, bare, ...(trickster === null ? [] : [trickster]), cached];
        const title = `${what} from the cache, ${sizes[answer]} bytes`;
        const before = await promgate.cacheResults();
        const found = await measureInTurn(
          title,
          await Promise.all(contenders.map(async (one) => ({ ...one, script: await scriptOf(dir, one, path) }))),
        );
        const share = hitShare(before, await promgate.cacheResults());
        const bases = ['vmauth', bare.name];
        const goals =
          answer === 'large' ? [] : [rateGoal(found, 'Promgate', 'vmauth', 3), rateGoal(found, 'Promgate', bare.name, 0.5)];
        const notes = [`X-Promgate-Cache of the second answer: ${said}; hits under load: ${(100 * share).toFixed(2)} %`];
        if (said !== 'hit' || share < 0.999) notes.push('**These answers did not come from the cache: the row says nothing.**');
        return [{ title, table: rateTable(found, bases), ...rateFigures(found, bases), goals, notes }];
      } finally {
        await bare.stop();
      }
    },
  };
}

function hitShare(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): number {
  const grown = Object.entries(after).map(([result, count]) => [result, count - (before[result] ?? 0)] as const);
  const all = grown.reduce((sum, [, count]) => sum + count, 0);
  return (grown.find(([result]) => result === 'hit')?.[1] ?? 0) / all;
}

function scriptOf(dir: string, { prefix, headers }: Contender, path: string): Promise<string> {
  return writeScript(dir, [{ path: prefix + path, headers }]);
}
