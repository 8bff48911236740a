/** Pieces cut and merged. What comes out is what the scanner would have made of the server's answer for these points. */
import { copyBytes } from './copy-bytes.ts';
import { Column, type Envelope, type Piece, ROW, type Span } from './piece.ts';
import { type PieceMemory, pieceMemory } from './piece-memory.ts';
import { type SampleRun, type SeriesCursor, SeriesMerge, type Stretch } from './series-merge.ts';

/** Bytes of a piece beside its buffers: the objects themselves, and what V8 and Node keep for each array. Measured. */
const OVERHEAD = 1300;

/** Bytes that a piece holds in memory. A block of memory counts whole, also where only a part of it is the piece's. */
export function pieceSize({ bytes, series, index, envelope }: Piece): number {
  const blocks = new Set([bytes.buffer, series.buffer, index.buffer, envelope.opening.buffer, envelope.closing.buffer]);
  let size = OVERHEAD;
  for (const block of blocks) size += block.byteLength;
  return size;
}

/**
 * A copy of a part of the piece's points (`span` lies within it), with nothing in it of the others: series without samples there drop out. The piece
 * itself where the span is all of it.
 */
export function cutPiece(piece: Piece, span: Span): Piece {
  if (span.first === piece.first && span.last === piece.last) return piece;
  return gather([{ piece, span }], span, piece.envelope, piece.fetchedAt);
}

/** Two pieces as one; `later` begins where `earlier` ends. A series that is in both is one. */
export function mergePieces(earlier: Piece, later: Piece): Piece {
  const stretches = [earlier, later].map((piece) => ({ piece, span: piece }));
  const span = { first: earlier.first, last: later.last };
  return gather(stretches, span, earlier.envelope, Math.min(earlier.fetchedAt, later.fetchedAt));
}

/** The stretches are in order, and together all points of `span`. */
function gather(stretches: readonly Stretch[], { first, last }: Span, envelope: Envelope, fetchedAt: number): Piece {
  const memory = measure(stretches);
  const writer = new PieceWriter(memory, first);
  const merge = new SeriesMerge(stretches);
  for (let found = merge.next(); found !== 'over'; found = merge.next()) {
    if (found === 'found') writer.add(merge.members);
  }
  return { first, last, fetchedAt, envelope, ...memory };
}

/** Memory for exactly what the stretches have together. */
function measure(stretches: readonly Stretch[]): PieceMemory {
  const merge = new SeriesMerge(stretches);
  let rows = 0;
  let entries = 0;
  let bytes = 0;
  for (let found = merge.next(); found !== 'over'; found = merge.next()) {
    const { members } = merge;
    const [any] = members;
    if (any === undefined) continue;
    rows += 1;
    bytes += any.labelsEnd - any.labelsStart;
    entries += entriesOf(members, 'floats') + entriesOf(members, 'histograms');
    for (const { floats, histograms } of members) bytes += floats.end - floats.start + histograms.end - histograms.start;
  }
  return pieceMemory(ROW * rows, entries, bytes);
}

/** Entries of the index that the samples of one kind need together. */
function entriesOf(members: readonly SeriesCursor[], kind: 'floats' | 'histograms'): number {
  let first = 0;
  let end = -1;
  for (const member of members) {
    const run = member[kind];
    if (run.from === run.to) continue;
    if (end < 0) first = run.point;
    end = run.point + run.to - run.from;
  }
  return end < 0 ? 0 : end - first + 1;
}

/** Writes the series of a piece, one after the other. */
class PieceWriter {
  readonly #memory: PieceMemory;
  readonly #first: number;
  /** How much was written of each. */
  #numbers = 0;
  #entries = 0;
  #bytes = 0;

  constructor(memory: PieceMemory, first: number) {
    this.#memory = memory;
    this.#first = first;
  }

  /** A series, with its samples of some stretches. */
  add(members: readonly SeriesCursor[]): void {
    const [any] = members;
    if (any === undefined) return;
    const { series } = this.#memory;
    const row = this.#numbers;
    this.#numbers += ROW;
    series.fill(0, row, row + ROW);
    series[row + Column.LABELS_START] = this.#bytes;
    this.#copy(any.piece.bytes, any.labelsStart, any.labelsEnd);
    series[row + Column.LABELS_END] = this.#bytes;
    for (const member of members) this.#addRun(row + Column.FLOAT_FIRST, member.piece, member.floats);
    this.#endRuns(row + Column.FLOAT_FIRST);
    for (const member of members) this.#addRun(row + Column.HISTOGRAM_FIRST, member.piece, member.histograms);
    this.#endRuns(row + Column.HISTOGRAM_FIRST);
  }

  /** Further samples of a kind; `column` is where the row has its numbers. */
  #addRun(column: number, piece: Piece, run: SampleRun): void {
    if (run.from === run.to) return;
    const { series, index } = this.#memory;
    const count = series[column + 1] ?? 0;
    let at = this.#entries;
    if (count === 0) {
      series[column] = run.point - this.#first;
      series[column + 2] = at;
    } else {
      // The points between this run and the one before begin and end where this one begins.
      const missing = run.point - this.#first - (series[column] ?? 0) - count;
      index.fill(this.#bytes, at, at + missing);
      at += missing;
    }
    const shift = this.#bytes - run.start;
    for (let from = run.from; from < run.to; from++, at++) index[at] = (piece.index[from] ?? 0) + shift;
    this.#entries = at;
    series[column + 1] = at - (series[column + 2] ?? 0);
    this.#copy(piece.bytes, run.start, run.end);
  }

  /** The entry behind the last sample's. */
  #endRuns(column: number): void {
    const { series, index } = this.#memory;
    if (series[column + 1] === 0) return;
    index[this.#entries] = this.#bytes;
    this.#entries += 1;
  }

  #copy(source: Buffer, start: number, end: number): void {
    copyBytes(source, start, end, this.#memory.bytes, this.#bytes);
    this.#bytes += end - start;
  }
}
