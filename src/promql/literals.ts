import { PromqlError } from './error.ts';

/** Go: the largest int64, and what a `time.Duration` holds, in milliseconds. */
const maxInt64 = 2n ** 63n - 1n;
const maxDurationMs = Number(maxInt64 / 1_000_000n);

const durationPattern = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$/;
const unitMs = [31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1_000, 1];

/**
 * The value of a number or duration token without sign, and whether it is a duration (then in seconds). null where Go
 * refuses it: too large, or not a number at all. As Prometheus reads it: `strconv.ParseInt(s, 0, 64)`, so `010` is 8, else
 * `strconv.ParseFloat`, so `08` is 8 too; durations as `model.ParseDuration`.
 */
export function parseNumber(token: string): { value: number; duration: boolean } | null {
  const lower = token.toLowerCase();
  if (lower === 'inf') return { value: Number.POSITIVE_INFINITY, duration: false };
  if (lower === 'nan') return { value: Number.NaN, duration: false };
  const parts = /[a-z]$/.test(token) && !lower.startsWith('0x') ? durationPattern.exec(token) : null;
  if (parts !== null) {
    const ms = unitMs.reduce((sum, unit, index) => sum + Number(parts[index + 1] ?? 0) * unit, 0);
    return ms <= maxDurationMs ? { value: ms / 1000, duration: true } : null;
  }
  const digits = lower.replaceAll('_', '');
  if (digits.startsWith('0x')) return wholeNumber(digits);
  const octal = /^0[0-7]+$/.test(digits) ? wholeNumber(`0o${digits.slice(1)}`) : null;
  if (octal !== null) return octal;
  const value = Number(digits);
  return Number.isFinite(value) ? { value, duration: false } : null;
}

function wholeNumber(digits: string): { value: number; duration: boolean } | null {
  const whole = BigInt(digits);
  return whole <= maxInt64 ? { value: Number(whole), duration: false } : null;
}

/** Seconds as the whole milliseconds that the engine works with; null where Go's `time.Duration` overflows. */
export function secondsToMs(seconds: number): number | null {
  if (!(Math.abs(seconds) * 1000 <= maxDurationMs)) return null;
  // Go rounds to nanoseconds first, then cuts to milliseconds. Adding 0 turns -0 into 0.
  return Math.sign(seconds) * Math.trunc(Math.round(Math.abs(seconds) * 1e9) / 1e6) + 0;
}

/** The time of an `@` modifier in milliseconds; null where it does not fit into Go's int64. */
export function timestampMs(seconds: number): number | null {
  const ms = Math.sign(seconds) * Math.round(Math.abs(seconds) * 1000) + 0;
  return Math.abs(ms) < 2 ** 63 ? ms : null;
}

const simpleEscapes: Record<string, number> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92, "'": 39, '"': 34 };
const hexLengths: Record<string, number> = { x: 2, u: 4, U: 8 };
const utf8 = new TextEncoder();

/**
 * The value of the string literal at `from` in `text`, quotes included up to `to`. Escapes are Go's; a bad one is a
 * PromqlError at its backslash. Source: Prometheus' `lexEscape` and `strutil.Unquote`.
 */
export function decodeString(text: string, from: number, to: number): string {
  const quote = text[from];
  const body = text.slice(from + 1, to - 1);
  if (quote === '`' || !body.includes('\\')) return body;
  const bytes: number[] = [];
  let at = from + 1;
  while (at < to - 1) {
    const slash = text.indexOf('\\', at);
    const end = slash === -1 || slash >= to - 1 ? to - 1 : slash;
    for (const byte of utf8.encode(text.slice(at, end))) bytes.push(byte);
    at = end === to - 1 ? end : decodeEscape(text, end, quote ?? '', bytes);
  }
  return fromUtf8(Uint8Array.from(bytes));
}

/** Appends what the escape at `slash` stands for and returns where it ends. */
function decodeEscape(text: string, slash: number, quote: string, bytes: number[]): number {
  const letter = text[slash + 1] ?? '';
  const simple = simpleEscapes[letter];
  if (simple !== undefined && (!/['"]/.test(letter) || letter === quote)) {
    bytes.push(simple);
    return slash + 2;
  }
  const octal = /^[0-7]$/.test(letter);
  const length = octal ? 3 : hexLengths[letter];
  const start = octal ? slash + 1 : slash + 2;
  if (length === undefined) throw new PromqlError(`unknown escape sequence "\\${letter}"`, text, slash, { found: letter });
  const digits = text.slice(start, start + length);
  if (digits.length < length || !(octal ? /^[0-7]+$/ : /^[0-9a-fA-F]+$/).test(digits)) {
    throw new PromqlError(`illegal character in escape sequence "\\${letter}"`, text, slash);
  }
  const code = Number.parseInt(digits, octal ? 8 : 16);
  if (octal || letter === 'x') {
    if (code > 255) throw new PromqlError('escape sequence is an invalid Unicode code point', text, slash);
    bytes.push(code);
  } else {
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
      throw new PromqlError('escape sequence is an invalid Unicode code point', text, slash);
    }
    for (const byte of utf8.encode(String.fromCodePoint(code))) bytes.push(byte);
  }
  return start + length;
}

/** UTF-8 to text; bytes that are not UTF-8 become lone surrogates (see ast.ts), so that nothing is lost. */
function fromUtf8(bytes: Uint8Array): string {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const parts: string[] = [];
  let from = 0;
  while (from < bytes.length) {
    let to = from + 1;
    const lead = bytes[from] ?? 0;
    if (lead < 0x80) {
      while (to < bytes.length && (bytes[to] ?? 0x80) < 0x80) to++;
    } else {
      to = from + (lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2);
    }
    try {
      parts.push(strict.decode(bytes.subarray(from, to)));
      from = to;
    } catch {
      parts.push(String.fromCharCode(0xdc00 + lead));
      from += 1;
    }
  }
  return parts.join('');
}
