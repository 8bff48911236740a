import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bindingOf, cacheRules, questionOf } from '../../test/support/cache-question.ts';
import { internalError } from '../errors.ts';
import { createLog } from '../ops/log.ts';
import type { Receiver } from '../upstream/ask.ts';
import { headOf } from './answer.ts';
import type { Part } from './assemble.ts';
import { createBudget } from './budget.ts';
import type { RangePlan, WholePlan } from './cacheable.ts';
import type { Piece, Span } from './piece.ts';
import { createRangeKeeper } from './range-keeper.ts';
import { createScanner } from './scan.ts';
import { createShadow } from './shadow.ts';
import { createStore, type WholeAnswer } from './store.ts';

const MiB = 1024 * 1024;
const now = Date.parse('2026-01-01T12:00:00Z');
beforeEach(() => {
  vi.useFakeTimers({ now, toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const good = headOf('application/json', null);
const grid = { step: 1000, phase: 0 };

/** A range answer: the samples of each series as `[point, value]`. */
function rangeAnswer(series: readonly (readonly (readonly [number, string])[])[]): string {
  const width = String(series.length).length;
  const result = series.map((samples, i) => {
    const values = samples.map(([k, value]) => `[${k},"${value}"]`).join(',');
    return `{"metric":{"i":"${String(i).padStart(width, '0')}"},"values":[${values}]}`;
  });
  return `{"status":"success","data":{"resultType":"matrix","result":[${result.filter((text) => !text.includes('[]')).join(',')}]}}`;
}

function pieceOf(span: Span, answer: string): Piece {
  const scanner = createScanner(grid, span, 'application/json', 64 * MiB);
  scanner.push(Buffer.from(answer));
  const piece = scanner.finish(now - 1000);
  if (piece === null) throw new Error('not understood');
  return piece;
}

/** One series, this value at all points. */
function steady({ first, last }: Span, value = '1'): string {
  return rangeAnswer([Array.from({ length: last - first + 1 }, (_, i) => [first + i, value] as const)]);
}

const span: Span = { first: 10, last: 19 };
const plan: RangePlan = {
  kind: 'range',
  key: 'key',
  grid,
  span,
  settling: cacheRules.recentWindow,
  settledFrom: -Infinity,
  rangedOnVictoriaMetrics: false,
};
const binding = bindingOf();
const part = (span: Span, piece = pieceOf(span, steady(span))): Part => ({ piece, span, cached: true });

function bench({ rate = 1, atOnce }: { rate?: number; atOnce?: (receiver: Receiver) => void } = {}) {
  const store = createStore(64 * MiB);
  const keeper = createRangeKeeper(store, null);
  const results: string[] = [];
  const lines: string[] = [];
  const log = createLog('error', (line) => lines.push(line));
  const shadow = createShadow({
    store,
    keeper,
    budget: createBudget(64 * MiB),
    rate: () => rate,
    log,
    compared: (result) => results.push(result),
  });
  const { question, asked } = questionOf(binding, atOnce);
  const answer = (text: string, change = {}) => {
    const all = asked.at(-1)?.receiver;
    all?.head({ ...good, ...change });
    // In small parts.
    for (let at = 0; at < text.length; at += 1000) expect(all?.data(Buffer.from(text.slice(at, at + 1000)))).toBe(true);
    all?.end();
  };
  return { store, keeper, shadow, question, asked, answer, results, lines };
}

describe('of the answers from the cache', () => {
  it('none is asked for again without need, and all are where that is wanted', () => {
    const none = bench({ rate: 0 });
    const all = bench({ rate: 1 });
    for (const { shadow, question } of [none, all]) shadow.range(plan, question, [part(span)]);
    expect([none.asked.length, none.results]).toEqual([0, []]);
    expect(all.asked.map(({ parameters }) => parameters)).toEqual(['10000 to 19000']);
  });

  it('only two are asked for at once', () => {
    const { shadow, question, asked, answer, results } = bench();
    for (let i = 0; i < 3; i++) shadow.range(plan, question, [part(span)]);
    expect([asked.length, results]).toEqual([2, ['skipped']]);
    answer(steady(span));
    asked[0]?.receiver.fail(internalError('gone'));
    expect(results).toEqual(['skipped', 'match', 'skipped']);
    for (let i = 0; i < 3; i++) shadow.range(plan, question, [part(span)]);
    expect(asked.length).toBe(4);
  });

  it('none fails, nor blocks others, because the server cannot be asked', () => {
    const { shadow, question, results } = bench({
      atOnce: () => {
        throw new Error('not today');
      },
    });
    for (let i = 0; i < 4; i++) shadow.range(plan, question, [part(span)]);
    expect(results).toEqual(Array(4).fill('skipped'));
  });
});

describe('points that are kept', () => {
  it('agree with what the server says', () => {
    const { shadow, question, answer, results, keeper, store, lines } = bench();
    keeper.keep(plan, binding, part(span).piece, { serverTime: now, roundsTimes: false });
    const before = store.get('key');
    shadow.range(plan, question, [part(span)]);
    answer(steady(span));
    expect([results, lines]).toEqual([['match'], []]);
    expect(store.get('key')).toBe(before);
  });

  it.each<[string, string]>([
    ['another value', steady(span, '2')],
    ['a value less', steady({ ...span, last: 18 })],
    ['no series', rangeAnswer([])],
    ['a series more', rangeAnswer([[[10, '1']], [[10, '1']]])],
  ])('that do not, for %s, are replaced, and it is said', (_what, text) => {
    const { shadow, question, answer, results, keeper, lines } = bench();
    const told = { serverTime: now, roundsTimes: false };
    keeper.keep(plan, binding, part({ first: 0, last: 30 }).piece, told);
    shadow.range(plan, question, keeper.look(plan, cacheRules).parts);
    answer(text);
    expect([results, lines.length]).toEqual([['mismatch'], 1]);
    expect(lines[0]).toContain('main');
    const { parts } = keeper.look({ ...plan, span: { first: 0, last: 30 } }, cacheRules);
    expect(parts.map(({ span }) => span)).toEqual([span]);
    expect(parts[0]?.piece.bytes).toEqual(pieceOf(span, text).bytes);
  });

  it.each<[string, string, object]>([
    ['an error', '{"status":"error"}', { status: 503 }],
    ['what must not be stored', steady(span, '2'), { noStore: true }],
    ['what is not understood', '{"status":"success","data":{}}', {}],
    ['half of an answer', steady(span, '2').slice(0, 100), {}],
  ])('stay where the server gives %s', (_what, text, head) => {
    const { shadow, question, answer, results, keeper, store } = bench();
    keeper.keep(plan, binding, part(span).piece, { serverTime: now, roundsTimes: false });
    shadow.range(plan, question, [part(span)]);
    answer(text, head);
    expect([results, store.entries]).toEqual([['skipped'], 1]);
  });

  it('are looked at where they are, and nothing else is', () => {
    const { shadow, question, answer, asked, results } = bench();
    shadow.range(plan, question, [part({ first: 10, last: 12 }), part({ first: 17, last: 19 })]);
    expect(asked[0]?.parameters).toBe('10000 to 19000');
    // Between them the server may say anything.
    answer(rangeAnswer([[10, 11, 12, 14, 17, 18, 19].map((k) => [k, k === 14 ? '5' : '1'] as const)]));
    expect(results).toEqual(['match']);
  });

  it('agree also if they are a small part of a large piece', () => {
    const wide = { first: 0, last: 99 };
    // Of twenty thousand series the first and the last have a sample there.
    const series = Array.from({ length: 20_000 }, (_, i): [number, string][] => [[i % 19_999 === 0 ? 7 : 50, String(i)]]);
    const narrow = { first: 7, last: 7 };
    const { shadow, question, answer, results } = bench();
    shadow.range(plan, question, [part(narrow, pieceOf(wide, rangeAnswer(series)))]);
    answer(rangeAnswer(series.map((samples) => samples.filter(([k]) => k === 7))));
    expect(results).toEqual(['match']);
  });
});

const wholePlan: WholePlan = { kind: 'whole', key: 'key', maxAge: 60_000, settledFrom: now - 1000 };
const one = '{"metric":{"a":"1"},"value":[5,"1"]}';
const two = '{"metric":{"a":"2"},"value":[5,"2"]}';
const vector = (...series: string[]) => `{"status":"success","data":{"resultType":"vector","result":[${series.join(',')}]}}`;
const withStats = (milliseconds: number) => vector(one).replace(/\}$/, `,"stats":{"executionTimeMsec":${milliseconds}}}`);
const scalar = (value: number) => `{"status":"success","data":{"resultType":"scalar","result":[5,"${value}"]}}`;

function wholeBench(kept: string) {
  const all = bench();
  const entry: WholeAnswer = { kind: 'whole', body: Buffer.from(kept), contentType: 'application/json', fetchedAt: now };
  all.store.set('key', entry);
  return { ...all, entry };
}

describe('an answer that is kept as it is', () => {
  it.each([
    ['the same', vector(one, two), vector(one, two)],
    ['its series in another order', vector(one, two), vector(two, one)],
    ['at another cost', withStats(3), withStats(4)],
    ['a scalar', scalar(1), scalar(1)],
  ])('agrees with what the server says: %s', (_what, kept, text) => {
    const { shadow, question, answer, results, store, entry } = wholeBench(kept);
    shadow.whole(wholePlan, question, entry);
    answer(text);
    expect([results, store.entries]).toEqual([['match'], 1]);
  });

  it.each([
    ['another value', vector(one), vector(one.replace('"1"]', '"3"]'))],
    ['a series less', vector(one, two), vector(one)],
    ['a series twice', vector(one, two), vector(one, one)],
    ['another type', vector(), '{"status":"success","data":{"resultType":"matrix","result":[]}}'],
    ['another scalar', scalar(1), scalar(2)],
    ['another thing', vector(one), '{"status":"success","data":7}'],
  ])('goes where it does not: %s', (_what, kept, text) => {
    const { shadow, question, answer, results, store, entry, lines } = wholeBench(kept);
    shadow.whole(wholePlan, question, entry);
    answer(text);
    expect([results, store.entries, lines.length]).toEqual([['mismatch'], 0, 1]);
  });

  it.each<[string, string, object]>([
    ['an error', '{"status":"error"}', { status: 503 }],
    ['warnings', '{"status":"success","data":[],"warnings":["x"]}', {}],
    ['more than can be compared', vector(...Array.from({ length: 120_000 }, () => one)), {}],
  ])('stays where the server gives %s', (_what, text, head) => {
    const { shadow, question, answer, results, store, entry } = wholeBench(vector(one));
    shadow.whole(wholePlan, question, entry);
    answer(text, head);
    expect([results, store.entries]).toEqual([['skipped'], 1]);
  });

  it('is not asked for again where it tells of the moment', () => {
    const { shadow, question, asked, results, entry } = wholeBench('{"status":"success","data":["a"]}');
    shadow.whole({ ...wholePlan, settledFrom: -Infinity }, question, entry);
    expect([asked.length, results]).toEqual([0, []]);
  });
});
