import fc from 'fast-check';
import { Column, type Grid, type Piece, ROW, type Span } from './piece.ts';
import { createScanner } from './scan.ts';

/**
 * For tests: answers as plain data, and what the cache's functions must come to, written down without regard to speed.
 * Points are those of the grid; a sample is the text of what stands behind its timestamp.
 */
export interface Matrix {
  readonly grid: Grid;
  readonly span: Span;
  readonly series: readonly MatrixSeries[];
}

export interface MatrixSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly values: ReadonlyMap<number, string>;
  readonly histograms: ReadonlyMap<number, string>;
}

/** How a server writes: what Go escapes (`<`), what must be escaped only, or everything that is not ASCII. */
export type Style = 'go' | 'plain' | 'ascii';

const names = ['__name__', 'a', 'aa', 'b', 'job', 'le', 'A', '_', 'ä', 'a"b', 'a\\', 'metric'];
const values = [
  '',
  'x',
  'x y',
  'x!',
  'x"',
  'x,',
  'x}',
  'x{',
  'x"}',
  '\\',
  '\\"',
  '\n',
  '<',
  '\u0001',
  'é',
  '😀',
  '\uffff',
  '\u{10ffff}',
];
const quotedNumbers = ['1', '0', '-0.5', '1e+06', 'NaN', '+Inf', '-Inf', '123456789.123', '5e-324'].map(
  (number) => `"${number}"`,
);
const histogramTexts = [
  '{}',
  '{"count":"1","sum":"-Inf"}',
  '{"count":"60","sum":"33","buckets":[[0,"-1","1","5"],[3,"1","1.189","7"]]}',
  '{"a":"]}[{\\"","b":[[],[[-1.5e+3]],{}]}',
];

const text = fc.oneof(fc.constantFrom(...values), fc.string({ unit: 'binary', maxLength: 4 }));
const labels = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...names), text), { maxLength: 4, selector: ([name]) => name })
  .map((pairs) => Object.fromEntries(pairs));

export const arbitraryStyle: fc.Arbitrary<Style> = fc.constantFrom('go', 'plain', 'ascii');

/** Labels of series: none twice, in order. */
export const arbitraryLabels = fc
  .uniqueArray(labels, { maxLength: 12, selector: (one) => JSON.stringify(pairsOf(one)) })
  .map((all) => all.sort(compareLikeGo));

type Density = 'none' | 'one' | 'some' | 'all';

const density: fc.Arbitrary<Density> = fc.constantFrom('none', 'one', 'some', 'all');
const column = fc.tuple(density, fc.nat());

/** Up to a dozen series, of up to 30 points each, some with gaps. */
export const arbitraryMatrix: fc.Arbitrary<Matrix> = fc
  .record({
    step: fc.constantFrom(1, 7, 100, 250, 1000, 15_000, 86_400_000),
    start: fc.oneof(fc.nat({ max: 5000 }), fc.integer({ min: 0, max: 4_000_000_000_000 })),
    points: fc.integer({ min: 1, max: 30 }),
    all: arbitraryLabels,
    columns: fc.array(fc.tuple(column, column), { minLength: 12, maxLength: 12 }),
  })
  .map(({ step, start, points, all, columns }) => {
    const first = Math.floor(start / step);
    const series = all.map((one, i): MatrixSeries => {
      const [[floats, seed], [other, otherSeed]] = columns[i] ?? [
        ['all', 0],
        ['none', 0],
      ];
      const values = samples(first, points, floats, seed, quotedNumbers);
      const histograms = samples(first, points, other, otherSeed, histogramTexts);
      for (const k of values.keys()) histograms.delete(k);
      if (values.size + histograms.size === 0) values.set(first, '"0"');
      return { labels: one, values, histograms };
    });
    return { grid: { step, phase: start % step }, span: { first, last: first + points - 1 }, series };
  });

function samples(first: number, points: number, dense: Density, seed: number, texts: readonly string[]): Map<number, string> {
  const all = new Map<number, string>();
  for (let at = 0; at < points; at++) {
    const random = Math.imul(seed + at, 0x9e3779b1) >>> 12;
    const there = { none: false, one: at === seed % points, some: random % 3 > 0, all: true }[dense];
    if (there) all.set(first + at, texts[random % texts.length] ?? '');
  }
  return all;
}

/** As `labels.Compare` in Prometheus' `model/labels` has it. */
export function compareLikeGo(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): number {
  const [left, right] = [pairsOf(a).flat(), pairsOf(b).flat()];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = compareBytes(left[i] ?? '', right[i] ?? '');
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function pairsOf(labels: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(labels).sort(([a], [b]) => compareBytes(a, b));
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** The answer to the points of `span`, as a server writes it. */
export function answerText({ grid, series, span: whole }: Matrix, style: Style, span: Span = whole): string {
  const list = series.flatMap(({ labels, values, histograms }) => {
    const columns = [
      ['values', values],
      ['histograms', histograms],
    ] as const;
    const lists = columns.map(([name, column]) => {
      const inSpan = [...column].filter(([k]) => k >= span.first && k <= span.last);
      const samples = inSpan.map(([k, value]) => `[${timeText(grid.phase + k * grid.step, style)},${value}]`);
      return samples.length === 0 ? '' : `,"${name}":[${samples.join(',')}]`;
    });
    return lists.join('') === '' ? [] : [`{"metric":${labelsText(labels, style)}${lists.join('')}}`];
  });
  return `{"status":"success","data":{"resultType":"matrix","result":[${list.join(',')}]}}`;
}

export function labelsText(labels: Readonly<Record<string, string>>, style: Style): string {
  const quote = (value: string): string => {
    const json = JSON.stringify(value);
    const escaped = (pattern: RegExp) =>
      json.replace(pattern, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
    return style === 'go' ? escaped(/[<>&\u2028\u2029]/g) : style === 'ascii' ? escaped(/[^\0-~]/g) : json;
  };
  return `{${pairsOf(labels)
    .map(([name, value]) => `${quote(name)}:${quote(value)}`)
    .join(',')}}`;
}

/** Prometheus writes three digits or none, VictoriaMetrics as few as will do. */
function timeText(time: number, style: Style): string {
  const seconds = Math.floor(time / 1000);
  const rest = time % 1000;
  if (rest === 0) return String(seconds);
  const digits = String(rest).padStart(3, '0');
  return `${seconds}.${style === 'plain' ? digits.replace(/0+$/, '') : digits}`;
}

/** Scans an answer, in chunks of `size` bytes; `null` where the scanner gives up. */
export function scanned(answer: string | Buffer, { grid, span }: Pick<Matrix, 'grid' | 'span'>, size = 1 << 16): Piece | null {
  const scanner = createScanner(grid, span, 'application/json', 1 << 24);
  const bytes = Buffer.from(answer);
  for (let at = 0; at < bytes.length; at += size) if (!scanner.push(bytes.subarray(at, at + size))) return null;
  return scanner.finish(1_700_000_000_000);
}

/** The same, where it must not give up. */
export function pieceOf(matrix: Matrix, style: Style, span: Span = matrix.span): Piece {
  const piece = scanned(answerText(matrix, style, span), { grid: matrix.grid, span });
  if (piece === null) throw new Error(`not understood: ${answerText(matrix, style, span)}`);
  return piece;
}

/** What a piece says, read from its arrays one by one: labels → `value` or `histogram` and the point → the sample's bytes. */
export function contents(piece: Piece): Record<string, Record<string, string>> {
  const all: Record<string, Record<string, string>> = {};
  for (let row = 0; row < piece.series.length; row += ROW) {
    const number = (at: number): number => piece.series[row + at] ?? Number.NaN;
    const samples: Record<string, string> = {};
    for (const [kind, column] of [
      ['value', Column.FLOAT_FIRST],
      ['histogram', Column.HISTOGRAM_FIRST],
    ] as const) {
      for (let i = 0; i < number(column + 1); i++) {
        const entry = number(column + 2) + i;
        const sample = piece.bytes.toString('utf8', piece.index[entry], piece.index[entry + 1]);
        if (sample !== '') samples[`${kind} ${piece.first + number(column) + i}`] = sample;
      }
    }
    all[piece.bytes.toString('utf8', number(Column.LABELS_START), number(Column.LABELS_END))] = samples;
  }
  return all;
}
