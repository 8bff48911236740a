import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { answerText, arbitraryMatrix, arbitraryStyle, type Matrix, pieceOf, type Style } from './arbitrary-matrix.ts';
import { assemble, type Part } from './assemble.ts';
import type { Span } from './piece.ts';

function textOf(parts: readonly Part[]): string {
  return Buffer.concat([...assemble(parts)]).toString();
}

/** The end of the work, as a generator tells it. */
function savedOf(parts: readonly Part[]): number {
  const chunks = assemble(parts);
  for (;;) {
    const { done, value } = chunks.next();
    if (done) return value.savedPoints;
  }
}

/** Consecutive spans that begin at these points. */
function spansFrom(starts: readonly number[], last: number): Span[] {
  return starts.map((first, i) => ({ first, last: (starts[i + 1] ?? last + 1) - 1 }));
}

/** Series with a sample at each point. */
function dense(count: number, points: number): Matrix {
  const samples = new Map(Array.from({ length: points }, (_, k) => [k, `"${k}"`] as const));
  return {
    grid: { step: 1000, phase: 0 },
    span: { first: 0, last: points - 1 },
    series: Array.from({ length: count }, (_, i) => ({
      labels: { a: String(i).padStart(7, '0') },
      values: samples,
      histograms: new Map(),
    })),
  };
}

const go: Style = 'go';

describe('an answer from pieces', () => {
  it('is, byte for byte, what the server answers for all their points', () => {
    const cuts = fc.array(fc.nat({ max: 30 }), { maxLength: 4 });
    const more = fc.array(fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 5 })), { minLength: 5, maxLength: 5 });
    fc.assert(
      fc.property(arbitraryMatrix, arbitraryStyle, cuts, more, (matrix, style, offsets, margins) => {
        const { first, last } = matrix.span;
        const starts = [...new Set([first, ...offsets.map((offset) => Math.min(last, first + offset))])].sort((a, b) => a - b);
        // What is asked for begins and ends within the first and the last part, and each piece has more points than its part.
        const spans = spansFrom(starts, last);
        const asked = { first: Math.min(first + (margins[0]?.[0] ?? 0), spans[0]?.last ?? 0), last };
        const parts = spans.map((whole, i): Part => {
          const [before, behind] = margins[i] ?? [0, 0];
          const span = { first: Math.max(asked.first, whole.first), last: whole.last };
          const piece = { first: Math.max(first, span.first - before), last: Math.min(last, span.last + behind) };
          return { piece: pieceOf(matrix, style, piece), span, cached: false };
        });
        expect(textOf(parts)).toBe(answerText(matrix, style, asked));
      }),
      { numRuns: 200 },
    );
  });

  it('has the head and the end of the first piece', () => {
    const [a, b] = [pieceOf(dense(1, 2), go, { first: 0, last: 0 }), pieceOf(dense(1, 2), go, { first: 1, last: 1 })];
    const envelope = { opening: Buffer.from('<'), closing: Buffer.from('>'), contentType: 'x' };
    const parts = [{ ...a, envelope }, b].map((piece) => ({ piece, span: piece, cached: false }));
    expect(textOf(parts)).toBe('<{"metric":{"a":"0000000"},"values":[[0,"0"],[1,"1"]]}>');
  });

  it('comes in chunks of 256 KiB', () => {
    const matrix = dense(40, 3000);
    const piece = pieceOf(matrix, go);
    const chunks = [...assemble([{ piece, span: piece, cached: false }])];
    expect(chunks.length).toBe(Math.ceil(Buffer.byteLength(answerText(matrix, go)) / (256 * 1024)));
    expect(Math.max(...chunks.map(({ length }) => length))).toBe(256 * 1024);
    expect(Buffer.concat(chunks).toString()).toBe(answerText(matrix, go));
  });

  it('comes in one chunk where it is short', () => {
    const matrix = dense(40, 1000);
    const piece = pieceOf(matrix, go);
    const span = { first: 10, last: 899 };
    expect([...assemble([{ piece, span, cached: false }])]).toEqual([Buffer.from(answerText(matrix, go, span))]);
  });

  it('of many short series comes in chunks of at most 256 KiB, too', () => {
    const matrix = dense(20_000, 2);
    const spans = spansFrom([0, 1], 1);
    const parts = spans.map((span) => ({ piece: pieceOf(matrix, go, span), span, cached: true }));
    const chunks = [...assemble(parts)];
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(256 * 1024);
    expect(Buffer.concat(chunks).toString()).toBe(answerText(matrix, go));
  });

  it('of many series without samples gives others their turn, and says nothing of them', () => {
    const matrix = dense(30_000, 1);
    const later = { labels: { a: 'x' }, values: new Map([[1, '"1"']]), histograms: new Map() };
    const whole = { ...matrix, span: { first: 0, last: 1 }, series: [...matrix.series, later] };
    const span = { first: 1, last: 1 };
    const chunks = [...assemble([{ piece: pieceOf(whole, go), span, cached: false }])];
    expect(chunks.length).toBeGreaterThan(2);
    expect(Buffer.concat(chunks).toString()).toBe(answerText(whole, go, span));
  });

  it('tells how many points of how many series came from the cache', () => {
    const matrix = dense(3, 10);
    const [first = { first: 0, last: 0 }, second = first, third = first] = spansFrom([0, 4, 5], 9);
    const part = (span: Span, cached: boolean): Part => ({ piece: pieceOf(matrix, go), span, cached });
    expect(savedOf([part(first, true), part(second, false), part(third, true)])).toBe(3 * 9);
    expect(savedOf([part(first, false)])).toBe(0);
  });

  it('of nothing is nothing', () => {
    expect([textOf([]), savedOf([])]).toEqual(['', 0]);
  });
});
