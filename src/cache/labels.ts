/**
 * The labels of a series, as the server printed them: `{"__name__":"up","job":"shop"}`. Their order is the order of series in
 * an answer: label by label, the name first, then the value, as decoded UTF-8 byte by byte, and the set that ends first is the
 * smaller one. Source: `labels.Compare` in Prometheus' `model/labels`. VictoriaMetrics' order of names within a metric is the
 * same.
 */
import { isHigh, simpleEscape, skipString, unitAt, wideLength } from './json-text.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const CLOSE = 0x7d;

const metricName = Buffer.from('"__name__"');

/**
 * Negative, 0 or positive, as the labels at `a[aStart, aEnd)` come before those of `b`, are the same, or come after. Both must
 * have passed `areLabels`.
 */
export function compareLabels(a: Buffer, aStart: number, aEnd: number, b: Buffer, bStart: number, bEnd: number): number {
  const shared = Math.min(aEnd - aStart, bEnd - bStart);
  let i = 0;
  while (i < shared && a[aStart + i] === b[bStart + i]) i += 1;
  // No set is the beginning of another.
  if (i === shared) return 0;
  const left = a[aStart + i] ?? 0;
  const right = b[bStart + i] ?? 0;
  if (!isTold(left, right) || inEscape(a, aStart, aStart + i)) return compareDecoded(a, aStart, aEnd, b, bStart, bEnd);
  if (left === QUOTE) return -1;
  return right === QUOTE ? 1 : left - right;
}

/**
 * Whether the bytes in which two sets first differ are characters, or the end, of one name or value. Else they may be: brackets
 * and commas outside of strings.
 */
function isTold(left: number, right: number): boolean {
  return left !== COMMA && right !== COMMA && left !== CLOSE && right !== CLOSE && left !== BACKSLASH && right !== BACKSLASH;
}

/** Whether a backslash so shortly before may make the byte part of an escape. */
function inEscape(bytes: Buffer, start: number, at: number): boolean {
  for (let i = Math.max(start, at - 5); i < at; i++) if (bytes[i] === BACKSLASH) return true;
  return false;
}

/** The same order, character by character. In UTF-8 the order of bytes is the order of characters. */
function compareDecoded(a: Buffer, aStart: number, aEnd: number, b: Buffer, bStart: number, bEnd: number): number {
  const left: Cursor = { bytes: a, at: aStart + 1 };
  const right: Cursor = { bytes: b, at: bStart + 1 };
  for (;;) {
    // Behind the closing bracket, or at that of the empty set.
    const leftOver = left.at >= aEnd - 1;
    const rightOver = right.at >= bEnd - 1;
    if (leftOver || rightOver) return Number(rightOver) - Number(leftOver);
    const order = compareStrings(left, right) || compareStrings(left, right);
    if (order !== 0) return order;
  }
}

interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

/** Compares two strings; where they are the same, both cursors are then behind the colon, comma or bracket that follows. */
function compareStrings(left: Cursor, right: Cursor): number {
  left.at += 1;
  right.at += 1;
  for (;;) {
    const x = nextCharacter(left);
    const y = nextCharacter(right);
    if (x !== y) return x - y;
    if (x < 0) break;
  }
  left.at += 1;
  right.at += 1;
  return 0;
}

/** The character at the cursor, which goes on behind it; -1 for the quote that ends the string (or where nothing is left). */
function nextCharacter(cursor: Cursor): number {
  const { bytes, at } = cursor;
  const byte = bytes[at] ?? QUOTE;
  if (byte === BACKSLASH) return nextEscaped(cursor);
  const length = wideLength(byte);
  cursor.at = at + Math.max(1, length);
  if (length === 0) return byte === QUOTE ? -1 : byte;
  let character = byte & (0x7f >> length);
  for (let i = at + 1; i < at + length; i++) character = (character << 6) | ((bytes[i] ?? 0) & 0x3f);
  return character;
}

function nextEscaped(cursor: Cursor): number {
  const { bytes, at } = cursor;
  const unit = unitAt(bytes, at);
  if (unit < 0) {
    cursor.at = at + 2;
    return simpleEscape(bytes[at + 1] ?? 0);
  }
  const pair = isHigh(unit);
  cursor.at = at + (pair ? 12 : 6);
  return pair ? 0x10000 + ((unit & 0x3ff) << 10) + (unitAt(bytes, at + 6) & 0x3ff) : unit;
}

/**
 * Whether `bytes[start, end)` is an object of texts, in strict JSON without white space, its names in their order and each
 * once. VictoriaMetrics puts `__name__` first, also before capital letters.
 */
export function areLabels(bytes: Buffer, start: number, end: number): boolean {
  if (bytes[start] !== 0x7b) return false;
  const first = start + 1;
  if (end - start === 2) return bytes[first] === CLOSE;
  const nameFirst = isMetricName(bytes, first);
  let before = first;
  let at = first;
  for (;;) {
    const colon = skipString(bytes, at, end);
    if (colon < 0 || bytes[colon] !== 0x3a) return false;
    if (at !== first && !(nameFirst && before === first) && !ascend(bytes, before, at)) return false;
    if (at !== first && nameFirst && isMetricName(bytes, at)) return false;
    before = at;
    at = skipString(bytes, colon + 1, end);
    if (at < 0 || at >= end) return false;
    if (bytes[at] === CLOSE) return at + 1 === end;
    if (bytes[at] !== COMMA) return false;
    at += 1;
  }
}

function isMetricName(bytes: Buffer, at: number): boolean {
  for (let i = 0; i < metricName.length; i++) if (bytes[at + i] !== metricName[i]) return false;
  return true;
}

/** Whether the string at `first` comes before the one at `second`. */
function ascend(bytes: Buffer, first: number, second: number): boolean {
  let i = 1;
  while (bytes[first + i] === bytes[second + i] && bytes[first + i] !== QUOTE) i += 1;
  const left = bytes[first + i] ?? 0;
  const right = bytes[second + i] ?? 0;
  if (left === BACKSLASH || right === BACKSLASH || inEscape(bytes, first, first + i)) {
    return compareStrings({ bytes, at: first }, { bytes, at: second }) < 0;
  }
  return right !== QUOTE && (left === QUOTE || left < right);
}
