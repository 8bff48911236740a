import { describe, expect, it, vi } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { assemble, type Part } from './assemble.ts';
import { coverage, insertPiece, overlay, questionsFor, sizeOf } from './extents.ts';
import type { Grid, Piece, Span } from './piece.ts';
import { createScanner } from './scan.ts';

/** Bytes that were copied from piece to piece. */
let copied = 0;
vi.mock('./slice.ts', async (original) => {
  const slice = await original<typeof import('./slice.ts')>();
  const count = (made: Piece) => {
    copied += made.bytes.length + made.series.byteLength + made.index.byteLength;
    return made;
  };
  return {
    ...slice,
    cutPiece: (piece: Piece, span: Span) => {
      const cut = slice.cutPiece(piece, span);
      return cut === piece ? cut : count(cut);
    },
    mergePieces: (a: Piece, b: Piece) => count(slice.mergePieces(a, b)),
  };
});

const grid: Grid = { step: 1000, phase: 0 };

/** Of an answer in which every series has this value at all points. */
function pieceOf({ first, last }: Span, value: string, fetchedAt: number, series = ['a', 'b']): Piece {
  const samples: string[] = [];
  for (let k = first; k <= last; k++) samples.push(`[${k},"${value}"]`);
  const result = series.map((name) => `{"metric":{"__name__":"${name}"},"values":[${samples.join(',')}]}`).join(',');
  const scanner = createScanner(grid, { first, last }, 'application/json', 1 << 30);
  scanner.push(Buffer.from(`{"status":"success","data":{"resultType":"matrix","result":[${result}]}}`));
  const piece = scanner.finish(fetchedAt);
  if (piece === null) throw new Error('not understood');
  return piece;
}

/** What an answer says: point → value, the same for all of its series. */
function pointsOf(parts: readonly Part[], series = 2): Map<number, string> {
  const answer = JSON.parse(Buffer.concat([...assemble(parts)]).toString() || '{"data":{"result":[]}}');
  const lists: [number, string][][] = answer.data.result.map(({ values }: { values: [number, string][] }) => values);
  expect(lists.length).toBe(parts.length === 0 ? 0 : series);
  for (const list of lists) expect(list).toEqual(lists[0]);
  return new Map(lists[0]);
}

/** All of the numbers of the span, or of several. */
function numbersIn(spans: readonly Span[]): number[] {
  return spans.flatMap(({ first, last }) => Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i));
}

const everything: Span = { first: 0, last: 1_000_000 };

function spanWithin(last: number, longest: number): fc.Arbitrary<Span> {
  return fc.tuple(fc.nat({ max: last }), fc.integer({ min: 1, max: longest })).map(([first, length]) => {
    return { first, last: Math.min(last, first + length - 1) };
  });
}

describe('pieces that are put in one after the other', () => {
  it('have for every point what was put in last, and are no younger than it', () => {
    const steps = fc.array(fc.tuple(spanWithin(60, 20), fc.nat({ max: 5 })), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(steps, (steps) => {
        let pieces: readonly Piece[] = [];
        const points = new Map<number, { value: string; fetchedAt: number }>();
        for (const [i, [span, delay]] of steps.entries()) {
          // Not in the order in which they were asked.
          const fetchedAt = 1000 + i - delay;
          pieces = insertPiece(pieces, pieceOf(span, String(i), fetchedAt));
          for (const k of numbersIn([span])) points.set(k, { value: String(i), fetchedAt });
          for (const [j, piece] of pieces.entries()) expect(piece.first).toBeGreaterThan(pieces[j - 1]?.last ?? -1);
          expect(pieces.length).toBeLessThanOrEqual(16);
        }
        const { parts } = coverage(pieces, everything, 0);
        const found = pointsOf(parts);
        // Sixty points have no room for so many pieces that some would go.
        expect(found).toEqual(new Map([...points].sort(([a], [b]) => a - b).map(([k, { value }]) => [k, value])));
        for (const { first, last, fetchedAt } of pieces) {
          for (const k of numbersIn([{ first, last }])) expect(fetchedAt).toBeLessThanOrEqual(points.get(k)?.fetchedAt ?? 0);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('stay few: of those that lie apart the one goes that was fetched first', () => {
    let pieces: readonly Piece[] = [];
    for (let i = 0; i < 16; i++) pieces = insertPiece(pieces, pieceOf({ first: 10 * i, last: 10 * i }, '1', 100 - i));
    expect(pieces.length).toBe(16);
    pieces = insertPiece(pieces, pieceOf({ first: 1000, last: 1000 }, '1', 200));
    expect(pieces.map(({ first }) => first)).toEqual([...Array(15).keys(), 100].map((i) => 10 * i));
  });

  it('become one where they would be too many and touch, and so none is lost', () => {
    let pieces: readonly Piece[] = [];
    // Each much larger than the one before it: these are not merged without need.
    for (const [first, last] of [
      [0, 0],
      [1, 500],
      [501, 5000],
    ] as const) {
      pieces = insertPiece(pieces, pieceOf({ first, last }, '1', 1));
    }
    expect(pieces.length).toBe(3);
    for (let i = 1; i <= 15; i++) pieces = insertPiece(pieces, pieceOf({ first: 5000 + 10 * i, last: 5000 + 10 * i }, '1', 50));
    expect(pieces.length).toBe(16);
    expect(numbersIn(pieces).length).toBe(5001 + 15);
  });

  it.each<[string, number, (i: number) => number]>([
    ['forwards', 5000, (i) => i],
    ['forwards', 500, (i) => i],
    ['backwards', 2000, (i) => 10_000 - i],
    ['in both directions', 2000, (i) => 10_000 + (i % 2 === 0 ? i : -i - 1) / 2],
  ])('a point at a time, %s, %i times: are copied a few times the logarithm of that', (_direction, times, at) => {
    const point = pieceOf({ first: 0, last: 0 }, '1', 1);
    let pieces: readonly Piece[] = [];
    copied = 0;
    for (let i = 0; i < times; i++) pieces = insertPiece(pieces, { ...point, first: at(i), last: at(i) });
    const made = pieces.reduce((sum, { bytes, series, index }) => sum + bytes.length + series.byteLength + index.byteLength, 0);
    expect(numbersIn(pieces).length).toBe(times);
    const [first, last] = [Math.min(...numbersIn(pieces)), Math.max(...numbersIn(pieces))];
    expect(coverage(pieces, { first, last }, 0).gaps).toEqual([]);
    expect(last - first).toBe(times - 1);
    expect(copied).toBeLessThan(4 * Math.log2(times) * made);
  });

  it('are not copied where they do not touch what is put in', () => {
    const before = [pieceOf({ first: 0, last: 9 }, '1', 1), pieceOf({ first: 20, last: 29 }, '1', 1)];
    const pieces = insertPiece(before, pieceOf({ first: 15, last: 15 }, '1', 2));
    expect(pieces[0]).toBe(before[0]);
    expect(pieces[2]).toBe(before[1]);
    expect(sizeOf(pieces)).toBeGreaterThan(sizeOf(before));
  });
});

describe('what there is of a span', () => {
  it('is each point once: in a part, or in a gap', () => {
    const pieces = fc.array(fc.tuple(spanWithin(60, 10), fc.nat({ max: 9 })), { maxLength: 8 });
    fc.assert(
      fc.property(pieces, spanWithin(70, 70), fc.nat({ max: 9 }), (list, span, since) => {
        let kept: readonly Piece[] = [];
        for (const [span, fetchedAt] of list) kept = insertPiece(kept, pieceOf(span, '1', fetchedAt));
        const { parts, gaps } = coverage(kept, span, since);
        const fresh = new Set(numbersIn(kept.filter(({ fetchedAt }) => fetchedAt > since)));
        const wanted = numbersIn([span]);
        expect(numbersIn(parts.map(({ span }) => span))).toEqual(wanted.filter((k) => fresh.has(k)));
        expect(numbersIn(gaps)).toEqual(wanted.filter((k) => !fresh.has(k)));
        // Neighbours are one gap.
        for (const [i, { first }] of gaps.entries()) expect(first - (gaps[i - 1]?.last ?? -2)).toBeGreaterThan(1);
        for (const { piece, span, cached } of parts) {
          expect(cached).toBe(true);
          expect(kept).toContain(piece);
          expect(piece.first).toBeLessThanOrEqual(span.first);
          expect(piece.last).toBeGreaterThanOrEqual(span.last);
        }
      }),
      { numRuns: 120 },
    );
  });
});

/** Spans in order, with at least a point between them. */
const arbitraryGaps = fc
  .array(fc.tuple(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 14, max: 100 })), fc.integer({ min: 1, max: 9 })), {
    maxLength: 12,
  })
  .map((list) => {
    let next = 0;
    return list.map(([distance, length]): Span => {
      const first = next + distance;
      next = first + length;
      return { first, last: next - 1 };
    });
  });

describe('the questions for gaps', () => {
  it('ask for every gap once, for nothing outside of them all, and are few', () => {
    fc.assert(
      fc.property(arbitraryGaps, (gaps) => {
        const questions = questionsFor(gaps);
        expect(questions.length).toBeLessThanOrEqual(4);
        for (const { first, last } of gaps) {
          expect(questions.filter((asked) => asked.first <= first && last <= asked.last).length).toBe(1);
        }
        for (const [i, { first, last }] of questions.entries()) {
          expect(gaps.some((gap) => gap.first === first)).toBe(true);
          expect(gaps.some((gap) => gap.last === last)).toBe(true);
          expect(first).toBeGreaterThan(questions[i - 1]?.last ?? -1);
        }
        // What is there between two gaps is asked for again only where it is little, or else the questions would be too many.
        const between = gaps.slice(1).map(({ first }, i) => ({ first: (gaps[i]?.last ?? 0) + 1, last: first - 1 }));
        const long = between.filter(({ first, last }) => last - first + 1 >= 16);
        const again = long.filter(({ first }) => questions.some((asked) => asked.first < first && first < asked.last));
        expect(again.length).toBe(Math.max(0, long.length - 3));
        const longest = Math.max(0, ...again.map(({ first, last }) => last - first));
        for (const spared of long) {
          if (!again.includes(spared)) expect(spared.last - spared.first).toBeGreaterThanOrEqual(longest);
        }
        const short = between.filter((span) => !long.includes(span));
        for (const { first } of short) expect(questions.some((asked) => asked.first < first && first < asked.last)).toBe(true);
      }),
      { numRuns: 120 },
    );
  });
});

describe('what is there and what was fetched', () => {
  it('is each point once, what was fetched before what was there', () => {
    const spans = fc.tuple(arbitraryGaps, arbitraryGaps);
    const { envelope, ...rest } = pieceOf({ first: 0, last: 0 }, '1', 1);
    fc.assert(
      fc.property(spans, ([there, fetched]) => {
        const parts = there.map((span): Part => ({ piece: { ...rest, envelope, ...everything }, span, cached: true }));
        const all = overlay(
          parts,
          fetched.map((span): Piece => ({ ...rest, envelope, ...span })),
        );
        const isFetched = new Set(numbersIn(fetched));
        const points = numbersIn(all.map(({ span }) => span));
        expect(points).toEqual([...new Set([...isFetched, ...numbersIn(there)])].sort((a, b) => a - b));
        for (const { piece, span, cached } of all) {
          expect(cached).toBe(!isFetched.has(span.first));
          expect(piece.first <= span.first && span.last <= piece.last).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });
});
