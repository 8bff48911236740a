/**
 * The pieces of one key as the bytes that processes share through Redis. Only who has the secret can make such a value, and
 * whatever comes out of one keeps to the rules of `Piece`: a store that others write to can withhold answers, never plant them.
 *
 * A tag of 32 bytes (HMAC-SHA-256 of all that follows); the numbers of `Head`, then those of `PieceHead` for each piece, each a
 * double; the key; and for each piece its opening, its closing, its content type, its rows, its index and its bytes. Numbers are
 * in the byte order of the machine: to one of another order the first of them is not `MAGIC`.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { Column, type Envelope, type Piece, ROW } from './piece.ts';
import { type PieceMemory, pieceMemory } from './piece-memory.ts';

const TAG = 32;
/** "prom" and the version of this form. */
const MAGIC = 0x70726f6d_01;
/** Far more than a key ever has. Without a bound, as many as fit with nothing in them would take a hundred times their length. */
const MOST_PIECES = 1_000;

/** Bytes that are copied or hashed before others get their turn: about a millisecond. */
const SLICE = 512 * 1024;

/** Where the numbers of a value stand. */
const Head = { MAGIC: 0, LENGTH: 1, KEY: 2, PIECES: 3, COUNT: 4 } as const;
/** The same for the numbers of a piece; lengths are bytes, `SERIES` and `INDEX` are counts of 32-bit numbers. */
const PieceHead = {
  FIRST: 0,
  LAST: 1,
  FETCHED_AT: 2,
  SERIES: 3,
  INDEX: 4,
  OPENING: 5,
  CLOSING: 6,
  TYPE: 7,
  BYTES: 8,
  COUNT: 9,
} as const;

/** Bytes that `encodePieces` would make. */
export function encodedLength(key: string, pieces: readonly Piece[]): number {
  let length = TAG + 8 * (Head.COUNT + PieceHead.COUNT * pieces.length) + keyBytes(key).length;
  for (const { series, index, envelope, bytes } of pieces) {
    length += 4 * (series.length + index.length) + envelope.opening.length + envelope.closing.length;
    length += envelope.contentType.length + bytes.length;
  }
  return length;
}

/** The value to store for `key`. The pieces are in rising order and do not overlap. */
export async function encodePieces(key: string, pieces: readonly Piece[], secret: Buffer): Promise<Buffer> {
  const value = Buffer.allocUnsafe(encodedLength(key, pieces));
  const keyPart = keyBytes(key);
  const numbers = [MAGIC, value.length, keyPart.length, pieces.length];
  const parts = [keyPart];
  for (const { first, last, fetchedAt, series, index, envelope, bytes } of pieces) {
    const type = Buffer.from(envelope.contentType, 'latin1');
    const { opening, closing } = envelope;
    numbers.push(first, last, fetchedAt, series.length, index.length, opening.length, closing.length, type.length, bytes.length);
    parts.push(opening, closing, type, bytesOf(series), bytesOf(index), bytes);
  }
  let at = TAG;
  for (const part of [bytesOf(Float64Array.from(numbers)), ...parts]) {
    await copy(part, value, at);
    at += part.length;
  }
  (await tagOf(value, secret)).copy(value);
  return value;
}

/**
 * What `encodePieces` was given; `null` where the value is not exactly one that it makes for this key with this secret. The
 * pieces share no memory with the value nor with each other.
 */
export async function decodePieces(key: string, value: Buffer, secret: Buffer): Promise<Piece[] | null> {
  const head = numbersAt(value, TAG, Head.COUNT);
  if (head?.[Head.MAGIC] !== MAGIC || head[Head.LENGTH] !== value.length) return null;
  if (!timingSafeEqual(value.subarray(0, TAG), await tagOf(value, secret))) return null;
  return readPieces(key, value, head);
}

/** How long the whole value is of which this is the beginning, as it says itself; `null`: it is none. */
export function statedLength(beginning: Buffer): number | null {
  const head = numbersAt(beginning, TAG, Head.COUNT);
  const length = head?.[Head.LENGTH];
  return head?.[Head.MAGIC] === MAGIC && isCount(length) ? length : null;
}

async function readPieces(key: string, value: Buffer, head: Float64Array): Promise<Piece[] | null> {
  const count = head[Head.PIECES] ?? 0;
  const numbers = numbersAt(value, TAG + 8 * Head.COUNT, count * PieceHead.COUNT);
  if (numbers === null || count > MOST_PIECES) return null;
  const reader = new PartReader(value, TAG + 8 * (Head.COUNT + numbers.length));
  const keyPart = await reader.bytes(head[Head.KEY]);
  if (!keyPart?.equals(keyBytes(key))) return null;
  const pieces: Piece[] = [];
  for (let at = 0; at < numbers.length; at += PieceHead.COUNT) {
    const piece = await readPiece(reader, numbers.subarray(at, at + PieceHead.COUNT));
    if (piece === null || piece.first <= (pieces.at(-1)?.last ?? Number.NEGATIVE_INFINITY)) return null;
    pieces.push(piece);
  }
  return reader.atEnd() ? pieces : null;
}

async function readPiece(reader: PartReader, numbers: Float64Array): Promise<Piece | null> {
  const [first = 0, last = 0, fetchedAt = 0] = numbers;
  if (![first, last, fetchedAt].every(Number.isSafeInteger) || first > last || fetchedAt < 0) return null;
  const opening = await reader.bytes(numbers[PieceHead.OPENING]);
  const closing = await reader.bytes(numbers[PieceHead.CLOSING]);
  const contentType = (await reader.bytes(numbers[PieceHead.TYPE]))?.toString('latin1');
  const memory = await reader.memory(numbers[PieceHead.SERIES], numbers[PieceHead.INDEX], numbers[PieceHead.BYTES]);
  if (!opening || !closing || contentType === undefined || !memory) return null;
  // It becomes a header's value.
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(contentType)) return null;
  const envelope: Envelope = { opening, closing, contentType };
  const piece: Piece = { first, last, fetchedAt, envelope, ...memory };
  return rowsFit(piece) ? piece : null;
}

/**
 * Whether all offsets lie where they may. The samples and labels of all rows together are no longer than the bytes, and their
 * points no more than the index has entries, so that no use of a row costs more than the value itself did.
 */
function rowsFit({ first, last, series, index, bytes }: Piece): boolean {
  if (series.length % ROW !== 0) return false;
  const points = last - first + 1;
  let spareBytes = bytes.length;
  let spareEntries = index.length;
  for (let row = 0; row < series.length; row += ROW) {
    const labelsStart = series[row + Column.LABELS_START] ?? 0;
    const labelsEnd = series[row + Column.LABELS_END] ?? 0;
    if (labelsStart > labelsEnd || labelsEnd > bytes.length) return false;
    spareBytes -= labelsEnd - labelsStart;
    for (const column of [Column.FLOAT_FIRST, Column.HISTOGRAM_FIRST]) {
      const count = series[row + column + 1] ?? 0;
      if (count === 0) continue;
      const entry = series[row + column + 2] ?? 0;
      spareEntries -= count;
      if ((series[row + column] ?? 0) + count > points || entry + count >= index.length || spareEntries < 0) return false;
      const start = index[entry] ?? 0;
      let end = start;
      for (let i = entry + 1; i <= entry + count; i++) {
        const next = index[i] ?? 0;
        if (next < end) return false;
        end = next;
      }
      if (end > bytes.length) return false;
      spareBytes -= end - start;
    }
  }
  return spareBytes >= 0;
}

/** Takes the parts of a value, one after the other, each into memory of its own. `null`: there is not that much. */
class PartReader {
  readonly #value: Buffer;
  #at: number;

  constructor(value: Buffer, at: number) {
    this.#value = value;
    this.#at = at;
  }

  async bytes(length: number | undefined): Promise<Buffer | null> {
    if (!isCount(length) || length > this.#value.length - this.#at) return null;
    // Not from the pool that small buffers share, which any one of them would keep.
    const part = Buffer.allocUnsafeSlow(length);
    await this.#take(part);
    return part;
  }

  async memory(series: number | undefined, index: number | undefined, bytes: number | undefined): Promise<PieceMemory | null> {
    if (!isCount(series) || !isCount(index) || !isCount(bytes)) return null;
    if (4 * (series + index) + bytes > this.#value.length - this.#at) return null;
    const memory = pieceMemory(series, index, bytes);
    for (const part of [bytesOf(memory.series), bytesOf(memory.index), memory.bytes]) await this.#take(part);
    return memory;
  }

  async #take(part: Buffer): Promise<void> {
    await copy(this.#value.subarray(this.#at, this.#at + part.length), part, 0);
    this.#at += part.length;
  }

  atEnd(): boolean {
    return this.#at === this.#value.length;
  }
}

function isCount(number: number | undefined): number is number {
  return number !== undefined && Number.isSafeInteger(number) && number >= 0;
}

/** `count` doubles, from anywhere in the value; `null`: there are not that many. */
function numbersAt(value: Buffer, at: number, count: number): Float64Array | null {
  if (!isCount(count) || 8 * count > value.length - at) return null;
  const numbers = new Float64Array(count);
  value.copy(bytesOf(numbers), 0, at);
  return numbers;
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array | Float64Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** In UTF-16, where two different strings are never the same bytes; in UTF-8 halves of surrogate pairs are. */
function keyBytes(key: string): Buffer {
  return Buffer.from(key, 'utf16le');
}

async function tagOf(value: Buffer, secret: Buffer): Promise<Buffer> {
  const hash = createHmac('sha256', secret);
  for (let at = TAG; at < value.length; at += SLICE) {
    if (at > TAG) await turn();
    hash.update(value.subarray(at, at + SLICE));
  }
  return hash.digest();
}

async function copy(part: Buffer, target: Buffer, targetAt: number): Promise<void> {
  for (let at = 0; at < part.length; at += SLICE) {
    if (at > 0) await turn();
    part.copy(target, targetAt + at, at, at + SLICE);
  }
}
