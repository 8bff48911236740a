/**
 * A stretch of a range query's answer, as the server's own bytes: for each series its labels and samples, with an index by which
 * the samples of any grid points are sliced out. Nothing in it was parsed into numbers or objects.
 */

/** The moments at which a range query is evaluated: `phase + k * step` for whole `k`; milliseconds, whole ones. */
export interface Grid {
  /** At least 1. */
  readonly step: number;
  /** At least 0, below `step`. */
  readonly phase: number;
}

/** Points of a grid, by their `k`, both included. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

export interface Piece extends Span {
  /** When the server was asked, in Unix milliseconds; of a merged piece the earlier one. */
  readonly fetchedAt: number;
  /** What stands in front of the first series and behind the last one in the server's answer, and the answer's type. */
  readonly envelope: Envelope;
  /** For each series, one after the other: its labels `{…}`, its float samples, its histogram samples; each sample with a comma behind it. */
  readonly bytes: Buffer;
  /** Rows of `ROW` numbers, a row for each series, in the server's order. */
  readonly series: Uint32Array;
  /** Offsets in `bytes`; see `Column`. */
  readonly index: Uint32Array;
}

export interface Envelope {
  readonly opening: Buffer;
  readonly closing: Buffer;
  readonly contentType: string;
}

/** Numbers of a row of `Piece.series`. */
export const ROW = 8;

/**
 * The samples of one kind cover the points `first + FLOAT_FIRST` to `first + FLOAT_FIRST + FLOAT_COUNT - 1` of the piece, and these
 * two have a sample; a count of 0: there are none. `index[FLOAT_INDEX + i]` is where the sample of the i-th of these points begins in `bytes`, and the
 * entry behind it is where it ends: the same for a point without a sample. There is one entry more than there are points.
 */
export const Column = {
  LABELS_START: 0,
  LABELS_END: 1,
  FLOAT_FIRST: 2,
  FLOAT_COUNT: 3,
  FLOAT_INDEX: 4,
  HISTOGRAM_FIRST: 5,
  HISTOGRAM_COUNT: 6,
  HISTOGRAM_INDEX: 7,
} as const;
