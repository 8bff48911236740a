/** The pieces that are kept under one key: in order, without overlap. */
import type { Part } from './assemble.ts';
import { type Piece, ROW, type Span } from './piece.ts';
import { cutPiece, mergePieces, pieceSize } from './slice.ts';

/** More than these, and looking through them costs more than merging. */
const MOST_PIECES = 16;

/** Series of two pieces together: each takes about a microsecond to merge, during which nobody else is served. */
const MOST_MERGED = 20_000;

export interface Coverage {
  /** What is there of the span, in order. */
  readonly parts: readonly Part[];
  /** What is not, in order. */
  readonly gaps: readonly Span[];
}

/** What there is of `span` in pieces that were fetched after `since` (Unix milliseconds). */
export function coverage(pieces: readonly Piece[], span: Span, since: number): Coverage {
  const parts: Part[] = [];
  const gaps: Span[] = [];
  let next = span.first;
  for (const piece of pieces) {
    if (piece.last < next || piece.fetchedAt <= since) continue;
    if (piece.first > span.last) break;
    const first = Math.max(piece.first, next);
    const last = Math.min(piece.last, span.last);
    if (first > next) gaps.push({ first: next, last: first - 1 });
    parts.push({ piece, span: { first, last }, cached: true });
    next = last + 1;
  }
  if (next <= span.last) gaps.push({ first: next, last: span.last });
  return { parts, gaps };
}

/** Gaps with fewer points than this between them are asked for together: a question costs a server about as much as these points. */
const NEAR = 16;
/** At most so many questions at once. */
const MOST_QUESTIONS = 4;

/** The spans to ask the server for, so that all gaps are in them: those that lie close are one. */
export function questionsFor(gaps: readonly Span[]): Span[] {
  const asked: Span[] = [];
  for (const gap of gaps) {
    const before = asked.at(-1);
    if (before === undefined || gap.first - before.last > NEAR) asked.push(gap);
    else asked[asked.length - 1] = { first: before.first, last: gap.last };
  }
  while (asked.length > MOST_QUESTIONS) {
    let nearest = 1;
    const distance = (i: number) => (asked[i]?.first ?? 0) - (asked[i - 1]?.last ?? 0);
    for (let i = 2; i < asked.length; i++) if (distance(i) < distance(nearest)) nearest = i;
    const first = asked[nearest - 1]?.first ?? 0;
    const last = asked[nearest]?.last ?? 0;
    asked.splice(nearest - 1, 2, { first, last });
  }
  return asked;
}

/** What is there and what was fetched, in order; where they overlap, what was fetched. */
export function overlay(parts: readonly Part[], fetched: readonly Piece[]): Part[] {
  const all: Part[] = fetched.map((piece) => ({ piece, span: { first: piece.first, last: piece.last }, cached: false }));
  for (const { piece, span } of parts) {
    for (const left of without(span, fetched)) all.push({ piece, span: left, cached: true });
  }
  return all.sort((a, b) => a.span.first - b.span.first);
}

/** What of `span` is in none of the others. */
function without(span: Span, others: readonly Span[]): Span[] {
  let left: Span[] = [span];
  for (const other of others) {
    left = left.flatMap(({ first, last }) => {
      if (other.last < first || other.first > last) return [{ first, last }];
      return [
        { first, last: other.first - 1 },
        { first: other.last + 1, last },
      ].filter((rest) => rest.first <= rest.last);
    });
  }
  return left;
}

/**
 * The pieces with a new one among them, which takes the place of what was there for its points. Neighbours become one piece where
 * the later has grown to half the size of the earlier, so each byte is copied a few times at most however slowly they grow.
 */
export function insertPiece(pieces: readonly Piece[], added: Piece): Piece[] {
  const all: Piece[] = [added];
  for (const piece of pieces) for (const left of without(piece, [added])) all.push(cutPiece(piece, left));
  all.sort((a, b) => a.first - b.first);
  const merged: Piece[] = [];
  for (const piece of all) {
    merged.push(piece);
    while (mergesLast(merged)) mergeLast(merged);
  }
  while (merged.length > MOST_PIECES) shorten(merged);
  return merged;
}

/** Makes one piece less of them. */
function shorten(pieces: Piece[]): void {
  for (const [i, later] of pieces.entries()) {
    const earlier = pieces[i - 1];
    if (earlier?.last !== later.first - 1) continue;
    pieces.splice(i - 1, 2, mergePieces(earlier, later));
    return;
  }
  // Far apart, as by somebody who looks here and there: what was fetched first goes.
  const oldest = pieces.reduce((a, b) => (b.fetchedAt < a.fetchedAt ? b : a));
  pieces.splice(pieces.indexOf(oldest), 1);
}

/** The pieces with those points of another one that are in none of them. */
export function addMissing(pieces: readonly Piece[], other: Piece): readonly Piece[] {
  return without(other, pieces).reduce((all, left) => insertPiece(all, cutPiece(other, left)), pieces);
}

function mergesLast(pieces: readonly Piece[]): boolean {
  const [earlier, later] = [pieces.at(-2), pieces.at(-1)];
  if (earlier === undefined || later === undefined || later.first !== earlier.last + 1) return false;
  if (earlier.series.length + later.series.length > MOST_MERGED * ROW) return false;
  const [a, b] = [pieceSize(earlier), pieceSize(later)];
  return 2 * b >= a && 2 * a >= b;
}

function mergeLast(pieces: Piece[]): void {
  const later = pieces.pop();
  const earlier = pieces.pop();
  if (earlier !== undefined && later !== undefined) pieces.push(mergePieces(earlier, later));
}

export function sizeOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + pieceSize(piece), 0);
}
