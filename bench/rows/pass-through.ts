/** Answers that are not kept: what passing them through costs. */
import type { AnswerName } from '../answers.ts';
import { pathOf } from '../answers.ts';
import type { Contender } from '../contenders.ts';
import { writeScript } from '../load.ts';
import { measureInTurn, rateFigures, rateGoal, rateTable } from '../rounds.ts';
import type { Row } from '../world.ts';

/** More than there are connections: no two requests in flight are alike, so none can share another's answer. */
const QUESTIONS = 1000;

export const passSmall = passThrough('pass-small', 'small', 1.5);
export const passLarge = passThrough('pass-large', 'large', 0.8);

function passThrough(name: string, answer: Extract<AnswerName, 'small' | 'large'>, goal: number): Row {
  return {
    name,
    async run({ dir, stage }) {
      const { upstream, vmauth, bareProxy, promgate, sizes } = await stage();
      const contenders = [upstream, vmauth, bareProxy, promgate.of('passed')];
      const title = `Passed through, ${sizes[answer]} bytes`;
      const found = await measureInTurn(
        title,
        await Promise.all(contenders.map(async (one) => ({ ...one, script: await shifted(dir, one, answer) }))),
      );
      const bases = ['vmauth', 'the server itself'];
      const goals = [rateGoal(found, 'Promgate', 'vmauth', goal)];
      return [{ title, table: rateTable(found, bases), ...rateFigures(found, bases), goals, notes: [] }];
    },
  };
}

function shifted(dir: string, { prefix, headers }: Contender, answer: AnswerName): Promise<string> {
  const asks = Array.from({ length: QUESTIONS }, (_, i) => ({ path: prefix + pathOf(answer, 15 * i), headers }));
  return writeScript(dir, asks);
}
