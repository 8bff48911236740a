import { describe, expect, it } from 'vitest';
import { PromgateError } from '../errors.ts';
import { parse } from '../promql/parse.ts';
import { checkDepth, checkQueryBytes, checkRange, checkReach, type Limits } from './limits.ts';

const hour = 3_600_000;
const day = 24 * hour;
const limits: Limits = {
  timeout: 60_000,
  maxRange: 0,
  maxPoints: 11_000,
  maxDepth: 100,
  maxResponse: 1,
  maxQueryBytes: 10,
};

/** The text of the refusal, with its code; null where there is none. */
function refusal(check: () => void): string | null {
  try {
    check();
    return null;
  } catch (error) {
    if (!(error instanceof PromgateError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

describe('max_query_bytes', () => {
  it('counts bytes, of the query or of all selectors together', () => {
    expect(refusal(() => checkQueryBytes('0123456789', [], limits))).toBeNull();
    expect(refusal(() => checkQueryBytes('ä23456789', ['a'], limits))).toBe(
      'limit: limit max_query_bytes exceeded: the query has 11 bytes, at most 10 are allowed',
    );
    expect(refusal(() => checkQueryBytes('', ['01234', '012345'], limits))).toContain('11 bytes');
  });
});

describe('max_depth', () => {
  it('counts levels: as many as the limit pass, one more does not', () => {
    const nested = (levels: number) => parse(`${'abs('.repeat(levels - 1)}up${')'.repeat(levels - 1)}`);
    expect(refusal(() => checkDepth(nested(100), limits))).toBeNull();
    expect(refusal(() => checkDepth(nested(101), limits))).toBe(
      'limit: limit max_depth exceeded: the query is nested 101 deep, at most 100 is allowed',
    );
  });

  it('does not count operators side by side', () => {
    expect(refusal(() => checkDepth(parse(Array(200).fill('up').join(' or ')), limits))).toBeNull();
  });
});

describe('max_range of what a request says', () => {
  const some = { ...limits, maxRange: hour };

  it('is named with its value and what was asked, as people write durations', () => {
    expect(refusal(() => checkRange(0, hour, 60_000, some))).toBeNull();
    expect(refusal(() => checkRange(0, 90_061_001, 60_000, some))).toBe(
      'limit: limit max_range exceeded: the request spans 1d1h1m1s1ms, at most 1h is allowed',
    );
    expect(refusal(() => checkRange(0, 8 * day, 60_000, { ...limits, maxRange: 7 * day }))).toContain(
      'spans 8d, at most 1w is allowed',
    );
  });

  it('holds without a step too', () => {
    expect(refusal(() => checkRange(0, 2 * hour, undefined, some))).toContain('max_range');
    expect(refusal(() => checkRange(-9.2e15, 9.2e15, undefined, some))).toContain('max_range');
  });

  it('does not stumble over decimals of seconds', () => {
    const start = 1_700_000_000.123 * 1000;
    const end = 1_700_003_600.123 * 1000;
    expect(refusal(() => checkRange(start, end, 60_000, some))).toBeNull();
  });

  it('leaves to the server what is no range, and lets everything through where it is 0', () => {
    expect(refusal(() => checkRange(2 * hour, 0, 60_000, some))).toBeNull();
    expect(refusal(() => checkRange(0, Number.NaN, 60_000, some))).toBeNull();
    expect(refusal(() => checkRange(0, 1000 * day, day, limits))).toBeNull();
  });
});

describe('max_points', () => {
  it('holds below Prometheus’ own limit, and that one with its own text', () => {
    const some = { ...limits, maxPoints: 100 };
    expect(refusal(() => checkRange(0, 100_000, 1000, some))).toBeNull();
    expect(refusal(() => checkRange(0, 101_000, 1000, some))).toBe(
      'limit: limit max_points exceeded: the query has 101 points per series, at most 100 are allowed. Use a larger step.',
    );
    expect(refusal(() => checkRange(0, 11_001_000, 1000, limits))).toMatch(/^bad_data: exceeded maximum resolution of 11,000/);
    expect(refusal(() => checkRange(0, 101_000, 0, some))).toBeNull();
  });
});

describe('max_range of what a query touches', () => {
  const t = 1000 * day;
  const reach = (
    query: string,
    times: { start?: number; end?: number; step?: number; lookbackDelta?: number },
    maxRange: number,
  ) => refusal(() => checkReach(parse(query), { start: t, end: t, step: 0, ...times }, { ...limits, maxRange }));

  it.each([
    ['up[1d]', '1d'],
    ['up offset 1d', '1d'],
    ['up[1d] offset 1d', '2d'],
    ['up offset -1d', '1d'],
    ['max_over_time(rate(up[1d])[1d:1h] offset 1d)', '3d'],
    ['max_over_time(max_over_time(up[1d:])[1d:])', '2d'],
    [`up @ ${(t - 5 * day) / 1000}`, '5d'],
    [`up @ ${(t + 5 * day) / 1000}`, '5d'],
    [`sum(up) + sum(up @ ${(t - 5 * day) / 1000} offset 1d)`, '6d'],
    ['up[12h * 2]', '1d'],
    ['rate(up[1h] offset -1d) + up offset 1d', '2d'],
    ['quantile(scalar(up offset 1d), vector(1))', '1d'],
    ['info(up offset 1d)', '1d'],
  ])('counts %s at one time as %s', (query, spans) => {
    const days = Number.parseInt(spans, 10) * day;
    expect(reach(query, {}, days)).toBeNull();
    expect(reach(query, {}, days - 1)).toContain(`the query spans ${spans}, at most`);
  });

  it('adds the request’s own range', () => {
    const times = { start: t - 6 * day, step: hour };
    expect(reach('rate(up[1d])', times, 7 * day)).toBeNull();
    expect(reach('rate(up[1d] offset 1h)', times, 7 * day)).toBe(
      'limit: limit max_range exceeded: with its ranges, offsets and subqueries the query spans 7d1h, at most 1w is allowed',
    );
    expect(reach('up[step() * 48]', times, 7 * day)).toContain('spans 8d');
    expect(reach('up[range()]', times, 7 * day)).toContain('spans 12d');
  });

  it('counts the times of evaluation also where all samples are elsewhere', () => {
    expect(reach('up @ end()', { start: t - 3 * day }, 2 * day)).toContain('spans 3d');
    expect(reach(`up @ ${t / 1000}`, { start: t + 3 * day, end: t + 3 * day }, 2 * day)).toContain('spans 3d');
  });

  it('does not count a look-back that nobody asked for, but one that somebody did', () => {
    expect(reach('up', { start: t - day, step: hour }, day)).toBeNull();
    expect(reach('up', { lookbackDelta: 2 * day }, day)).toContain('spans 2d');
  });

  it('refuses what cannot be computed', () => {
    expect(reach('up[1h / (1m - 1m)]', {}, day)).toContain('spans all of time');
  });

  it('lets everything through where it is 0', () => {
    expect(reach('up[9y] @ 0', {}, 0)).toBeNull();
    expect(reach('1 + 1', { start: 0 }, 1)).toBeNull();
  });
});
