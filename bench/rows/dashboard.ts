/** A dashboard of 24 h that is refreshed: what a screen waits for, and what the server has to do, with Promgate and without. */
import { openClient, tally } from '../ask.ts';
import { ratio, show, spread } from '../figures.ts';
import { panels } from '../panels.ts';
import { pinThisProcess } from '../pin.ts';
import { say } from '../report.ts';
import { ROUNDS } from '../settings.ts';
import type { Past, Row } from '../world.ts';

const STEP = 60;
const SPAN = 24 * 3600;
/** As many as browsers open to one host. */
const CONNECTIONS = 6;

interface Refreshes {
  readonly name: string;
  /** Milliseconds for all panels, by round. */
  readonly elapsed: number[];
  /** Samples that the server loaded for it, by round. */
  readonly samples: number[];
  /** Panels with other answers than the server's own. */
  wrong: number;
  cache: (string | null)[];
  readonly ask: (paths: readonly string[]) => ReturnType<ReturnType<typeof openClient>['askAll']>;
  readonly close: () => Promise<void>;
}

export const dashboard: Row = {
  name: 'dashboard',
  async run({ past }) {
    const { history, promgate, trickster } = await past();
    await pinThisProcess();
    const direct = refreshesOf(history);
    const cached = refreshesOf(promgate.of('history'));
    const all = [direct, cached, ...(trickster === null ? [] : [refreshesOf(trickster)])];
    say('dashboard: the first look …');
    const first: number[] = [];
    for (const one of all) first.push((await one.ask(pathsAt(history.now))).elapsed);
    for (let round = 1; round <= ROUNDS; round++) {
      const paths = pathsAt(history.now + round * STEP);
      let right: readonly string[] = [];
      for (const one of all) {
        await history.work();
        const { elapsed, bodies, cache } = await one.ask(paths);
        one.elapsed.push(elapsed);
        one.samples.push((await history.work()).samples);
        one.cache.push(...cache);
        if (one === direct) right = bodies;
        one.wrong += bodies.filter((body, i) => body !== right[i] && !sameAnswer(body, right[i] ?? '')).length;
        say(`dashboard, round ${round}/${ROUNDS}: ${one.name} ${elapsed.toFixed(0)} ms, ${one.samples.at(-1)} samples`);
      }
    }
    await Promise.all(all.map(({ close }) => close()));
    return [resultOf({ history }, all, direct, cached, first)];
  },
};

function refreshesOf(contender: Parameters<typeof openClient>[0]): Refreshes {
  const { askAll, close } = openClient(contender, CONNECTIONS);
  return { name: contender.name, elapsed: [], samples: [], wrong: 0, cache: [], ask: askAll, close };
}

function pathsAt(end: number): readonly string[] {
  return panels.map((query) => {
    const parameters = new URLSearchParams({ query, start: String(end - SPAN), end: String(end), step: String(STEP) });
    return `/api/v1/query_range?${parameters}`;
  });
}

/** Equal but for the order of series. */
function sameAnswer(one: string, other: string): boolean {
  return canonical(one) === canonical(other);
}

function canonical(body: string): string {
  const answer = JSON.parse(body) as { data?: { result?: unknown[] } };
  const series = (answer.data?.result ?? []).map((item) => JSON.stringify(item)).sort();
  return JSON.stringify([{ ...answer, data: { ...answer.data, result: [] } }, series]);
}

function resultOf(
  { history }: Pick<Past, 'history'>,
  all: readonly Refreshes[],
  direct: Refreshes,
  cached: Refreshes,
  first: readonly number[],
) {
  const faster = (one: Refreshes) => ratio(direct.elapsed, one.elapsed);
  const share = (one: Refreshes) => ratio(one.samples, direct.samples);
  const percent = (one: Refreshes) => {
    const { median, min, max } = share(one);
    return `${show({ median: 100 * median, min: 100 * min, max: 100 * max })} %`;
  };
  const title = `A dashboard of 24 h, step ${STEP} s, ${panels.length} panels over ${history.series} series, refreshed a step later each time`;
  return {
    title,
    table: [
      ['', 'ms for all panels, median', '× faster than the server', "of the server's samples", 'ms, the first look'],
      ...all.map((one, i) => [
        one.name,
        spread(one.elapsed).median.toFixed(0),
        show(faster(one), 1),
        percent(one),
        (first[i] ?? Number.NaN).toFixed(0),
      ]),
    ],
    rounds: Object.fromEntries(
      all.flatMap(({ name, elapsed, samples }) => [
        [`${name}: milliseconds`, elapsed] as const,
        [`${name}: samples`, samples] as const,
      ]),
    ),
    ratios: Object.fromEntries(
      all
        .filter((one) => one !== direct)
        .flatMap((one) => [
          [`${one.name}: times faster`, faster(one)] as const,
          [`${one.name}: share of the server's samples`, share(one)] as const,
        ]),
    ),
    goals: [
      { what: 'times faster than the server', found: faster(cached), atLeast: 20 },
      { what: "part of the server's samples", found: share(cached), atMost: 0.03 },
    ],
    notes: [
      `${CONNECTIONS} connections, as a browser has; Promgate said: ${tally(cached.cache)}`,
      ...all
        .filter(({ wrong }) => wrong > 0)
        .map(({ name, wrong }) => `**${wrong} of ${ROUNDS * panels.length} answers of ${name} differ from the server's own.**`),
    ],
  };
}
