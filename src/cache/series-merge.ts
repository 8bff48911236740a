/** Several stretches of one answer, series by series, in the server's order. Nothing is copied. */
import { compareLabels } from './labels.ts';
import { Column, type Piece, ROW, type Span } from './piece.ts';

/** The points `span` of a piece. */
export interface Stretch {
  readonly piece: Piece;
  readonly span: Span;
}

/** The samples of one kind that a series has in a stretch: from the first that is there to the last. */
export class SampleRun {
  readonly #piece: Piece;
  readonly #column: typeof Column.FLOAT_FIRST | typeof Column.HISTOGRAM_FIRST;
  /** Points of the piece, from 0; the second is the one behind the last. */
  readonly #first: number;
  readonly #end: number;
  /** Entries of the piece's index: that of the first sample, and the one behind that of the last. The same: there are none. */
  from = 0;
  to = 0;
  /** The first sample's point. */
  point = 0;

  constructor({ piece, span }: Stretch, column: typeof Column.FLOAT_FIRST | typeof Column.HISTOGRAM_FIRST) {
    this.#piece = piece;
    this.#column = column;
    this.#first = span.first - piece.first;
    this.#end = span.last - piece.first + 1;
  }

  /** Goes to a row of the piece; whether there are samples. */
  goTo(row: number): boolean {
    const { series, index, first: pieceFirst } = this.#piece;
    const count = series[row + this.#column + 1] ?? 0;
    if (count === 0) {
      this.from = 0;
      this.to = 0;
      return false;
    }
    const first = series[row + this.#column] ?? 0;
    const entry = series[row + this.#column + 2] ?? 0;
    let from = entry + Math.max(0, this.#first - first);
    let to = entry + Math.min(count, this.#end - first);
    while (from < to && index[from] === index[from + 1]) from += 1;
    while (from < to && index[to - 1] === index[to]) to -= 1;
    this.from = from;
    this.to = Math.max(from, to);
    this.point = pieceFirst + first + from - entry;
    return from < to;
  }

  /** Where the samples are in the piece's bytes. */
  get start(): number {
    return this.#piece.index[this.from] ?? 0;
  }

  get end(): number {
    return this.#piece.index[this.to] ?? 0;
  }
}

/** Rows that are looked at before others get their turn: a fraction of a millisecond. */
const mostRows = 8192;

/** The series of a stretch that have samples in it, one after the other. */
export class SeriesCursor {
  readonly piece: Piece;
  /** Which of the stretches it is. */
  readonly position: number;
  readonly floats: SampleRun;
  readonly histograms: SampleRun;
  #row = 0;

  constructor(stretch: Stretch, position: number) {
    this.piece = stretch.piece;
    this.position = position;
    this.floats = new SampleRun(stretch, Column.FLOAT_FIRST);
    this.histograms = new SampleRun(stretch, Column.HISTOGRAM_FIRST);
  }

  get isOver(): boolean {
    return this.#row >= this.piece.series.length;
  }

  get labelsStart(): number {
    return this.piece.series[this.#row + Column.LABELS_START] ?? 0;
  }

  get labelsEnd(): number {
    return this.piece.series[this.#row + Column.LABELS_END] ?? 0;
  }

  /** Of the present series, those with a sample and those between them. */
  get points(): number {
    return this.floats.to - this.floats.from + this.histograms.to - this.histograms.from;
  }

  /** Leaves the series. */
  leave(): void {
    this.#row += ROW;
  }

  /** Goes on to a series with samples, the present one included, or to the end; false where it has not come there yet. */
  settle(): boolean {
    const stop = this.#row + mostRows * ROW;
    for (; !this.isOver; this.#row += ROW) {
      if (this.#row === stop) return false;
      const hasFloats = this.floats.goTo(this.#row);
      if (this.histograms.goTo(this.#row) || hasFloats) return true;
    }
    return true;
  }
}

/** Goes through all series of some stretches. */
export class SeriesMerge {
  readonly #cursors: readonly SeriesCursor[];
  /** The present series in those stretches that have samples of it, in the order in which the stretches were given. */
  readonly members: SeriesCursor[] = [];

  constructor(stretches: readonly Stretch[]) {
    this.#cursors = stretches.map((stretch, position) => new SeriesCursor(stretch, position));
  }

  /** Goes to the next series. `not yet`: there are many without samples before it; the caller may let others go first. */
  next(): 'found' | 'not yet' | 'over' {
    const { members } = this;
    // One by one: a length of 0 would give up the array's memory, each time.
    while (members.length > 0) members.pop()?.leave();
    for (const cursor of this.#cursors) if (!cursor.settle()) return 'not yet';
    for (const cursor of this.#cursors) {
      if (cursor.isOver) continue;
      const [least] = members;
      const order = least === undefined ? 0 : compareSeries(cursor, least);
      if (order < 0) while (members.length > 0) members.pop();
      if (order <= 0) members.push(cursor);
    }
    return members.length > 0 ? 'found' : 'over';
  }
}

function compareSeries(a: SeriesCursor, b: SeriesCursor): number {
  return compareLabels(a.piece.bytes, a.labelsStart, a.labelsEnd, b.piece.bytes, b.labelsStart, b.labelsEnd);
}
