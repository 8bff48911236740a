/** Samples of an answer, and their places in the index of a piece. */
import type { GrowingNumbers } from './growing.ts';
import type { Times } from './scan-times.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN = 0x5b;
const CLOSE = 0x5d;

/** The points that a list of samples has had so far: from 0, or -1 before the first sample. */
export interface Samples {
  first: number;
  last: number;
}

/**
 * Enters that the sample of this point will begin at `offset`. A point between two samples that has none itself begins and ends
 * where the later one begins. false where the point is none, or does not follow, or the index would have more than `limit` entries.
 */
export function enterSample(samples: Samples, point: number, offset: number, index: GrowingNumbers, limit: number): boolean {
  if (point <= samples.last) return false;
  const entries = samples.last < 0 ? 1 : point - samples.last;
  if (index.length + entries > limit) return false;
  index.reserve(entries);
  index.values.fill(offset, index.length, index.length + entries);
  index.length += entries;
  if (samples.last < 0) samples.first = point;
  samples.last = point;
  return true;
}

/** What numbers consist of, `NaN` and `+Inf` included. */
const inNumber = new Uint8Array(256);
for (const byte of Buffer.from('0123456789+-.eEINafn')) inNumber[byte] = 1;

/** No float sample has so many bytes. What has fewer, and is none, may be cut off. */
const longest = 256;

/**
 * Reads float samples `[1435781430.781,"1"],` at `window[at]` until their list ends, or the window, and enters each: what is at
 * `window[at]` will be at `offset`. The byte at `end` must be 0: everything stops there.
 *
 * Returns the offset behind the last whole sample with its comma, or with the bracket that ends the list; -1 for what
 * is no sample, or was not entered.
 */
export function scanFloats(
  window: Buffer,
  at: number,
  end: number,
  offset: number,
  times: Times,
  samples: Samples,
  index: GrowingNumbers,
  limit: number,
): number {
  const shift = offset - at;
  index.reserve(room(at, end, times, samples));
  let { values, length } = index;
  let point = samples.last;
  // No time is negative: the first sample is never the expected one.
  let expected = point < 0 ? -1 : times.at(point + 1);
  let sample = at;
  let behind: number | undefined = COMMA;
  while (behind === COMMA && window[sample] === OPEN) {
    let i = times.skip(window, sample + 1);
    if (i < 0 || window[i] !== COMMA || window[i + 1] !== QUOTE) break;
    i += 2;
    const value = i;
    while (inNumber[window[i] ?? 0] === 1) i += 1;
    if (i === value || window[i] !== QUOTE || window[i + 1] !== CLOSE) break;
    behind = window[i + 2];
    if (behind !== COMMA && behind !== CLOSE) break;
    if (times.read === expected) {
      values[length] = sample + shift;
      length += 1;
      point += 1;
    } else {
      index.length = length;
      samples.last = point;
      point = times.point();
      if (!enterSample(samples, point, sample + shift, index, limit)) return -1;
      index.reserve(room(sample, end, times, samples));
      ({ values, length } = index);
      expected = times.read;
    }
    expected += times.step;
    sample = i + 3;
  }
  index.length = length;
  samples.last = point;
  if (point >= times.points) return -1;
  const over = sample > at && window[sample - 1] === CLOSE;
  return over || end - sample < longest ? sample : -1;
}

/** Entries for all samples that can follow without a gap. What comes behind the last point is not entered, and refused in the end. */
function room(at: number, end: number, times: Times, samples: Samples): number {
  // The shortest sample has nine bytes with its comma.
  return Math.min((end - at) >> 3, times.points - samples.last);
}
