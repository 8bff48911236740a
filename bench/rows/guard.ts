/** 200 queries as dashboards hold them, asked of a server that confines and of the same one that does not. */
import { startGuardBench } from '../guard.ts';
import { measureInTurn, rateFigures, rateTable } from '../rounds.ts';
import type { Row } from '../world.ts';

export const guard: Row = {
  name: 'guard',
  async run({ dir, stage }) {
    const { upstream } = await stage();
    const { ways, queries, stop } = await startGuardBench(dir, upstream.origin);
    try {
      const title = `${queries} queries of dashboards in turn, ~1 KB answers, passed through`;
      const found = await measureInTurn(title, ways);
      const bases = [found[0]?.name ?? ''];
      const notes = ways.length === 2 ? ['prom-label-proxy is not on PATH: not measured.'] : [];
      return [{ title, table: rateTable(found, bases), ...rateFigures(found, bases), goals: [], notes }];
    } finally {
      await stop();
    }
  },
};
