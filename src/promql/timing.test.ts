import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { arbitraryExpr } from './arbitrary.ts';
import type { Expr } from './ast.ts';
import { depth } from './depth.ts';
import { parse } from './parse.ts';
import { type Anchor, extent, type RequestTimes, timing } from './timing.ts';
import { walk } from './walk.ts';

const s = 1000;
const m = 60 * s;
const h = 60 * m;
const d = 24 * h;
const unknown = Infinity;

/** Anchor, from and to of each window. */
function windows(query: string, request: RequestTimes | null = null): [Anchor, number, number][] {
  return timing(parse(query), request).windows.map(({ anchor, from, to }) => [anchor, from, to]);
}

describe('a selector reads', () => {
  it.each<[string, Anchor, number, number]>([
    ['up', 'time', -5 * m, 0],
    ['up[1h]', 'time', -h, 0],
    ['up offset 1d', 'time', -d - 5 * m, -d],
    ['up[1h] offset 1d', 'time', -d - h, -d],
    ['up offset -1h', 'time', h - 5 * m, h],
    ['up[2h] offset -1h', 'time', -h, h],
    ['up @ 100', 100 * s, -5 * m, 0],
    ['up @ 100.5 offset 1m', 100_500, -6 * m, -m],
    ['up[1h] @ start()', 'start', -h, 0],
    ['up offset 1h @ end()', 'end', -h - 5 * m, -h],
    ['-sum by (a) (rate(up[1h])) ^ 2', 'time', -h, 0],
    ['quantile(scalar(up offset 1h), vector(1))', 'time', -h - 5 * m, -h],
    ['rate(up[1h] anchored)', 'time', -h - 5 * m, 0],
    ['rate(up[1h] smoothed)', 'time', -h - 5 * m, 5 * m],
    ['up smoothed', 'time', -5 * m, 5 * m],
    ['rate(up[1h] smoothed offset 1d)', 'time', -d - h - 5 * m, -d + 5 * m],
  ])('%s: from and to, around its anchor', (query, ...window) => {
    expect(windows(query)).toEqual([window]);
  });
});

describe('a subquery adds', () => {
  it.each<[string, Anchor, number, number]>([
    ['max_over_time(up[1d:1m])', 'time', -d - 5 * m, 0],
    ['max_over_time(up[1d:] offset 1h)', 'time', -d - h - 5 * m, -h],
    ['max_over_time(rate(up[1h] offset 2h)[1d:1m] offset 3h)', 'time', -d - 6 * h, -5 * h],
    ['max_over_time(min_over_time(up[1h:1m] offset -2h)[1d:])', 'time', 2 * h - d - h - 5 * m, 2 * h],
    ['max_over_time(up[1d:1m] @ 5000 offset 1h)', 5000 * s, -d - h - 5 * m, -h],
    ['max_over_time(rate(up[1h])[1d:1m] @ start())', 'start', -d - h, 0],
    // An inner `@` puts all around it out of force.
    ['max_over_time((up @ 100 offset 1m)[1d:1m] offset 1w)', 100 * s, -6 * m, -m],
    ['max_over_time(min_over_time(up[1h:1m] @ 7 offset 1m)[1d:1m] @ 9 offset 1w)', 7 * s, -h - 6 * m, -m],
  ])('%s', (query, ...window) => {
    expect(windows(query)).toEqual([window]);
  });
});

describe('a query', () => {
  it('has a window for each selector, in the order of the text', () => {
    const { windows: found } = timing(parse('topk(scalar(a[1h:]), b) or c{d="e"}[5m] @ 3'));
    expect(found.map(({ selector }) => selector?.name)).toEqual(['a', 'b', 'c']);
  });

  it('reads as far back and ahead as any of its selectors that moves with its time', () => {
    const found = timing(parse('a[1h] + b offset 2h + c offset -3h + d[9y] @ 0 + e offset -9y @ end()'));
    expect(found).toMatchObject({ back: 2 * h + 5 * m, ahead: 3 * h, moments: [0], usesEnd: true, usesStart: false });
  });

  it('without selectors reads nothing', () => {
    const found = timing(parse('vector(time()) + 1'));
    expect(found).toMatchObject({ windows: [], back: 0, ahead: 0, moments: [] });
    expect(extent(found, { start: 0, end: h })).toBeNull();
  });

  it('names each moment of @ once, rising', () => {
    expect(timing(parse('a @ 9 + b @ -2 + c[1h:] @ 9 + d @ 3')).moments).toEqual([-2 * s, 3 * s, 9 * s]);
  });

  it('takes another look-back where it is told', () => {
    expect(timing(parse('up + rate(up[1h] smoothed)'), null, m)).toMatchObject({ back: h + m, ahead: m });
    expect(timing(parse('up'), null, 0)).toMatchObject({ back: 0 });
  });

  it('tells both windows of a parameter of an aggregation that Prometheus reads otherwise than it is written', () => {
    const both = (back: number): [Anchor, number, number][] => [
      ['start', -back, 0],
      ['time', -back, 0],
    ];
    expect(windows('quantile(scalar(up[1h:1m] @ start() > 1), b @ end())')).toEqual([...both(h + 5 * m), ['end', -5 * m, 0]]);
    expect(windows('topk(scalar(topk(scalar(up @ start()), vector(1))), vector(1))')).toEqual(both(5 * m));
    expect(windows('topk(scalar(up @ 5), vector(1))')).toEqual([[5 * s, -5 * m, 0]]);
  });

  const flags = [
    'usesStart',
    'usesEnd',
    'usesRange',
    'usesStep',
    'atInParameter',
    'subqueryWithoutStep',
    'limitk',
    'limitRatio',
    'info',
  ] as const;
  it.each<[string, readonly (typeof flags)[number][]]>([
    ['rate(up[5m]) + time() + topk(3, up[1h:1m] @ 5)', []],
    ['up @ start()', ['usesStart']],
    ['up[1h:1m] @ start()', ['usesStart']],
    ['vector(start())', ['usesStart']],
    ['up @ end() + vector(end())', ['usesEnd']],
    ['vector(range())', ['usesRange']],
    ['up offset (range() / 2)', ['usesRange']],
    ['up * step()', ['usesStep']],
    ['rate(up[min_of(5m, -(step()) * 2)])', ['usesStep']],
    ['max_over_time(up[1h:step()])', ['usesStep']],
    ['topk(scalar(up @ 5), up)', ['atInParameter']],
    ['topk(scalar(max_over_time(up[1h:1m] @ end())), up @ 5)', ['usesEnd', 'atInParameter']],
    ['max_over_time(up[1h:])', ['subqueryWithoutStep']],
    ['limitk(3, up)', ['limitk']],
    ['sum(limit_ratio(0.5, up))', ['limitRatio']],
    ['info(up)', ['info']],
  ])('%s: what else it hangs on', (query, expected) => {
    const found = timing(parse(query.replace('topk(3, up[1h:1m] @ 5)', 'max_over_time(up[1h:1m] @ 5)')));
    expect(flags.filter((flag) => found[flag])).toEqual(expected);
  });
});

describe('a duration that is computed', () => {
  const request = { start: 0, end: 8 * h, step: 2 * m };

  it.each<[string, number]>([
    ['up[5m * 2]', 10 * m],
    ['up[1h + 30m - 600]', 80 * m],
    ['up[(2 ^ 3) * 1m]', 8 * m],
    ['up[1h / 4]', 15 * m],
    ['up[7m % 4m]', 3 * m],
    ['up[max_of(1m, 2m)]', 2 * m],
    ['up[-(-1m)]', m],
    ['up[0.0015 * 1.5]', 2],
  ])('%s is known without the request', (query, range) => {
    expect(windows(query)).toEqual([['time', -range, 0]]);
  });

  it('of step() and range() is known with the request, and unbounded without it', () => {
    expect(windows('rate(up[step() * 2] offset range())', request)).toEqual([['time', -8 * h - 4 * m, -8 * h]]);
    expect(windows('rate(up[step() * 2])')).toEqual([['time', -unknown, 0]]);
    expect(windows('rate(up[5m] offset step())')).toEqual([['time', -unknown, unknown]]);
    expect(windows('max_over_time(up[range():1m])')).toEqual([['time', -unknown, 0]]);
    expect(windows('max_over_time(up[1h:1m] offset range())')).toEqual([['time', -unknown, unknown]]);
    expect(windows('rate(up[max_of(step() * 4, 1m)])', request)).toEqual([['time', -8 * m, 0]]);
  });

  it('that the server must refuse is unbounded or nothing, never a smaller window', () => {
    expect(windows('up[1h / (1m - 1m)]')).toEqual([['time', -unknown, 0]]);
    expect(windows('up[1h * 10 ^ 400]')).toEqual([['time', -unknown, 0]]);
    expect(windows('up[step() - 1h]', request)).toEqual([['time', 0, 0]]);
  });
});

describe('info()', () => {
  it('reads its series where the first selector in it reads', () => {
    expect(windows('info(rate(a[1h] offset 1d) + b)')).toEqual([
      ['time', -d - 5 * m, -d],
      ['time', -d - h, -d],
      ['time', -5 * m, 0],
    ]);
    expect(windows('max_over_time(info(a @ 100)[1d:])')[0]).toEqual([100 * s, -5 * m, 0]);
    expect(windows('max_over_time(info(a, {b="c"})[1d:])')).toEqual(Array(3).fill(['time', -d - 5 * m, 0]));
    expect(windows('info(vector(1))')).toEqual([['time', -5 * m, 0]]);
  });
});

describe('extent', () => {
  const request = { start: 1000 * h, end: 1010 * h, step: m };
  it.each([
    ['up', 1000 * h - 5 * m, 1010 * h],
    ['up[1d] offset 1h', 1000 * h - d - h, 1009 * h],
    ['up[1h] @ start()', 999 * h, 1000 * h],
    ['up[1h] @ end()', 1009 * h, 1010 * h],
    ['up[1h] @ 7200', h, 2 * h],
    ['up[1h] @ 7200 + up offset -1h', h, 1011 * h],
    ['rate(up[range()])', 990 * h, 1010 * h],
  ])('%s', (query, from, to) => {
    expect(extent(timing(parse(query), request), request)).toEqual({ from, to });
  });
});

describe('any tree', () => {
  it('has a window for each selector and info(), and each has its end behind its start', () => {
    fc.assert(
      fc.property(arbitraryExpr({ classic: false }), (expr) => {
        const selectors = new Set<Expr>();
        let infos = 0;
        walk(expr, (node) => {
          if (node.kind === 'VectorSelector') selectors.add(node);
          if (node.kind === 'Call' && node.name === 'info') infos += 1;
        });
        const found = timing(expr, { start: 0, end: d, step: m });
        const read = found.windows.map(({ selector }) => selector);
        expect(new Set(read.filter((selector) => selector !== null))).toEqual(selectors);
        expect(read.filter((selector) => selector === null).length).toBeGreaterThanOrEqual(infos);
        expect(found.windows.length).toBeLessThanOrEqual(2 * (selectors.size + infos));
        for (const { from, to } of found.windows) expect(from).toBeLessThanOrEqual(to);
      }),
      { numRuns: 300 },
    );
  });
});

describe('depth', () => {
  it.each([
    ['up', 1],
    ['1', 1],
    ['up[5m]', 1],
    ['rate(up[5m])', 2],
    ['sum(rate(up[5m]))', 3],
    ['(up)', 2],
    ['-up', 2],
    ['a + b * c or d', 1],
    ['a + (b + (c + d))', 3],
    ['max_over_time(up[1h:1m])', 3],
    ['topk(scalar(sum(a)), b)', 4],
    ['time()', 1],
  ])('%s is %i', (query, levels) => {
    expect(depth(parse(query))).toBe(levels);
  });
});
