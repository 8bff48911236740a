import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { arbitraryMatrix, arbitraryStyle, pieceOf as scannedPieceOf } from './arbitrary-matrix.ts';
import { decodePieces, encodedLength, encodePieces } from './codec.ts';
import { Column, type Envelope, type Piece, ROW } from './piece.ts';
import { cutPiece } from './slice.ts';

const secret = Buffer.alloc(32, 1);
const key = 'policy /api/v1/query_range 15000 0 sum(up)';
/** Of the parts of a value that come first: see codec.ts. */
const TAG = 32;
const HEAD = TAG + 4 * 8;
const PIECE_HEAD = 9 * 8;

/** The samples of one series: for each point of the piece a text, or none; of floats and of histograms. */
type Samples = readonly (string | null)[];
interface Series {
  readonly labels: string;
  readonly floats: Samples;
  readonly histograms: Samples;
}

/** A piece by the rules of piece.ts, written down as plainly as can be. */
function pieceOf(first: number, points: number, list: readonly Series[], fetchedAt = 1_700_000_000_000): Piece {
  const series: number[] = [];
  const index: number[] = [];
  let text = '';
  const add = (part: string) => {
    text += part;
    return Buffer.byteLength(text);
  };
  for (const { labels, floats, histograms } of list) {
    const row = new Array<number>(ROW).fill(0);
    row[Column.LABELS_START] = Buffer.byteLength(text);
    row[Column.LABELS_END] = add(labels);
    for (const [column, samples] of [
      [Column.FLOAT_FIRST, floats],
      [Column.HISTOGRAM_FIRST, histograms],
    ] as const) {
      const from = samples.findIndex((sample) => sample !== null);
      if (from === -1) continue;
      const covered = samples.slice(from, samples.findLastIndex((sample) => sample !== null) + 1);
      row.splice(column, 3, from, covered.length, index.length);
      index.push(Buffer.byteLength(text));
      for (const sample of covered) index.push(add(sample ?? ''));
    }
    series.push(...row);
  }
  return {
    first,
    last: first + points - 1,
    fetchedAt,
    envelope: {
      opening: Buffer.from('{"status":"success","data":{"resultType":"matrix","result":['),
      closing: Buffer.from(']}}'),
      contentType: 'application/json; charset=utf-8',
    },
    bytes: Buffer.from(text),
    series: Uint32Array.from(series),
    index: Uint32Array.from(index),
  };
}

const arbitraryPiece = fc.integer({ min: 1, max: 12 }).chain((points) => {
  const samples = fc.array(fc.option(fc.string({ unit: 'grapheme' })), { minLength: points, maxLength: points });
  const series = fc.record({ labels: fc.string({ unit: 'grapheme' }), floats: samples, histograms: samples });
  return fc.record({ points: fc.constant(points), list: fc.array(series, { maxLength: 5 }), fetchedAt: fc.maxSafeNat() });
});

/** Pieces in rising order, with or without space between them. */
const arbitraryPieces = fc
  .tuple(fc.integer(), fc.array(fc.tuple(fc.nat({ max: 100 }), arbitraryPiece), { maxLength: 4 }))
  .map(([start, list]) => {
    let next = start;
    return list.map(([space, { points, list, fetchedAt }]) => {
      const piece = pieceOf(next + space, points, list, fetchedAt);
      next = piece.last + 1;
      return piece;
    });
  });

const sample = [
  pieceOf(100, 3, [
    { labels: '{"__name__":"up"}', floats: ['[100,"1"],', null, '[102,"1"],'], histograms: [null, '[101,{}],', null] },
    { labels: '{"__name__":"up","job":"ä"}', floats: [null, null, null], histograms: ['[100,{}],', null, null] },
  ]),
  pieceOf(103, 2, [{ labels: '{}', floats: ['[103,"NaN"],', '[104,"+Inf"],'], histograms: [null, null] }]),
  pieceOf(2 ** 40, 1_000_000, []),
];

const one = sample.slice(0, 1);
const none: Envelope = { opening: Buffer.of(), closing: Buffer.of(), contentType: '' };
const value = await encodePieces(key, one, secret);

/** As one who has the secret would make it. */
function signed(value: Buffer, change: (value: Buffer) => void): Buffer {
  const changed = Buffer.from(value);
  change(changed);
  createHmac('sha256', secret).update(changed.subarray(TAG)).digest().copy(changed);
  return changed;
}

describe('a value', () => {
  it('gives back the pieces that it was made of, and has the length that was foretold', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryPieces, fc.string({ unit: 'binary' }), async (pieces, key) => {
        const value = await encodePieces(key, pieces, secret);
        expect(value.length).toBe(encodedLength(key, pieces));
        expect(await decodePieces(key, value, secret)).toEqual(pieces);
      }),
    );
  });

  it('gives back what the scanner made of an answer, and what became of that', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryMatrix, arbitraryStyle, fc.nat(), async (matrix, style, n) => {
        const { first, last } = matrix.span;
        const middle = first + (n % (last - first + 1));
        const whole = scannedPieceOf(matrix, style);
        const start = cutPiece(whole, { first, last: middle });
        const pieces = middle === last ? [start] : [start, cutPiece(whole, { first: middle + 1, last })];
        for (const list of [[whole], pieces]) {
          expect(await decodePieces(key, await encodePieces(key, list, secret), secret)).toEqual(list);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('may lie anywhere in memory, and its pieces have memory of their own, no more than they need', async () => {
    const value = await encodePieces(key, sample, secret);
    for (const offset of [0, 1, 2, 3, 5]) {
      const moved = Buffer.alloc(value.length + offset)
        .fill(value, offset)
        .subarray(offset);
      const pieces = await decodePieces(key, moved, secret);
      moved.fill(0);
      expect(pieces).toEqual(sample);
      for (const { bytes, series, index, envelope } of pieces ?? []) {
        const parts = [bytes, series, index, envelope.opening, envelope.closing];
        const needed = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
        const blocks = Array.from(new Set(parts.map(({ buffer }) => buffer)));
        expect(blocks.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBe(needed);
        expect(blocks).not.toContain(moved.buffer);
      }
    }
  });

  it('lets others have their turn while it is made and read, however large it is', async () => {
    const large = [{ ...pieceOf(0, 1, []), bytes: Buffer.alloc(4 * 1024 * 1024) }];
    let turns = 0;
    let next = setImmediate(function count() {
      turns++;
      next = setImmediate(count);
    });
    const value = await encodePieces(key, large, secret);
    const whileMade = turns;
    expect(await decodePieces(key, value, secret)).not.toBeNull();
    clearImmediate(next);
    // Copied and hashed half a mebibyte at a time.
    expect(whileMade).toBeGreaterThanOrEqual(14);
    expect(turns - whileMade).toBeGreaterThanOrEqual(14);
  });

  it('is nothing for another key, not even for one that is the same in UTF-8', async () => {
    const value = await encodePieces(`${key}\ud800`, sample, secret);
    expect(await decodePieces(`${key}\ud800`, value, secret)).toEqual(sample);
    expect(await decodePieces(`${key}\ud801`, value, secret)).toBeNull();
    expect(await decodePieces(key, value, secret)).toBeNull();
  });

  it('is nothing to who has another secret', async () => {
    expect(await decodePieces(key, await encodePieces(key, sample, Buffer.alloc(32, 2)), secret)).toBeNull();
  });

  it('is nothing when cut short anywhere, or longer', async () => {
    const value = await encodePieces(key, sample, secret);
    for (let length = 0; length < value.length; length++) {
      expect(await decodePieces(key, value.subarray(0, length), secret)).toBeNull();
    }
    expect(await decodePieces(key, Buffer.concat([value, Buffer.alloc(1)]), secret)).toBeNull();
  });

  it('is nothing when any bit of it is changed', async () => {
    const value = await encodePieces(key, sample, secret);
    for (let bit = 0; bit < value.length * 8; bit++) {
      const mask = 1 << (bit & 7);
      value[bit >> 3] = (value[bit >> 3] ?? 0) ^ mask;
      expect(await decodePieces(key, value, secret)).toBeNull();
      value[bit >> 3] = (value[bit >> 3] ?? 0) ^ mask;
    }
    expect(await decodePieces(key, value, secret)).toEqual(sample);
  }, 120_000);

  it('is nothing when it is anything else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 1_000 }), async (bytes) => {
        expect(await decodePieces(key, Buffer.from(bytes), secret)).toBeNull();
      }),
    );
  });
});

describe('a value that one with the secret made with intent', () => {
  const numberAt = (at: number, number: number) => signed(value, (changed) => writeNative(changed, at, [number]));
  const { opening, closing, contentType } = one[0]?.envelope ?? none;
  const rows = HEAD + PIECE_HEAD + 2 * key.length + opening.length + closing.length + contentType.length;
  const index = rows + 4 * 2 * ROW;
  const wordAt = (at: number, word: number) =>
    signed(value, (changed) => Buffer.from(Uint32Array.of(word).buffer).copy(changed, at));

  it('is read when it keeps to the rules', async () => {
    const untouched = signed(value, () => {});
    expect(await decodePieces(key, untouched, secret)).toEqual(one);
    // Where these tests change something is what they think.
    expect((await decodePieces(key, numberAt(HEAD + 2 * 8, 7), secret))?.[0]?.fetchedAt).toBe(7);
    expect((await decodePieces(key, wordAt(rows, 1), secret))?.[0]?.series[0]).toBe(1);
    expect((await decodePieces(key, wordAt(index + 4, 18), secret))?.[0]?.index[1]).toBe(18);
  });

  const odd = [Number.NaN, Number.POSITIVE_INFINITY, -1, 0.5, 1e300, 2 ** 53, 2 ** 45, 2 ** 32, 1e9];
  const numbers = ['its form', 'its length', 'the length of its key', 'its pieces'];
  it.each(numbers.flatMap((name, at) => odd.map((number) => ({ name, number, at: TAG + 8 * at }))))(
    'is nothing with $number for $name',
    async ({ at, number }) => {
      expect(await decodePieces(key, numberAt(at, number), secret)).toBeNull();
    },
  );

  const lengths = ['rows', 'index', 'opening', 'closing', 'content type', 'bytes'];
  it.each(lengths.flatMap((name, at) => [...odd, 0].map((number) => ({ name, number, at: HEAD + 8 * (3 + at) }))))(
    'is nothing with the length $number for its $name',
    async ({ at, number }) => {
      expect(await decodePieces(key, numberAt(at, number), secret)).toBeNull();
    },
  );

  it.each([
    ['its first point', 0, [Number.NaN, 99.5, 103, 2 ** 53, Number.NEGATIVE_INFINITY]],
    ['its last point', 1, [Number.NaN, 100.5, 99, 2 ** 53, Number.POSITIVE_INFINITY, 101]],
    ['its time', 2, [Number.NaN, -1, 0.5, 2 ** 53]],
  ])('is nothing with wrong numbers for %s', async (_, at, wrong) => {
    for (const number of wrong) expect(await decodePieces(key, numberAt(HEAD + 8 * at, number), secret)).toBeNull();
  });

  it.each([
    ['the labels start behind their end', Column.LABELS_START, 18],
    ['the labels end behind the bytes', Column.LABELS_END, 1_000],
    ['the labels have bytes of other series, so that all are more than there are', Column.LABELS_END, 40],
    ['the floats start too late for the piece', Column.FLOAT_FIRST, 1],
    ['there are more floats than points', Column.FLOAT_COUNT, 4],
    ['the floats start behind the index', Column.FLOAT_INDEX, 1_000],
    ['the floats end behind the index', Column.FLOAT_INDEX, 6],
    ['there are ever so many floats', Column.FLOAT_COUNT, 2 ** 32 - 1],
    ['the histograms start too late for the piece', Column.HISTOGRAM_FIRST, 3],
    ['there are ever so many histograms', Column.HISTOGRAM_COUNT, 2 ** 32 - 1],
    ['the histograms end behind the index', Column.HISTOGRAM_INDEX, 7],
  ])('is nothing when %s', async (_, column, word) => {
    expect(await decodePieces(key, wordAt(rows + 4 * column, word), secret)).toBeNull();
  });

  it('is nothing when labels or samples without a byte lie behind the bytes', async () => {
    const both = (at: number) => signed(value, (changed) => Buffer.from(Uint32Array.of(1_000, 1_000).buffer).copy(changed, at));
    expect(await decodePieces(key, both(rows), secret)).toBeNull();
    expect(await decodePieces(key, both(index + 4 * 4), secret)).toBeNull();
  });

  it('is nothing when its rows are not whole', async () => {
    const empty = pieceOf(0, 1, [{ labels: '', floats: [], histograms: [] }]);
    const cut = { ...empty, series: empty.series.slice(1) };
    expect(await decodePieces(key, await encodePieces(key, [empty], secret), secret)).toEqual([empty]);
    expect(await decodePieces(key, await encodePieces(key, [cut], secret), secret)).toBeNull();
  });

  it.each([
    ['falls', 1, 1],
    ['falls at its end', 3, 20],
    ['leads behind the bytes', 3, 1_000],
  ])('is nothing when the index %s', async (_, entry, word) => {
    expect(await decodePieces(key, wordAt(index + 4 * entry, word), secret)).toBeNull();
  });

  it('is nothing when its content type would break a header', async () => {
    for (const contentType of ['a\r\nb', 'a\nb', 'a\0b', '\x7f']) {
      const pieces = one.map((piece) => ({ ...piece, envelope: { ...piece.envelope, contentType } }));
      expect(await decodePieces(key, await encodePieces(key, pieces, secret), secret)).toBeNull();
    }
  });

  it('is nothing when its pieces overlap or are out of order', async () => {
    const [a, b, c] = [pieceOf(0, 5, []), pieceOf(4, 5, []), pieceOf(5, 5, [])];
    expect(await decodePieces(key, await encodePieces(key, [a, c], secret), secret)).toEqual([a, c]);
    expect(await decodePieces(key, await encodePieces(key, [a, b], secret), secret)).toBeNull();
    expect(await decodePieces(key, await encodePieces(key, [c, a], secret), secret)).toBeNull();
    expect(await decodePieces(key, await encodePieces(key, [a, a], secret), secret)).toBeNull();
  });

  it('is nothing when it has thousands of pieces with nothing in them', async () => {
    const pieces = (count: number) => Array.from({ length: count }, (_, i) => pieceOf(i, 1, []));
    expect(await decodePieces(key, await encodePieces(key, pieces(1_000), secret), secret)).toHaveLength(1_000);
    expect(await decodePieces(key, await encodePieces(key, pieces(1_001), secret), secret)).toBeNull();
  });

  it.each([
    ['samples', (points: number) => Array.from({ length: points }, () => '[1,"1"],')],
    ['points without a sample', (points: number) => ['[1,"1"],', ...Array.from({ length: points - 2 }, () => null), '[1,"1"],']],
  ])('is nothing when many series share the same %s', async (_, floats) => {
    const piece = pieceOf(0, 100, [{ labels: '', floats: floats(100), histograms: [] }]);
    const rows = (count: number) => Uint32Array.from(Array.from({ length: count }).flatMap(() => Array.from(piece.series)));
    // The samples themselves are shared or not: a row without its first and last sample has none at all.
    const inner = rows(200).map((word, i) => [word, word, 1, 98, 1, word, word, word][i % ROW] ?? 0);
    for (const [series, good] of [
      [rows(1), true],
      [inner.slice(0, ROW), true],
      [rows(200), false],
      [inner, false],
    ] as const) {
      const made = await encodePieces(key, [{ ...piece, series }], secret);
      expect((await decodePieces(key, made, secret)) !== null).toBe(good);
    }
  });

  it('whatever is changed, is nothing or keeps to the rules', async () => {
    const value = await encodePieces(key, sample, secret);
    const word = fc.oneof(fc.nat(200), fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1), fc.nat(2 ** 32 - 1));
    const change = fc.oneof(
      fc.tuple(fc.nat((value.length - TAG) / 4 - 1), word).map(([at, word]) => (changed: Buffer) => {
        changed.writeUInt32LE(word, TAG + 4 * at);
      }),
      fc
        .tuple(fc.nat((value.length - TAG) / 8 - 1), fc.oneof(fc.nat(200), fc.double()))
        .map(([at, number]) => (changed: Buffer) => {
          writeNative(changed, TAG + 8 * at, [number]);
        }),
    );
    let read = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const made = signed(value, (changed) => {
          for (const change of changes) change(changed);
        });
        const pieces = await decodePieces(key, made, secret);
        for (const piece of pieces ?? []) expectRules(piece);
        if (pieces !== null) read++;
      }),
      { numRuns: 2_000 },
    );
    expect(read).toBeGreaterThan(0);
  });
});

/** Every sample of every point can be cut out of the bytes, and all of them are no more than there are. */
function expectRules({ first, last, series, index, bytes }: Piece): void {
  expect(last).toBeGreaterThanOrEqual(first);
  let used = 0;
  for (let row = 0; row < series.length; row += ROW) {
    const cell = (column: number) => series[row + column] ?? Number.NaN;
    const cut = (start: number, end: number) => {
      if (!(start >= 0 && start <= end && end <= bytes.length)) throw new Error(`cannot cut ${start} to ${end}`);
      used += end - start;
    };
    cut(cell(Column.LABELS_START), cell(Column.LABELS_END));
    for (const column of [Column.FLOAT_FIRST, Column.HISTOGRAM_FIRST]) {
      for (let i = 0; i < cell(column + 1); i++) {
        if (first + cell(column) + i > last) throw new Error('a sample behind the last point');
        cut(index[cell(column + 2) + i] ?? Number.NaN, index[cell(column + 2) + i + 1] ?? Number.NaN);
      }
    }
  }
  expect(used).toBeLessThanOrEqual(bytes.length);
}

function writeNative(value: Buffer, at: number, numbers: number[]): void {
  Buffer.from(Float64Array.from(numbers).buffer).copy(value, at);
}
