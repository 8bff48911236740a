import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from '../src/promql/parse.ts';
import { extent, type RequestTimes, timing, type Window } from '../src/promql/timing.ts';
import { ask } from './support/ask.ts';
import { fc } from './support/fast-check.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';

/**
 * Each selector of each query asks for a metric of its own. The server has it twice: whole, and only the samples inside the
 * window that `timing` tells. What the windows leave out must not change any answer.
 */

const minute = 60;
const now = 1_700_000_000;
const first = now - 12 * 3600;
const last = now + 6 * 3600;

/** In seconds. */
const requests: readonly [RequestTimes, RequestTimes] = [
  { start: now, end: now, step: 0 },
  { start: now - 40 * minute, end: now + 5 * minute, step: 7 * minute },
];

/** `M` stands for a selector with a name of its own. */
const query = fc.letrec<{ vector: string }>((tie) => {
  const duration = fc.constantFrom('90s', '5m', '17m', '1h', '2h');
  const offset = fc.constantFrom('', '', ' offset 10m', ' offset 1h7m', ' offset -25m');
  const at = fc.constantFrom('', '', '', ' @ start()', ' @ end()', ` @ ${now - 5000}`, ` @ ${now + 3000.5}`);
  const over = fc.constantFrom('sum', 'count', 'max', 'last');
  const modifiers = fc.tuple(offset, at).map((parts) => parts.join(''));
  return {
    vector: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      modifiers.map((text) => `M${text}`),
      fc.tuple(over, duration, modifiers).map(([name, range, text]) => `${name}_over_time(M[${range}]${text})`),
      fc
        .tuple(over, tie('vector'), duration, fc.constantFrom('1m', '90s', '11m', ''), modifiers)
        .map(([name, inner, range, step, text]) => `${name}_over_time((${inner})[${range}:${step}]${text})`),
      tie('vector').map((inner) => `sum(${inner})`),
      fc.tuple(tie('vector'), tie('vector')).map(([lhs, rhs]) => `(${lhs} + ${rhs})`),
      fc.tuple(tie('vector'), tie('vector')).map(([param, inner]) => `quantile(scalar(${param}) / 1000, ${inner})`),
    ),
  };
}).vector;

/** Queries with metrics named `m<query>_<selector>`, asked as one of the requests. */
const cases = fc.sample(query, { numRuns: 120 }).map((text, index) => {
  let selectors = 0;
  const named = text.replaceAll('M', () => `m${index}_${selectors++}{set="SET"}`);
  return { query: named, request: requests[index % 2] ?? requests[0] };
});

let server: TestServer;
let lines = { whole: 0, cut: 0 };

beforeAll(async () => {
  const families = cases.flatMap(({ query: text, request }) => {
    const times = { start: request.start * 1000, end: request.end * 1000, step: request.step * 1000 };
    const windows = Map.groupBy(timing(parse(text), times).windows, ({ selector }) => selector?.name ?? '');
    return [...windows].map(([name, found]) => family(name, found, times));
  });
  server = await startPrometheus({ data: `${families.join('')}# EOF\n`, evaluationInterval: '1m' });
}, 120_000);

afterAll(() => server?.stop());

function family(name: string, windows: readonly Window[], request: RequestTimes): string {
  const read = windows.map((window) => extent({ windows: [window] }, request));
  const whole: string[] = [];
  const cut: string[] = [];
  for (let time = first; time <= last; time += minute) {
    // No sample on the edge of a window: Prometheus 2 and 3 do not agree whether the earlier edge belongs to it.
    const at = time + 13.7;
    const value = (time * 7919) % 1009;
    whole.push(`${name}{set="whole"} ${value} ${at}\n`);
    if (read.some((stretch) => stretch !== null && at * 1000 > stretch.from && at * 1000 <= stretch.to))
      cut.push(`${name}{set="cut"} ${value} ${at}\n`);
  }
  lines = { whole: lines.whole + whole.length, cut: lines.cut + cut.length };
  return `# TYPE ${name} gauge\n${whole.join('')}${cut.join('')}`;
}

async function answer(text: string, set: string, { start, end, step }: RequestTimes): Promise<string> {
  const times = step === 0 ? { time: start } : { start, end, step };
  const params = Object.entries({ query: text.replaceAll('SET', set), ...times }).map(
    ([name, value]) => [name, String(value)] as const,
  );
  const found = await ask(`${server.url}/api/v1/query${step === 0 ? '' : '_range'}`, { params });
  expect(found.status, found.body).toBe(200);
  return found.body.replaceAll(`"${set}"`, '"SET"');
}

it('a query reads nothing outside the windows that are told of it', async () => {
  let filled = 0;
  for (const { query: text, request } of cases) {
    const whole = await answer(text, 'whole', request);
    expect(await answer(text, 'cut', request), text).toBe(whole);
    if (!whole.includes('"result":[]')) filled += 1;
  }
  // The test must be able to fail: answers have something in them, and the windows leave most samples out.
  expect(filled).toBeGreaterThan(cases.length / 2);
  expect(lines.cut).toBeLessThan(lines.whole / 2);
}, 120_000);
