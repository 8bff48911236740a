import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { parseDuration, parseTime } from '../gateway/time.ts';
import { arbitraryExpr } from '../promql/arbitrary.ts';
import type { Expr } from '../promql/ast.ts';
import { PromqlError } from '../promql/error.ts';
import { parse } from '../promql/parse.ts';
import { print } from '../promql/print.ts';
import { type Asked, type AskedTimes, type Keeping, type Plan, planOf, type RangePlan, type WholePlan } from './cacheable.ts';
import type { CacheRules } from './policy.ts';

const s = 1000;
const m = 60 * s;
const h = 60 * m;
/** 2026-01-01 00:00 UTC. */
const midnight = 1_767_225_600_000;
const now = midnight + 12 * h;

const rules: CacheRules = { enabled: true, recentWindow: 5 * m, maxAge: 24 * h, instant: true, metadataTtl: 10 * s };
const keeping: Keeping = { policy: 'policy', cache: rules, fixedParams: new Map() };

/** What a client sends, beside its path. */
type Sent = Readonly<Record<string, string>>;

/** `null` for what only the server can read. */
function read(query: string): Expr | null {
  try {
    return parse(query);
  } catch (error) {
    if (error instanceof PromqlError) return null;
    throw error;
  }
}

/** As the gateway reads it. */
function asked(endpoint: string, sent: Sent, expr: Expr | null): Asked {
  const times: Record<string, number> = {};
  for (const name of ['time', 'start', 'end']) {
    const time = parseTime(sent[name] ?? '');
    if (time !== null) times[name] = time;
  }
  for (const name of ['step', 'lookback_delta']) {
    const duration = parseDuration(sent[name] ?? '');
    if (duration !== null) times[name] = duration;
  }
  const parameters = new URLSearchParams(sent).toString();
  const single = new Map(Object.entries(sent));
  return { endpoint, path: `/api/v1/${endpoint}`, parameters, single, times: times satisfies AskedTimes, expr };
}

const panel: Sent = { start: '1767225600', end: '1767229200', step: '15' };

function planFor(endpoint: string, sent: Sent, kept: Partial<Keeping> = {}): Plan | null {
  return planOf(asked(endpoint, sent, read(sent.query ?? 'up')), { ...keeping, ...kept }, now);
}
function rangePlan(query: string, sent: Sent = {}, kept: Partial<Keeping> = {}): RangePlan | null {
  const plan = planFor('query_range', { query, ...panel, ...sent }, kept);
  if (plan?.kind === 'whole') throw new Error('kept whole');
  return plan;
}
function instantPlan(query: string, sent: Sent = {}, kept: Partial<Keeping> = {}): WholePlan | null {
  const plan = planFor('query', { query, time: '1767225600', ...sent }, kept);
  if (plan?.kind === 'range') throw new Error('kept by points');
  return plan;
}

const ordinary = [
  'up',
  '5',
  'time()',
  'rate(http_requests_total{job="shop"}[5m] offset 1h)',
  'topk(3, sum by (pod) (rate(x[5m])))',
  'quantile(0.5 + 1, x)',
  'topk((-3), x)',
  'count_values("version", build_info)',
  'limit_ratio(0.5, x)',
  'max_over_time(rate(x[5m])[1h:1m])',
  'max_over_time(x[1h:])',
  'label_replace(x, "a", "$1", "b", "(.*)")',
  'a / on(job) group_left b',
  'a or b',
  'abs(a or b)',
  'histogram_quantile(0.9, rate(a[5m]) or rate(b[5m]))',
  '{job="shop"}',
  'count({__name__=~"a.*"})',
  'rate({__name__="a"}[5m])',
  '-a',
  'scalar(x)',
  'x @ 1767225600',
  'rate(x[5m] @ 1767225600)',
  'rate(x[5m] anchored)',
  'hour()',
  'predict_linear(x[1h], 3600)',
  'quantile_over_time(0.5, x[5m] @ 5)',
];

/** Each for the same reason whether asked for a range or for one moment. */
const unsteady: [string, string][] = [
  ['start of the request', 'x @ start()'],
  ['end of the request', 'rate(x[5m] @ end())'],
  ['start of the request within', 'sum(max_over_time(x[1h:1m] @ start()) + 1)'],
  ['function start', 'x - start()'],
  ['function end', 'end()'],
  ['function range', 'x * range()'],
  ['range in a duration', 'rate(x[range()])'],
  ['range in an offset', 'x offset (range() / 2)'],
  ['moment in a parameter', 'topk(scalar(a @ 5), x)'],
  ['parameter that changes', 'topk(scalar(a), x)'],
  ['parameter that changes, by time', 'quantile(time() / 2e9, x)'],
  ['parameter of a function without series', 'topk(pi(), x)'],
  ['limitk', 'limitk(3, x)'],
  ['limitk within', 'sum(limitk(3, x))'],
  ['info', 'info(x)'],
  ['dice', 'rand()'],
  ['the moment', 'x - now()'],
  ['average of the range', 'range_avg(x)'],
  ['running sum', 'running_sum(x)'],
  ['several series of the range', 'topk_avg(3, x)'],
  ['a range that VictoriaMetrics guesses', 'rate(x)'],
  ['a subquery that VictoriaMetrics makes up', 'rate(sum(x))'],
  ['an instant query as an argument', 'sum(x[5m])'],
  ['names that become one', 'rate({job="shop"}[5m])'],
  ['names that become one, of a pattern', 'sum(increase({__name__=~"a|b"}[5m]))'],
  ['names that become one, negated', '-{job="shop"}'],
  ['names that become one, one for another', '-(a or b)'],
  ['names that become one, one for another in a subquery', 'max_over_time((a or b)[1h:1m])'],
  ['a lookback that is not known, and read ahead', 'x smoothed'],
  ['a lookback that is not known, and read ahead in a window', 'rate(x[5m] smoothed)'],
  ['a duration that is none', 'rate(x[5m / 0])'],
  ['a fixed range beside what changes', 'quantile_over_time(scalar(x), y[5m] @ 5)'],
  ['a fixed range from which is predicted', 'predict_linear((x[1h] @ 5), 60)'],
  ['a fixed subquery beside what changes', 'quantile_over_time(time(), y[5m:1m] @ 5)'],
];

describe('a range query', () => {
  it.each(ordinary)('%s is kept by its points', (query) => {
    expect(rangePlan(query)).toMatchObject({ grid: { step: 15 * s, phase: 0 } });
  });

  it.each(unsteady)('with %s is not kept: %s', (_reason, query) => {
    expect(rangePlan(query)).toBeNull();
  });

  it.each<[string, Sent]>([
    ['a limit', { limit: '10' }],
    ['a limit of none', { limit: '0' }],
    ['statistics', { stats: 'all' }],
    ['a start between milliseconds', { start: '1767225600.0005' }],
    ['an end between milliseconds', { end: '1767229200.12345' }],
    ['a step between milliseconds', { step: '0.0015' }],
    ['a step of nothing', { step: '0' }],
    ['a negative step', { step: '-15' }],
    ['a step of less than a millisecond', { step: '0.0001' }],
    ['no step', { step: '' }],
    ['no start', { start: '' }],
    ['an end before its start', { end: '1767225599' }],
    ['a start before 1970', { start: '-1' }],
    ['the beginning of time', { start: '-292273086-05-16T16:47:06Z' }],
    ['the end of time', { end: '292277025-08-18T07:12:54.999999999Z' }],
    // Prometheus 2.42 evaluates it every 1024 ms, and `1025ms` every 1025 ms.
    ['a step that Prometheus cuts off', { step: '1.025' }],
    ['a step that VictoriaMetrics cuts off', { step: '8.097' }],
    ['the same step, spelled out', { step: '1025ms' }],
    ['a step that is just not whole', { step: '14.9999999' }],
    ['a lookback between milliseconds', { lookback_delta: '0.0001' }],
    ['a lookback that Prometheus cuts off', { lookback_delta: '1.001' }],
    ['a lookback that means the server’s own', { lookback_delta: '0' }],
  ])('with %s is not kept', (_reason, sent) => {
    expect(rangePlan('up', sent)).toBeNull();
  });

  it('that only the server can read is not kept', () => {
    expect(planOf(asked('query_range', { query: 'up', ...panel }, null), keeping, now)).toBeNull();
  });

  it.each(['query', 'time', 'start', 'end', 'step', 'limit', 'stats', 'lookback_delta'])(
    'is not kept where the server is always asked with its own %s',
    (name) => {
      expect(rangePlan('up', {}, { fixedParams: new Map([[name, '1']]) })).toBeNull();
      expect(instantPlan('up', {}, { fixedParams: new Map([[name, '1']]) })).toBeNull();
    },
  );

  it('is kept with other parameters that are always asked', () => {
    expect(rangePlan('up', {}, { fixedParams: new Map([['nocache', '1']]) })).not.toBeNull();
  });

  it('has empty parameters as if they were not given', () => {
    expect(rangePlan('up', { limit: '', stats: '', lookback_delta: '' })?.key).toBe(rangePlan('up')?.key);
  });

  it('spelled in another way has the same key, grid and points', () => {
    const plan = rangePlan('up', { start: '1767225600.123', end: '1767229200.5', step: '15' });
    expect(plan).toMatchObject({ grid: { step: 15 * s, phase: 123 }, span: { first: 117_815_040, last: 117_815_280 } });
    const others = [
      { start: '1.767225600123e9', end: '1767229200.500', step: '15000ms' },
      { start: '1767225600.1230', end: '1767229200.5', step: '15.0' },
    ];
    for (const sent of others) expect(rangePlan('up', sent)).toEqual(plan);
    const dates = { start: '2026-01-01T00:00:00.000Z', end: '2026-01-01T02:00:00+01:00', step: '15s' };
    expect(rangePlan('up', dates)).toEqual(rangePlan('up', { start: '1767225600', end: '1767229200', step: '15' }));
  });

  it('with a date that has parts of a second is not kept', () => {
    expect(rangePlan('up', { start: '2026-01-01T00:00:00.123Z', end: '2026-01-01T01:00:00Z', step: '15' })).toBe(null);
    expect(rangePlan('up', { start: '2026-01-01T00:00:00Z', end: '2026-01-01T01:00:00.0100+00:00', step: '15' })).toBe(null);
  });

  it('has another key for another policy, query, step, phase and lookback, and no other', () => {
    const sent: [string, Sent?, Partial<Keeping>?][] = [
      ['up'],
      ['up', {}, { policy: 'other' }],
      ['5 up'],
      ['up', { step: '30' }],
      ['up', { start: '1767225601' }],
      ['up', { lookback_delta: '5' }],
      ['up', { lookback_delta: '1m' }],
    ];
    const keys = sent.map(
      ([query, more, kept]) =>
        planOf(asked('query_range', { query, ...panel, ...more }, parse('up')), { ...keeping, ...kept }, now)?.key,
    );
    expect(new Set(keys).size).toBe(sent.length);
    expect(rangePlan('up', { start: '1767225615', end: '1767226000', timeout: '3' })?.key).toBe(keys[0]);
    expect(rangePlan('up', { lookback_delta: '60' })?.key).toBe(keys.at(-1));
  });

  it('has all points from its start to its end, whatever these are', () => {
    const times = fc.record({
      start: fc.nat({ max: now - rules.recentWindow }),
      length: fc.nat({ max: 400 * h }),
      step: fc.integer({ min: 1, max: 100_000 }).map((step) => step * 10),
    });
    fc.assert(
      fc.property(times, ({ start, length, step }) => {
        const plan = rangePlan('up', { start: String(start / 1000), end: String((start + length) / 1000), step: `${step}ms` });
        if (plan === null) return;
        const { grid, span } = plan;
        const at = (k: number) => grid.phase + k * grid.step;
        expect(grid.step).toBe(step);
        expect(grid.phase).toBeGreaterThanOrEqual(0);
        expect(grid.phase).toBeLessThan(step);
        expect(at(span.first)).toBe(start);
        expect(at(span.last)).toBeLessThanOrEqual(start + length);
        expect(at(span.last + 1)).toBeGreaterThan(start + length);
      }),
      { numRuns: 300 },
    );
    // Those of whole seconds are all kept.
    for (let step = 1; step <= 1000; step++) expect(rangePlan('up', { step: String(step) })).not.toBeNull();
  });
});

describe('points that may still change', () => {
  it.each<[string, number, Sent?]>([
    ['up', 5 * m],
    ['up offset 1h', 5 * m],
    ['up offset -1h', 5 * m + h],
    ['rate(up[2h] offset -1h)', 5 * m + h],
    ['max_over_time(min_over_time(up[1h:1m] offset -2h)[1d:] offset 1h)', 5 * m + h],
    ['up smoothed', 6 * m, { lookback_delta: '1m' }],
    ['up offset (step() * -2)', 5 * m + 30 * s],
    ['up @ 1767225600 offset -1m', 5 * m],
  ])('%s: settle after %i ms', (query, settling, sent = {}) => {
    expect(rangePlan(query, sent)?.settling).toBe(settling);
  });

  it.each<[string, number]>([
    ['up', 5 * m],
    ['up offset -1h', h + 5 * m],
  ])('%s: are not looked for where all are newer than that', (query, settling) => {
    const at = (age: number) => rangePlan(query, { start: String((now - age) / 1000), end: String((now + h) / 1000) });
    expect(at(settling)).not.toBeNull();
    expect(at(settling - 1)).toBeNull();
  });

  it.each<[string, Sent, boolean]>([
    // The end of the panel is at 1:00.
    ['up @ 1767229200', {}, true],
    ['up @ 1767229200.001', {}, false],
    ['up @ 1767229200 offset -1s', {}, false],
    ['up @ 1767229201 offset 1s', {}, false],
    ['max_over_time(up[5m:1m] @ 1767229200 offset -1s)', {}, false],
    ['max_over_time(up[5m:1m] @ 1767229200)', {}, true],
    // 11:55, when the recent window begins.
    ['up @ 1767268500', { end: '1767400000' }, true],
    ['up @ 1767268500.001', { end: '1767400000' }, false],
    ['up @ 1767268500 offset -1s', { end: '1767400000' }, false],
    ['rate(up[5m] @ 1767268500 smoothed)', { end: '1767400000', lookback_delta: '1m' }, false],
  ])('%s, asked for with %o: kept %s', (query, sent, kept) => {
    expect(rangePlan(query, sent) !== null).toBe(kept);
  });

  it('of a fixed moment wait for a server whose clock is behind', () => {
    expect(rangePlan('up + up @ 1767225700 offset -1m')?.settledFrom).toBe(1_767_225_760_000 + 5 * m);
    expect(rangePlan('up')?.settledFrom).toBe(-Infinity);
    expect(instantPlan('up @ 1767225590')?.settledFrom).toBe(midnight + 5 * m);
    expect(instantPlan('up offset -1h')?.settledFrom).toBe(midnight + 65 * m);
  });
});

describe('a query for one moment', () => {
  it.each(ordinary)('in the past is kept as it is: %s', (query) => {
    expect(instantPlan(query)).toMatchObject({ kind: 'whole', maxAge: rules.maxAge });
  });

  it.each(unsteady)('with %s is not kept: %s', (_reason, query) => {
    expect(instantPlan(query)).toBeNull();
  });

  it.each<[string, Sent]>([
    ['without a time, which is now', { time: '' }],
    ['of a time between milliseconds', { time: '1767225600.0005' }],
    ['with a limit', { limit: '10' }],
    ['with statistics', { stats: 'all' }],
  ])('%s is not kept', (_reason, sent) => {
    expect(instantPlan('up', sent)).toBeNull();
  });

  it.each<[string, number]>([
    ['up', 0],
    ['up offset -1h', h],
    ['up[5m] offset -1h', h],
  ])('%s is kept when what it reads has left the recent window', (query, ahead) => {
    const at = (time: number) => instantPlan(query, { time: String(time / 1000) });
    expect(at(now - rules.recentWindow - ahead)).not.toBeNull();
    expect(at(now - rules.recentWindow - ahead + 1)).toBeNull();
  });

  it('that reads a later moment is not kept', () => {
    expect(instantPlan('up @ 1767225600')).not.toBeNull();
    expect(instantPlan('up @ 1767225601')).toBeNull();
    expect(instantPlan('up @ 1767225600 offset -1s')).toBeNull();
  });

  it('has a key of its policy, query, time and lookback, and shares none with a range query', () => {
    const keys = [
      instantPlan('up'),
      instantPlan('up', { time: '1767225600.001' }),
      instantPlan('up', { lookback_delta: '60' }),
      instantPlan('down'),
      instantPlan('up', {}, { policy: 'other' }),
      rangePlan('up'),
    ].map((plan) => plan?.key);
    expect(new Set(keys).size).toBe(keys.length);
    expect(instantPlan('up', { time: '2026-01-01T00:00:00Z' })?.key).toBe(keys[0]);
  });

  it('is not kept where the rules say so, and ranges are', () => {
    const cache = { ...rules, instant: false };
    expect(instantPlan('up', {}, { cache })).toBeNull();
    expect(rangePlan('up', {}, { cache })).not.toBeNull();
  });
});

describe('what series and names there are', () => {
  it.each(['series', 'labels', 'label_values', 'metadata'])('%s: is kept for a short time, by all that is asked', (endpoint) => {
    const plan = planFor(endpoint, { start: '1', limit: '5' });
    expect(plan).toMatchObject({ kind: 'whole', maxAge: 10 * s, settledFrom: -Infinity });
    const others = [
      planFor(endpoint, { start: '1', limit: '6' }),
      planFor(endpoint, { start: '2', limit: '5' }),
      planFor(endpoint, { start: '1' }),
      planFor(endpoint, { start: '1', limit: '5' }, { policy: 'other' }),
      planOf({ ...asked(endpoint, { start: '1', limit: '5' }, null), path: '/api/v1/label/job/values' }, keeping, now),
    ];
    for (const other of others) expect(other?.key).not.toBe(plan?.key);
    expect(planFor(endpoint, {}, { cache: { ...rules, metadataTtl: 0 } })).toBeNull();
  });
});

describe('nothing is kept', () => {
  it.each(['rules', 'alerts', 'buildinfo', 'query_exemplars', 'format_query', 'parse_query', 'targets', 'tsdb', 'federate'])(
    'of %s',
    (endpoint) => {
      expect(planFor(endpoint, { query: 'up', time: '1767225600', ...panel })).toBeNull();
    },
  );

  it('where the rules say so', () => {
    const cache = { ...rules, enabled: false };
    expect(rangePlan('up', {}, { cache })).toBeNull();
    expect(instantPlan('up', {}, { cache })).toBeNull();
    expect(planFor('labels', {}, { cache })).toBeNull();
  });
});

describe('a VictoriaMetrics', () => {
  it.each(['scalar(x)', 'a or b', 'sum(a) or vector(0)', 'label_replace(x, "a", "", "b", "")', 'label_join(x, "a", "", "b")'])(
    'gives other points of another range: %s',
    (query) => {
      expect(rangePlan(query)?.rangedOnVictoriaMetrics).toBe(true);
    },
  );

  it.each(['x', 'a and b', 'sum(rate(x[5m])) by (job) > 0', 'a / on(job) b'])(
    'gives the same points of any range: %s',
    (query) => {
      expect(rangePlan(query)?.rangedOnVictoriaMetrics).toBe(false);
    },
  );
});

/** By its text, strings taken out: what hangs on the request's own range. */
const rangedText = /@ (start|end)\(\)|\b(start|end|range|info|limitk)\s*\(/;

describe('any query', () => {
  it('that is kept names nothing of the request, and has the same key for any stretch of the same grid', () => {
    let kept = 0;
    fc.assert(
      fc.property(arbitraryExpr({ classic: false }), fc.nat({ max: 1000 }), fc.nat({ max: 1000 }), (expr, shift, length) => {
        const query = print(expr);
        const at = (from: number, to: number) => {
          const sent = { query, step: '15', start: String(midnight / 1000 + 15 * from), end: String(midnight / 1000 + 15 * to) };
          return planOf(asked('query_range', sent, expr), keeping, now);
        };
        const plan = at(0, 2000);
        if (plan === null) return;
        kept++;
        expect(query.replace(/"(?:[^"\\]|\\.)*"/g, '""')).not.toMatch(rangedText);
        expect(at(shift, shift + length)?.key ?? plan.key).toBe(plan.key);
        expect(at(0, 2000)).toEqual(plan);
      }),
      { numRuns: 400 },
    );
    expect(kept).toBeGreaterThan(50);
  });
});
