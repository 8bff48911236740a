/** Pieces → the answer that the server would have given to one question for all their points. */
import { copyBytes } from './copy-bytes.ts';
import { ROW } from './piece.ts';
import { SeriesCursor, SeriesMerge, type Stretch } from './series-merge.ts';

/** Points of an answer, and the piece that has them. */
export interface Part extends Stretch {
  /** From the cache, not just fetched. */
  readonly cached: boolean;
}

const mostChunk = 256 * 1024;
/** An answer that has surely no more bytes is one chunk: then its length can be told, and it leaves in one write. */
const mostSingle = 1024 * 1024;
/** Of more rows than these it is not reckoned beforehand how long the answer will be. */
const mostReckoned = 1024;

const firstMetric = Buffer.from('{"metric":');
const nextMetric = Buffer.from(',{"metric":');
const floats = Buffer.from(',"values":[');
const histograms = Buffer.from(',"histograms":[');
const endOfList = Buffer.from(']');
const endOfSeries = Buffer.from('}');
/** Bytes around the labels and samples of a series, at most. */
const around = nextMetric.length + floats.length + histograms.length + 2 * endOfList.length + endOfSeries.length;

/**
 * The answer in one chunk where it is small, else in chunks of at most 256 KiB, each made when it is asked for. One can be empty:
 * many series without samples were looked through, and others may go first. The parts are in order, disjoint, and together all
 * points of the answer. Returns how many points of how many series (their product, summed) came from parts that were cached.
 */
export function* assemble(parts: readonly Part[]): Generator<Buffer, { savedPoints: number }> {
  const [first] = parts;
  if (first === undefined) return { savedPoints: 0 };
  const { opening, closing } = first.piece.envelope;
  const merge = new SeriesMerge(parts);
  const text = new Text();
  let savedPoints = 0;
  let left = mostLength(parts);
  let chunk = Buffer.allocUnsafe(left <= mostSingle ? left : mostChunk);
  let used = 0;
  let metric = firstMetric;
  text.add(opening, 0, opening.length);
  for (;;) {
    const found = merge.next();
    if (found === 'found') {
      text.add(metric, 0, metric.length);
      metric = nextMetric;
      addSeries(text, merge.members);
      for (const { position, points } of merge.members) if (parts[position]?.cached === true) savedPoints += points;
    } else if (found === 'over') {
      text.add(closing, 0, closing.length);
    }
    for (let i = 0; i < text.count; i++) {
      const source = text.sources[i] ?? opening;
      const end = text.ends[i] ?? 0;
      let at = text.starts[i] ?? 0;
      while (at < end) {
        if (used === chunk.length) {
          yield chunk;
          left -= used;
          chunk = Buffer.allocUnsafe(Math.min(left, mostChunk));
          used = 0;
        }
        const length = Math.min(end - at, chunk.length - used);
        copyBytes(source, at, at + length, chunk, used);
        at += length;
        used += length;
      }
    }
    text.count = 0;
    if (found === 'over') break;
    if (found === 'not yet') {
      yield chunk.subarray(0, used);
      left -= used;
      chunk = chunk.subarray(used);
      used = 0;
    }
  }
  if (used > 0) yield chunk.subarray(0, used);
  return { savedPoints };
}

/** What is to be written next, one after the other: `sources[i]` from `starts[i]` to `ends[i]`. */
class Text {
  readonly sources: Buffer[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  count = 0;

  add(source: Buffer, start: number, end: number): void {
    this.sources[this.count] = source;
    this.starts[this.count] = start;
    this.ends[this.count] = end;
    this.count += 1;
  }

  /** Without the last byte of what was added last. */
  shorten(): void {
    const last = this.count - 1;
    this.ends[last] = (this.ends[last] ?? 0) - 1;
  }
}

/** A series, behind its `"metric":`. */
function addSeries(text: Text, members: readonly SeriesCursor[]): void {
  const [first] = members;
  if (first === undefined) return;
  text.add(first.piece.bytes, first.labelsStart, first.labelsEnd);
  let list: Buffer | null = null;
  for (const { piece, floats: run } of members) {
    if (run.from === run.to) continue;
    if (list === null) text.add(floats, 0, floats.length);
    list = floats;
    text.add(piece.bytes, run.start, run.end);
  }
  if (list !== null) endList(text);
  list = null;
  for (const { piece, histograms: run } of members) {
    if (run.from === run.to) continue;
    if (list === null) text.add(histograms, 0, histograms.length);
    list = histograms;
    text.add(piece.bytes, run.start, run.end);
  }
  if (list !== null) endList(text);
  text.add(endOfSeries, 0, endOfSeries.length);
}

/** The last sample has a comma behind it. */
function endList(text: Text): void {
  text.shorten();
  text.add(endOfList, 0, endOfList.length);
}

/** Bytes that the answer has at most; the labels of a series are counted in each part. Infinite where it would be work to know. */
function mostLength(parts: readonly Part[]): number {
  const rows = parts.reduce((sum, { piece }) => sum + piece.series.length / ROW, 0);
  if (rows > mostReckoned) return Number.POSITIVE_INFINITY;
  let length = 0;
  for (const part of parts) {
    const { opening, closing } = part.piece.envelope;
    length += opening.length + closing.length;
    const cursor = new SeriesCursor(part, 0);
    for (cursor.settle(); !cursor.isOver; cursor.leave(), cursor.settle()) {
      const { floats: run, histograms: other } = cursor;
      length += around + cursor.labelsEnd - cursor.labelsStart + run.end - run.start + other.end - other.start;
    }
  }
  return length;
}
