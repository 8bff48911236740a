/** Timestamps of samples, and the points of a grid that they stand for. */
import type { Grid, Span } from './piece.ts';

const POINT = 0x2e;
const ZERO = 0x30;

/** More digits of seconds are no time of ours; milliseconds of so many are still whole numbers in a double. */
const mostDigits = 12;

/** Reads timestamps of answers that may have the points of `span` only. */
export class Times {
  /** Milliseconds, of the timestamp that was read last. */
  read = 0;
  readonly #start: number;
  /** Milliseconds from one point to the next. */
  readonly step: number;
  /** How many points there are. */
  readonly points: number;

  constructor(grid: Grid, span: Span) {
    this.#start = grid.phase + span.first * grid.step;
    this.step = grid.step;
    this.points = span.last - span.first + 1;
  }

  /**
   * Reads the timestamp at `at`, seconds with up to three digits behind the point, into `read`. Returns the offset behind it,
   * or -1. Prometheus writes three digits or none, VictoriaMetrics as many as there must be.
   */
  skip(bytes: Buffer, at: number): number {
    // Whole numbers of 32 bits are faster than doubles by far; the seconds need two of them.
    let i = at;
    let digit = (bytes[i] ?? 0) ^ ZERO;
    let high = 0;
    const middle = at + 9;
    while (digit < 10 && i < middle) {
      high = (high * 10 + digit) | 0;
      i += 1;
      digit = (bytes[i] ?? 0) ^ ZERO;
    }
    let low = 0;
    let scale = 1;
    while (digit < 10) {
      low = (low * 10 + digit) | 0;
      scale = (scale * 10) | 0;
      i += 1;
      digit = (bytes[i] ?? 0) ^ ZERO;
    }
    if (i === at || i > at + mostDigits || (bytes[at] === ZERO && i > at + 1)) return -1;
    let milliseconds = 0;
    if (bytes[i] === POINT) {
      i += 1;
      const fraction = i;
      let worth = 100;
      digit = (bytes[i] ?? 0) ^ ZERO;
      while (digit < 10) {
        milliseconds = (milliseconds + digit * worth) | 0;
        worth = worth === 100 ? 10 : 1;
        i += 1;
        digit = (bytes[i] ?? 0) ^ ZERO;
      }
      if (i === fraction || i > fraction + 3) return -1;
    }
    this.read = (high * scale + low) * 1000 + milliseconds;
    return i;
  }

  /** Milliseconds of a point. */
  at(point: number): number {
    return this.#start + point * this.step;
  }

  /** The point of the timestamp that was read last, from 0; -1 where it is none of those that were asked for. */
  point(): number {
    const point = Math.floor((this.read - this.#start) / this.step);
    return point >= 0 && point < this.points && this.at(point) === this.read ? point : -1;
  }
}
