/** Several ways to get the same answers, measured in turn, round by round. */
import { ratio, show, spread } from './figures.ts';
import { measureCpu } from './load.ts';
import { type Goal, say } from './report.ts';
import { ROUNDS, SECONDS, WARM_UP } from './settings.ts';

export interface Way {
  readonly name: string;
  readonly origin: string;
  /** Of the process whose time counts. */
  readonly pid: number;
  /** For wrk. */
  readonly script: string;
}

export interface Measured {
  readonly name: string;
  /** Requests per second, by round. */
  readonly rates: readonly number[];
  /** Microseconds of the process's time for each request, by round. */
  readonly costs: readonly number[];
}

/** Warms each up, then measures them in turn. */
export async function measureInTurn(title: string, ways: readonly Way[]): Promise<readonly Measured[]> {
  const found = ways.map(({ name }) => ({ name, rates: [] as number[], costs: [] as number[] }));
  say(`${title}: warming up …`);
  for (const { origin, pid, script } of ways) await measureCpu(pid, { origin, script, seconds: WARM_UP });
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { name, origin, pid, script }] of ways.entries()) {
      const { rate, cpu } = await measureCpu(pid, { origin, script, seconds: SECONDS });
      found[i]?.rates.push(rate);
      found[i]?.costs.push(cpu);
      say(`${title}, round ${round + 1}/${ROUNDS}: ${name} ${rate.toFixed(0)}/s, ${cpu.toFixed(0)} µs each`);
    }
  }
  return found;
}

export function named(found: readonly Measured[], name: string): Measured {
  const one = found.find((other) => other.name === name);
  if (one === undefined) throw new Error(`${name} was not measured`);
  return one;
}

/** A table of rates against those of `bases`, and of time against that of the first of them. */
export function rateTable(found: readonly Measured[], bases: readonly string[]): string[][] {
  const [first = ''] = bases;
  const head = ['', 'requests/s, median', ...bases.map((base) => `× ${base}`), `core time per request, ${first} ÷ it`];
  return [
    head,
    ...found.map((one) => [
      one.name,
      spread(one.rates).median.toFixed(0),
      ...bases.map((base) => show(ratio(one.rates, named(found, base).rates))),
      // It runs beside the load, on the other core.
      one.name === 'the server itself' ? '' : show(ratio(named(found, first).costs, one.costs)),
    ]),
  ];
}

/** The raw rounds and all ratios of such a table, for the JSON file. */
export function rateFigures(found: readonly Measured[], bases: readonly string[]) {
  const rounds = found.flatMap(({ name, rates, costs }): [string, readonly number[]][] => [
    [`${name}: requests per second`, rates],
    [`${name}: core microseconds per request`, costs],
  ]);
  const ratios = bases.flatMap((base) => {
    const against = named(found, base);
    return found.flatMap(({ name, rates, costs }) =>
      name === base
        ? []
        : [
            [`${name}: rate × ${base}`, ratio(rates, against.rates)] as const,
            [`${name}: core time, ${base} ÷ it`, ratio(against.costs, costs)] as const,
          ],
    );
  });
  return { rounds: Object.fromEntries(rounds), ratios: Object.fromEntries(ratios) };
}

export function rateGoal(found: readonly Measured[], name: string, base: string, atLeast: number): Goal {
  return { what: `${name} × ${base}`, found: ratio(named(found, name).rates, named(found, base).rates), atLeast };
}
