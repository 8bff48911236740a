import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { arbitraryMatrix, arbitraryStyle, type Matrix, pieceOf } from './arbitrary-matrix.ts';
import type { Piece, Span } from './piece.ts';
import { cutPiece, mergePieces, pieceSize } from './slice.ts';

/** A matrix, and numbers by which its points are divided. */
const divided = fc.tuple(arbitraryMatrix, arbitraryStyle, fc.nat(), fc.nat());

function firstPart({ span }: Matrix, n: number): Span {
  return { first: span.first, last: span.first + (n % (span.last - span.first + 1)) };
}

describe('a piece cut', () => {
  it('is what the scanner makes of the answer for these points', () => {
    fc.assert(
      fc.property(divided, ([matrix, style, a, b]) => {
        const { last } = firstPart(matrix, a);
        const span = { first: matrix.span.first + (b % (last - matrix.span.first + 1)), last };
        expect(cutPiece(pieceOf(matrix, style), span)).toEqual(pieceOf(matrix, style, span));
      }),
      { numRuns: 200 },
    );
  });

  it('is the piece itself where the span is all of it', () => {
    const piece = small('1');
    expect(cutPiece(piece, { first: 0, last: 0 })).toBe(piece);
  });
});

describe('pieces merged', () => {
  it('are what the scanner makes of the answer for all their points', () => {
    fc.assert(
      fc.property(divided, ([matrix, style, a, b]) => {
        const all = firstPart(matrix, a);
        const middle = firstPart({ ...matrix, span: all }, b).last;
        if (middle === all.last) return;
        const earlier = pieceOf(matrix, style, { first: all.first, last: middle });
        const later = pieceOf(matrix, style, { first: middle + 1, last: all.last });
        expect(mergePieces(earlier, later)).toEqual(pieceOf(matrix, style, all));
      }),
      { numRuns: 200 },
    );
  });

  it('are as old as the older of them', () => {
    const [earlier, later] = [small('1'), { ...small('2'), first: 1, last: 1 }];
    expect(mergePieces({ ...earlier, fetchedAt: 5 }, { ...later, fetchedAt: 7 }).fetchedAt).toBe(5);
    expect(mergePieces({ ...earlier, fetchedAt: 7 }, { ...later, fetchedAt: 5 }).fetchedAt).toBe(5);
  });

  it('have the head and the end of the earlier one', () => {
    const opening = Buffer.from('[');
    const other = { ...small('2'), first: 1, last: 1, envelope: { opening, closing: opening, contentType: 'x' } };
    const { envelope } = small('1');
    expect(mergePieces(small('1'), other).envelope).toEqual(envelope);
  });
});

describe('the size of a piece', () => {
  it('counts blocks of memory whole, and each once', () => {
    const piece = small('1');
    const held = piece.bytes.buffer.byteLength;
    const one = pieceSize(piece);
    expect(one).toBeGreaterThan(held);
    const copy = Buffer.alloc(10_000, piece.bytes);
    expect(pieceSize({ ...piece, bytes: copy.subarray(0, 10) })).toBe(one + 10_000);
  });

  it('is that of its own bytes only, after a scan, a cut and a merge', () => {
    const later = { ...small('22'), first: 1, last: 1 };
    const merged = mergePieces(small('1'), later);
    for (const piece of [small('1'), merged, cutPiece(merged, { first: 1, last: 1 })]) {
      const { bytes, series, index } = piece;
      expect(bytes.buffer.byteLength).toBe(bytes.byteLength + series.byteLength + index.byteLength);
      expect([series.buffer, index.buffer]).toEqual([bytes.buffer, bytes.buffer]);
    }
  });
});

/** One point, one series. */
function small(value: string): Piece {
  const values = new Map([[0, `"${value}"`]]);
  const grid = { step: 1000, phase: 0 };
  return pieceOf({ grid, span: { first: 0, last: 0 }, series: [{ labels: {}, values, histograms: new Map() }] }, 'go');
}
