/**
 * `make bench`: Promgate beside the server itself, vmauth and the least that Node can do, as ratios of interleaved rounds of one
 * run. Rates of different machines, or of different runs, do not compare; ratios do. A Markdown report goes to standard
 * output, all figures go to a JSON file. `settings.ts` says what a run may be told.
 */
import { tempDir } from '../test/support/temp-dir.ts';
import { print, printResult, type Result, say, writeResults } from './report.ts';
import { bigAnswer } from './rows/big-answer.ts';
import { cold } from './rows/cold.ts';
import { dashboard } from './rows/dashboard.ts';
import { directory } from './rows/directory.ts';
import { guard } from './rows/guard.ts';
import { hitInstant, hitLarge, hitRange } from './rows/hits.ts';
import { passLarge, passSmall } from './rows/pass-through.ts';
import { ONLY, ROUNDS, SECONDS } from './settings.ts';
import { createWorld, type Row } from './world.ts';

const rows: readonly Row[] = [passSmall, passLarge, hitInstant, hitRange, hitLarge, dashboard, cold, bigAnswer, guard, directory];
const names = rows.map(({ name }) => name);
const unknown = ONLY.filter((name) => !names.includes(name));
if (unknown.length > 0) throw new Error(`BENCH_ONLY: no row ${unknown.join(', ')}; there are ${names.join(', ')}`);

const dir = await tempDir('bench');
const world = createWorld(dir.path);
const results = new Map<string, readonly Result[]>();
const failed = new Map<string, string>();
const started = performance.now();
try {
  print(`${ROUNDS} rounds of ${SECONDS} s each after a warm-up; the proxy on one core, load and server on the other`);
  for (const { name, run } of rows) {
    if (ONLY.length > 0 && !ONLY.includes(name)) continue;
    try {
      const found = await run(world);
      results.set(name, found);
      found.forEach(printResult);
    } catch (error) {
      failed.set(name, String(error));
      print(`\n${name}: **failed**: ${error}`);
    }
  }
} finally {
  await world.stop();
  await dir.remove();
}
say(`${Math.round((performance.now() - started) / 1000)} s; figures in ${await writeResults(results, failed)}`);
if (failed.size > 0) process.exitCode = 1;
