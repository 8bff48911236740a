/**
 * JSON in bytes, read without making anything of it. All functions answer with an offset, or with -1 for what is no strict
 * JSON in UTF-8 (RFC 8259), white space included: the servers write none. Text that Node or Go would have to repair, such as
 * half a surrogate pair, is refused.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Nesting beyond it is refused; a histogram has three levels. */
const maxDepth = 8;

/** The offset behind the string that begins (with its quote) at `at`; -1 where it is none, or ends beyond `end`. */
export function skipString(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end || bytes[at] !== QUOTE) return -1;
  let i = at + 1;
  while (i < end) {
    const byte = bytes[i] ?? 0;
    if (byte === QUOTE) return i + 1;
    if (byte >= 0x20 && byte < 0x80 && byte !== BACKSLASH) {
      i += 1;
      continue;
    }
    i = byte === BACKSLASH ? skipEscape(bytes, i, end) : skipWide(bytes, i, end);
    if (i < 0) return -1;
  }
  return -1;
}

/** The offset behind the value that begins at `at`, or -1. */
export function skipValue(bytes: Uint8Array, at: number, end: number, depth = 0): number {
  const first = at < end ? (bytes[at] ?? 0) : 0;
  if (first === QUOTE) return skipString(bytes, at, end);
  if (first === OPEN_LIST || first === OPEN_OBJECT) return depth === maxDepth ? -1 : skipMembers(bytes, at, end, depth);
  return skipNumber(bytes, at, end);
}

/** A list or an object. */
function skipMembers(bytes: Uint8Array, at: number, end: number, depth: number): number {
  const named = bytes[at] === OPEN_OBJECT;
  const close = named ? CLOSE_OBJECT : CLOSE_LIST;
  let i = at + 1;
  if (bytes[i] === close) return i < end ? i + 1 : -1;
  while (i < end) {
    if (named) {
      i = skipString(bytes, i, end);
      if (i < 0 || i >= end || bytes[i] !== COLON) return -1;
      i += 1;
    }
    i = skipValue(bytes, i, end, depth + 1);
    if (i < 0 || i >= end) return -1;
    if (bytes[i] === close) return i + 1;
    if (bytes[i] !== COMMA) return -1;
    i += 1;
  }
  return -1;
}

/** A number; the servers write no `true`, `false` or `null` where one of these functions looks. */
function skipNumber(bytes: Uint8Array, at: number, end: number): number {
  let i = bytes[at] === 0x2d ? at + 1 : at;
  const whole = i;
  i = skipDigits(bytes, i, end);
  if (i === whole || (i > whole + 1 && bytes[whole] === 0x30)) return -1;
  if (i < end && bytes[i] === 0x2e) {
    const fraction = i + 1;
    i = skipDigits(bytes, fraction, end);
    if (i === fraction) return -1;
  }
  if (i < end && ((bytes[i] ?? 0) | 0x20) === 0x65) {
    const signed = bytes[i + 1] === 0x2b || bytes[i + 1] === 0x2d;
    const exponent = i + (signed ? 2 : 1);
    i = skipDigits(bytes, exponent, end);
    if (i === exponent) return -1;
  }
  return i <= end ? i : -1;
}

function skipDigits(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && ((bytes[i] ?? 0) ^ 0x30) < 10) i += 1;
  return i;
}

/** `\n`, `\u003c`, or both halves of a pair, at `at`. */
function skipEscape(bytes: Uint8Array, at: number, end: number): number {
  if (at + 1 >= end) return -1;
  if (bytes[at + 1] !== 0x75) return simpleEscape(bytes[at + 1] ?? 0) < 0 ? -1 : at + 2;
  const unit = at + 6 <= end ? unitAt(bytes, at) : -1;
  if (unit < 0 || isLow(unit)) return -1;
  if (!isHigh(unit)) return at + 6;
  return at + 12 <= end && isLow(unitAt(bytes, at + 6)) ? at + 12 : -1;
}

/** A character of two to four bytes; source of the bounds: RFC 3629, section 4. */
function skipWide(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at] ?? 0;
  const length = wideLength(lead);
  if (length === 0 || at + length > end) return -1;
  for (let i = at + 1; i < at + length; i++) if (((bytes[i] ?? 0) & 0xc0) !== 0x80) return -1;
  const second = bytes[at + 1] ?? 0;
  if (lead === 0xe0 && second < 0xa0) return -1;
  if (lead === 0xed && second > 0x9f) return -1;
  if (lead === 0xf0 && second < 0x90) return -1;
  if (lead === 0xf4 && second > 0x8f) return -1;
  return at + length;
}

/** Bytes of the character that begins with this one, 0 where none of more than one byte does. */
export function wideLength(lead: number): number {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/** The character that a backslash and this one stand for; -1: none. `\u` is another matter. */
export function simpleEscape(letter: number): number {
  switch (letter) {
    case 0x22: // "
    case 0x2f: // /
    case 0x5c: // \
      return letter;
    case 0x62: // b
      return 0x08;
    case 0x66: // f
      return 0x0c;
    case 0x6e: // n
      return 0x0a;
    case 0x72: // r
      return 0x0d;
    case 0x74: // t
      return 0x09;
    default:
      return -1;
  }
}

/** The UTF-16 unit that `\uXXXX` at `at` stands for; -1 where there is no such escape. */
export function unitAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== BACKSLASH || bytes[at + 1] !== 0x75) return -1;
  let unit = 0;
  for (let i = at + 2; i < at + 6; i++) {
    const digit = hexDigit(bytes[i] ?? 0);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

function hexDigit(byte: number): number {
  if ((byte ^ 0x30) < 10) return byte ^ 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

export function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
