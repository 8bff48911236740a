/**
 * A range query's answer, as it streams by → a piece. Each byte is looked at once or twice and nothing is parsed into strings,
 * objects or doubles. What is not the plain answer of a Prometheus or a VictoriaMetrics, byte for byte in the form in which they
 * write it, is not understood and therefore not kept: the scanner gives up, and the answer goes to the client as it is.
 */

import { isObject } from '../upstream/json.ts';
import { copyBytes } from './copy-bytes.ts';
import { GrowingBytes, GrowingNumbers } from './growing.ts';
import { skipValue } from './json-text.ts';
import { areLabels, compareLabels } from './labels.ts';
import type { Grid, Piece, Span } from './piece.ts';
import { Column, ROW } from './piece.ts';
import { pieceMemory } from './piece-memory.ts';
import { BracketEnd } from './scan-bracket.ts';
import { enterSample, type Samples, scanFloats } from './scan-samples.ts';
import { Times } from './scan-times.ts';

export interface Scanner {
  /** Takes the next bytes. false: it gave up (something unknown, or over the limit); what follows may be spared. */
  push(chunk: Buffer): boolean;
  /** After the last byte: the piece with all points of `span`, or null where it gave up or the answer was not whole. */
  finish(fetchedAt: number): Piece | null;
}

/** `span`: the points that were asked for. `maxBytes`: most bytes that the piece may have. */
export function createScanner(grid: Grid, span: Span, contentType: string, maxBytes: number): Scanner {
  return new Scan(new Times(grid, span), span, contentType, Math.min(maxBytes, mostBytes));
}

/** Offsets in a piece have 32 bits; they stay below the sign. */
const mostBytes = 0x7fff_ffff;
/** Bytes of a chunk that are looked at in one go: so many stay in the processor's cache. */
const slice = 16 * 1024;
/** Nothing that VictoriaMetrics says of a question's costs has so many bytes. */
const mostStats = 4096;

const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const LINE_FEED = 0x0a;

const openings = [
  own('{"status":"success","data":{"resultType":"matrix","result":['),
  own('{"status":"success","isPartial":false,"data":{"resultType":"matrix","result":['),
] as const;
const closing = own(']}}');
const closingWithLineFeed = own(']}}\n');

/** What comes next: one of some texts, or something that a method reads. */
type Next = keyof typeof texts | 'labels' | 'floats' | 'histograms' | 'stats' | 'end' | 'nothing';

const behindResult = [
  [closing, 'end'],
  // What a question cost VictoriaMetrics (since 1.90). It is left out of the piece: of another answer it would not be true.
  [own(']},"stats":'), 'stats'],
] as const;
const floats = [own(',"values":['), 'floats'] as const;
const histograms = [own(',"histograms":['), 'histograms'] as const;
const endOfSeries = [own('}'), 'further series'] as const;

/** The texts that may be next, and what comes behind each. */
const texts = {
  opening: [
    [openings[0], 'first series'],
    [openings[1], 'first series'],
  ],
  'first series': [[own('{"metric":'), 'labels'], ...behindResult],
  'further series': [[own(',{"metric":'), 'labels'], ...behindResult],
  'first list': [floats, histograms],
  'behind floats': [endOfSeries, histograms],
  'behind histograms': [endOfSeries, floats],
  'behind both': [endOfSeries],
  'behind stats': [[own('}'), 'end']],
} as const;

class Scan implements Scanner {
  readonly #times: Times;
  readonly #span: Span;
  readonly #contentType: string;
  readonly #maxBytes: number;
  /** Entries that the index may have. */
  readonly #mostEntries: number;
  #gaveUp = false;
  #next: Next = 'opening';
  /** What was not taken yet, `[at, end)`, with a 0 behind it. */
  #window: Buffer = Buffer.allocUnsafe(0);
  #at = 0;
  #end = 0;
  readonly #bracket = new BracketEnd();
  #opening: Buffer = openings[0];
  #closing: Buffer = closing;
  /** Of the piece. */
  readonly #bytes = new GrowingBytes();
  readonly #series = new GrowingNumbers();
  readonly #index = new GrowingNumbers();
  /** Of the last series. */
  #labels: Buffer = Buffer.allocUnsafe(0);
  #labelsLength = 0;
  /** Of the list that is being read, and where its entries in the index begin. */
  readonly #samples: Samples = { first: -1, last: -1 };
  #listIndex = 0;

  constructor(times: Times, span: Span, contentType: string, maxBytes: number) {
    this.#times = times;
    this.#span = span;
    this.#contentType = contentType;
    this.#maxBytes = maxBytes;
    this.#mostEntries = Math.floor(maxBytes / 4);
  }

  push(chunk: Buffer): boolean {
    if (this.#gaveUp) return false;
    this.#bytes.expect(chunk.length);
    for (let at = 0; at < chunk.length && !this.#gaveUp; at += slice) {
      this.#load(chunk, at, Math.min(at + slice, chunk.length));
      while (this.#step());
    }
    if (!this.#gaveUp && this.#size() > this.#maxBytes) this.#giveUp();
    return !this.#gaveUp;
  }

  finish(fetchedAt: number): Piece | null {
    if (this.#gaveUp || (this.#next !== 'end' && this.#next !== 'nothing')) return null;
    const memory = pieceMemory(this.#series.length, this.#index.length, this.#bytes.length);
    memory.series.set(this.#series.values.subarray(0, this.#series.length));
    memory.index.set(this.#index.values.subarray(0, this.#index.length));
    this.#bytes.copyTo(memory.bytes);
    const envelope = { opening: this.#opening, closing: this.#closing, contentType: this.#contentType };
    return { first: this.#span.first, last: this.#span.last, fetchedAt, envelope, ...memory };
  }

  /** Bytes of the piece so far, and those that wait. */
  #size(): number {
    return this.#bytes.length + 4 * (this.#series.length + this.#index.length) + this.#end - this.#at;
  }

  #giveUp(): false {
    this.#gaveUp = true;
    this.#window = Buffer.allocUnsafe(0);
    this.#bytes.clear();
    this.#series.clear();
    this.#index.clear();
    return false;
  }

  /** Puts `chunk[start, end)` behind what waits. */
  #load(chunk: Buffer, start: number, end: number): void {
    const waiting = this.#end - this.#at;
    const length = waiting + end - start;
    if (length < this.#window.length) {
      if (this.#at > 0) this.#window.copyWithin(0, this.#at, this.#end);
    } else {
      // Twice as much where something long comes in small chunks, so that it is not copied again with each.
      const larger = Buffer.allocUnsafe(Math.max(length + 1, 2 * waiting));
      this.#window.copy(larger, 0, this.#at, this.#end);
      this.#window = larger;
    }
    chunk.copy(this.#window, waiting, start, end);
    this.#window[length] = 0;
    this.#at = 0;
    this.#end = length;
  }

  /** Takes what is next; false where it is not there yet, or the scanner gave up. */
  #step(): boolean {
    switch (this.#next) {
      case 'labels':
        return this.#takeLabels();
      case 'floats':
        return this.#takeFloats();
      case 'histograms':
        return this.#takeHistogram();
      case 'stats':
        return this.#takeStats();
      case 'end':
        return this.#takeEnd();
      case 'nothing':
        return this.#at < this.#end && this.#giveUp();
      default:
        return this.#takeText(texts[this.#next]);
    }
  }

  #takeText(choices: readonly (readonly [Buffer, Next])[]): boolean {
    const there = this.#end - this.#at;
    for (const [text, next] of choices) {
      const same = sameBytes(text, this.#window, this.#at, Math.min(there, text.length));
      if (!same) continue;
      // No choice is the beginning of another.
      if (there < text.length) return false;
      if (text === openings[1]) this.#opening = text;
      this.#at += text.length;
      this.#next = next;
      return true;
    }
    return this.#giveUp();
  }

  #takeLabels(): boolean {
    if (this.#at < this.#end && this.#window[this.#at] !== OPEN_OBJECT) return this.#giveUp();
    const behind = this.#bracket.find(this.#window, this.#at, this.#end);
    if (behind < 0) return false;
    if (!areLabels(this.#window, this.#at, behind) || !this.#followsLast(this.#at, behind)) return this.#giveUp();
    const row = this.#series.length;
    this.#series.reserve(ROW);
    this.#series.length += ROW;
    this.#series.values[row + Column.LABELS_START] = this.#bytes.length;
    this.#bytes.append(this.#window, this.#at, behind);
    this.#series.values[row + Column.LABELS_END] = this.#bytes.length;
    this.#at = behind;
    this.#beginList();
    this.#next = 'first list';
    return true;
  }

  /**
   * Whether the labels at `window[start, end)` come behind those of the series before. Pieces are merged by that order: where a
   * server has another one, or names a series twice, it would not come out right.
   */
  #followsLast(start: number, end: number): boolean {
    const isFirst = this.#labelsLength === 0;
    if (!isFirst && compareLabels(this.#labels, 0, this.#labelsLength, this.#window, start, end) >= 0) return false;
    this.#labelsLength = end - start;
    if (this.#labels.length < this.#labelsLength) this.#labels = Buffer.allocUnsafe(2 * this.#labelsLength);
    copyBytes(this.#window, start, end, this.#labels, 0);
    return true;
  }

  #beginList(): void {
    this.#samples.first = -1;
    this.#samples.last = -1;
    this.#listIndex = this.#index.length;
  }

  #takeFloats(): boolean {
    const at = this.#at;
    const offset = this.#bytes.length;
    const behind = scanFloats(this.#window, at, this.#end, offset, this.#times, this.#samples, this.#index, this.#mostEntries);
    if (behind < 0) return this.#giveUp();
    if (behind === at) return false;
    this.#bytes.append(this.#window, at, behind);
    this.#at = behind;
    return this.#window[behind - 1] === CLOSE_LIST && this.#endList(Column.FLOAT_FIRST);
  }

  #takeHistogram(): boolean {
    const at = this.#at;
    if (at < this.#end && this.#window[at] !== OPEN_LIST) return this.#giveUp();
    const behind = this.#bracket.find(this.#window, at, this.#end);
    if (behind < 0 || behind === this.#end) return false;
    const time = this.#times.skip(this.#window, at + 1);
    if (time < 0 || this.#window[time] !== COMMA || this.#window[time + 1] !== OPEN_OBJECT) return this.#giveUp();
    if (skipValue(this.#window, time + 1, behind) !== behind - 1 || this.#window[behind - 1] !== CLOSE_LIST)
      return this.#giveUp();
    const point = this.#times.point();
    if (!enterSample(this.#samples, point, this.#bytes.length, this.#index, this.#mostEntries)) return this.#giveUp();
    this.#bytes.append(this.#window, at, behind + 1);
    this.#at = behind + 1;
    if (this.#window[behind] === COMMA) return true;
    return this.#window[behind] === CLOSE_LIST ? this.#endList(Column.HISTOGRAM_FIRST) : this.#giveUp();
  }

  /** Behind a list: the last sample gets a comma where the list's bracket was, and the row knows of the list. */
  #endList(column: typeof Column.FLOAT_FIRST | typeof Column.HISTOGRAM_FIRST): true {
    this.#bytes.replaceLast(COMMA);
    this.#index.reserve(1);
    this.#index.values[this.#index.length] = this.#bytes.length;
    this.#index.length += 1;
    const row = this.#series.length - ROW;
    const { values } = this.#series;
    values[row + column] = this.#samples.first;
    values[row + column + 1] = this.#samples.last - this.#samples.first + 1;
    values[row + column + 2] = this.#listIndex;
    this.#beginList();
    const both = values[row + Column.FLOAT_COUNT] !== 0 && values[row + Column.HISTOGRAM_COUNT] !== 0;
    this.#next = both ? 'behind both' : column === Column.FLOAT_FIRST ? 'behind floats' : 'behind histograms';
    return true;
  }

  #takeStats(): boolean {
    const behind = this.#bracket.find(this.#window, this.#at, this.#end);
    if (behind < 0) return this.#end - this.#at > mostStats && this.#giveUp();
    if (!isFlat(this.#window.toString('utf8', this.#at, behind))) return this.#giveUp();
    this.#at = behind;
    this.#next = 'behind stats';
    return true;
  }

  #takeEnd(): boolean {
    if (this.#at === this.#end) return false;
    if (this.#window[this.#at] !== LINE_FEED) return this.#giveUp();
    this.#at += 1;
    this.#closing = closingWithLineFeed;
    this.#next = 'nothing';
    return true;
  }
}

function sameBytes(text: Buffer, bytes: Buffer, at: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}

/** Whether this is an object of texts and numbers. */
function isFlat(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) && Object.values(value).every((one) => typeof one === 'string' || typeof one === 'number');
  } catch {
    return false;
  }
}

/** In memory of its own: pieces share these texts and must not keep Node's pool alive. */
function own(text: string): Buffer {
  const buffer = Buffer.allocUnsafeSlow(text.length);
  buffer.write(text);
  return buffer;
}
