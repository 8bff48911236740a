import fc from 'fast-check';
import {
  type AggregateOp,
  type At,
  aggregateParams,
  type Binary,
  type BinaryOp,
  binaryOps,
  type Duration,
  type DurationExpr,
  type Expr,
  type Matcher,
  type Matching,
  type MatchOp,
  type VectorSelector,
} from './ast.ts';
import { labelName, quote } from './format.ts';
import type { ValueType } from './functions.ts';

/**
 * For tests: trees as `parse` makes them (without spans), of valid types and with parentheses where precedence needs
 * them. `classic` keeps to what Prometheus 2.42 reads.
 */
export function arbitraryExpr({ classic }: { classic: boolean }): fc.Arbitrary<Expr> {
  const { vector, scalar, matrix } = fc.letrec<Record<ValueType, Expr>>((tie) => {
    const selector = arbitrarySelector(classic);
    const number = arbitraryNumber(classic);
    const string = arbitraryString.map((value): Expr => ({ kind: 'StringLiteral', value }));
    const wrapped = (inner: fc.Arbitrary<Expr>) => inner.map((expr): Expr => ({ kind: 'Paren', expr }));
    const call = (name: string, ...args: fc.Arbitrary<Expr>[]) =>
      fc.tuple(...args).map((list): Expr => ({ kind: 'Call', name, args: list }));
    const depth = { depthSize: 'small' as const, withCrossShrink: true };
    return {
      string,
      scalar: fc.oneof(
        depth,
        number,
        call('time'),
        call('scalar', tie('vector')),
        wrapped(tie('scalar')),
        ...(classic ? [] : [call('min_of', tie('scalar'), tie('scalar')), call('step')]),
        signed(tie('scalar')),
        binary(tie('scalar'), tie('scalar'), false, classic),
      ),
      matrix: fc.oneof(
        depth,
        fc
          .tuple(selector, arbitraryRange(classic))
          .map(([inner, range]): Expr => ({ kind: 'MatrixSelector', selector: inner, range })),
        subquery(tie('vector'), classic),
      ),
      vector: fc.oneof(
        depth,
        selector,
        call('rate', tie('matrix')),
        call('quantile_over_time', tie('scalar'), tie('matrix')),
        call('clamp', tie('vector'), tie('scalar'), tie('scalar')),
        call('label_join', tie('vector'), string, string, string, string),
        call('hour'),
        wrapped(tie('vector')),
        signed(tie('vector')),
        aggregate(tie('vector'), tie('scalar'), string, classic),
        binary(tie('vector'), tie('vector'), true, classic),
        binary(tie('vector'), tie('scalar'), false, classic),
        ...(classic ? [] : [call('info', tie('vector'))]),
      ),
    };
  });
  return fc.oneof(vector, scalar, matrix);
}

const letters = 'abcdefghijklmnopqrstuvwxyz';

/** Names that are keywords elsewhere too. */
const arbitraryName = fc
  .oneof(
    fc.string({ unit: fc.constantFrom(...letters, '_'), minLength: 1, maxLength: 40 }),
    fc.constantFrom(
      'up',
      'by',
      'sum',
      'offset',
      'start',
      'and',
      'without',
      'node:cpu:rate5m',
      'min',
      'A_1',
      'http_requests_total',
    ),
  )
  .filter((name) => !/^(bool|on|ignoring|group_left|group_right|inf|nan|atan2)$/i.test(name));

/**
 * Text with what needs escapes, and a byte that is not UTF-8. No other characters than these beyond ASCII: which ones are
 * printable depends on the version of Unicode, and a server's is older than ours.
 */
const beyondAscii = ['é', 'Ж', '漢', '\u{1f600}', '\u00ad', '\u2028', '\ufeff', '\ue000', '\u{10ffff}', '\u0301', '\udcff'];
const arbitraryString = fc.oneof(
  fc.string({ unit: 'grapheme-ascii', maxLength: 30 }),
  fc.string({ unit: fc.constantFrom('"', '\\', "'", '`', '\n', '\r', '\0', '\u007f', '#', '}', ...beyondAscii), maxLength: 8 }),
);

const arbitraryMs = fc.oneof(
  fc.integer({ min: 1, max: 100_000 }),
  fc.integer({ min: 1, max: 20_000 }).map((hours) => hours * 3_600_000),
);

function arbitraryNumber(classic: boolean): fc.Arbitrary<Expr> {
  const plain = classic
    ? fc.oneof(fc.integer({ min: -99_999, max: 99_999 }), fc.constantFrom(0.5, -0.25, Number.NaN, Number.POSITIVE_INFINITY))
    : fc.double();
  const number = plain.map((value): Expr => ({ kind: 'NumberLiteral', value, duration: false }));
  if (classic) return number;
  return fc.oneof(
    number,
    arbitraryMs.map((ms): Expr => ({ kind: 'NumberLiteral', value: ms / 1000, duration: true })),
  );
}

function arbitraryMatcher(classic: boolean): fc.Arbitrary<Matcher> {
  const plain = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,9}$/);
  const label = classic
    ? plain
    : fc.oneof(
        plain,
        arbitraryString.filter((name) => name !== '' && !/\p{Cs}/u.test(name)),
      );
  const equal = fc.tuple(fc.constantFrom<MatchOp>('=', '!='), arbitraryString);
  const regex = fc.tuple(
    fc.constantFrom<MatchOp>('=~', '!~'),
    fc.constantFrom('', '.+', 'a|b', '(?i:x)[^\\d]*\\.', '\\bé{2,3}?$'),
  );
  return fc
    .tuple(label, fc.oneof(equal, regex))
    .map(([name, [op, value]]) => ({ label: name === '__name__' ? 'a' : name, op, value }));
}

function arbitrarySelector(classic: boolean): fc.Arbitrary<VectorSelector> {
  const matchers = fc.array(arbitraryMatcher(classic), { maxLength: 4 }).map((list) => list.sort(byPrint));
  const base = fc.record({
    kind: fc.constant<'VectorSelector'>('VectorSelector'),
    name: arbitraryName,
    matchers,
    offset: arbitraryOffset(classic),
    at: arbitraryAt,
    extension: classic ? fc.constant(null) : fc.constantFrom(null, 'anchored' as const, 'smoothed' as const),
  });
  const nameless = base.map(
    (selector): VectorSelector => ({ ...selector, name: '', matchers: [{ label: '__name__', op: '=', value: 'a b' }] }),
  );
  return fc.oneof({ weight: 5, arbitrary: base }, { weight: 1, arbitrary: nameless });
}

/** A tree that was printed and read again has its matchers sorted, so the first tree must have them sorted too. */
function byPrint(a: Matcher, b: Matcher): number {
  return Buffer.compare(Buffer.from(matcherKey(a)), Buffer.from(matcherKey(b)));
}

function matcherKey({ label, op, value }: Matcher): string {
  return `${labelName(label)}${op}${quote(value)}`;
}

const arbitraryAt: fc.Arbitrary<At | null> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.constantFrom<At>('start', 'end') },
  { weight: 1, arbitrary: fc.integer({ min: -1e13, max: 1e13 }) },
);

function arbitraryOffset(classic: boolean): fc.Arbitrary<Duration> {
  const plain = fc.oneof(
    fc.constant(0),
    arbitraryMs,
    arbitraryMs.map((ms) => -ms),
  );
  if (classic) return plain;
  // `offset a + b` would be an addition of two queries.
  return fc.oneof(
    plain,
    arbitraryDuration().map((expr): Duration => ({ kind: 'DurationParen', expr })),
  );
}

function arbitraryRange(classic: boolean): fc.Arbitrary<Duration> {
  return classic
    ? arbitraryMs
    : fc.oneof(
        arbitraryMs,
        arbitraryDuration().filter(({ kind }) => kind !== 'NumberLiteral'),
      );
}

function arbitraryDuration(): fc.Arbitrary<DurationExpr> {
  const { expr } = fc.letrec<{ expr: DurationExpr }>((tie) => ({
    expr: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.record({
        kind: fc.constant<'NumberLiteral'>('NumberLiteral'),
        value: fc.integer({ min: 1, max: 1e6 }),
        duration: fc.boolean(),
      }),
      fc.constantFrom<DurationExpr>(
        { kind: 'DurationCall', name: 'step', args: [] },
        { kind: 'DurationCall', name: 'range', args: [] },
      ),
      fc.tuple(tie('expr'), tie('expr')).map((args): DurationExpr => ({ kind: 'DurationCall', name: 'max_of', args })),
      tie('expr').map((inner): DurationExpr => ({ kind: 'DurationParen', expr: inner })),
      tie('expr').map((inner): DurationExpr => ({ kind: 'DurationNegation', expr: { kind: 'DurationParen', expr: inner } })),
      fc.tuple(fc.constantFrom('+', '-', '*', '/', '%', '^'), tie('expr'), tie('expr')).map(
        ([op, lhs, rhs]): DurationExpr => ({
          kind: 'DurationBinary',
          op,
          lhs: durationOperand(lhs),
          rhs: durationOperand(rhs),
        }),
      ),
    ),
  }));
  return expr;
}

function durationOperand(expr: DurationExpr): DurationExpr {
  return expr.kind === 'DurationBinary' || expr.kind === 'DurationNegation' ? { kind: 'DurationParen', expr } : expr;
}

function subquery(inner: fc.Arbitrary<Expr>, classic: boolean): fc.Arbitrary<Expr> {
  return fc.record({
    kind: fc.constant<'Subquery'>('Subquery'),
    expr: inner.map((expr) => (expr.kind === 'Binary' || expr.kind === 'Unary' ? wrap(expr) : expr)),
    range: arbitraryRange(classic),
    step: fc.oneof(fc.constant(null), arbitraryRange(classic)),
    offset: arbitraryOffset(classic),
    at: arbitraryAt,
  });
}

function aggregate(
  vector: fc.Arbitrary<Expr>,
  scalar: fc.Arbitrary<Expr>,
  string: fc.Arbitrary<Expr>,
  classic: boolean,
): fc.Arbitrary<Expr> {
  const names = Object.keys(aggregateParams) as AggregateOp[];
  const ops = classic ? names.filter((op) => !op.startsWith('limit')) : names;
  return fc
    .record({
      op: fc.constantFrom(...ops),
      vector,
      scalar,
      string,
      grouping: fc.array(arbitraryLabel, { maxLength: 3 }),
      without: fc.boolean(),
    })
    .map(({ op, grouping, without, ...args }): Expr => {
      const param = aggregateParams[op];
      return { kind: 'Aggregate', op, param: param === null ? null : args[param], expr: args.vector, grouping, without };
    });
}

const arbitraryLabel = fc.constantFrom('job', 'instance', 'by', 'on', 'offset', 'bool', 'le', 'a_very_long_label_name_indeed');

function signed(inner: fc.Arbitrary<Expr>): fc.Arbitrary<Expr> {
  return fc.tuple(fc.constantFrom('+' as const, '-' as const), inner).map(
    ([op, expr]): Expr => ({
      kind: 'Unary',
      op,
      // A sign before a number is part of the number.
      expr: expr.kind === 'NumberLiteral' || (expr.kind === 'Binary' && expr.op !== '^') ? wrap(expr) : expr,
    }),
  );
}

function binary(lhs: fc.Arbitrary<Expr>, rhs: fc.Arbitrary<Expr>, matched: boolean, classic: boolean): fc.Arbitrary<Expr> {
  const all = (Object.keys(binaryOps) as BinaryOp[]).filter((op) => !/^(<\/|>\/)$/.test(op) || !classic);
  const ops = matched ? all : all.filter((op) => binaryOps[op] >= 3 && op !== '</' && op !== '>/');
  return fc
    .record({
      op: fc.constantFrom(...ops),
      lhs,
      rhs,
      bool: fc.boolean(),
      matching: arbitraryMatching(classic),
      fill: arbitraryFill,
    })
    .map(({ op, matching, fill, ...rest }): Expr => {
      const set = binaryOps[op] < 3;
      const node: Binary = {
        kind: 'Binary',
        op,
        lhs: operand(rest.lhs, op, 'left'),
        rhs: operand(rest.rhs, op, 'right'),
        bool: /^[=!<>]=?$|^==$/.test(op) && (rest.bool || !matched),
        matching: !matched ? null : set && matching !== null ? { ...matching, group: null, include: [] } : matching,
        fill: matched && !set && !classic ? fill : { left: null, right: null },
      };
      return node.matching !== null && !node.matching.on && node.matching.labels.length === 0 && node.matching.group === null
        ? { ...node, matching: null }
        : node;
    });
}

/** Prometheus 2.42 loses `group_left` when it prints `ignoring () group_left (a)`, so `classic` leaves that out. */
function arbitraryMatching(classic: boolean): fc.Arbitrary<Matching | null> {
  const group = fc.constantFrom(null, 'left' as const, 'right' as const);
  const matching = fc.record({ on: fc.boolean(), labels: fc.array(arbitraryLabel, { maxLength: 2 }), group });
  return fc.option(
    matching
      .filter(({ on, labels, group: side }) => !classic || on || labels.length > 0 || side === null)
      .map((fields) => ({ ...fields, include: fields.group === null ? [] : ['extra'] })),
  );
}

const arbitraryFillValue = fc.option(fc.constantFrom(0, -23, 1.5, Number.NaN));
const arbitraryFill = fc.record({ left: arbitraryFillValue, right: arbitraryFillValue });

/** In parentheses exactly where it would otherwise be read as something else. */
function operand(expr: Expr, op: BinaryOp, side: 'left' | 'right'): Expr {
  const binding = binaryOps[op];
  if (expr.kind === 'Binary') {
    const inner = binaryOps[expr.op];
    const associates = (op === '^') === (side === 'right');
    return inner > binding || (inner === binding && associates) ? guardSign(expr, op, side) : wrap(expr);
  }
  return guardSign(expr, op, side);
}

/** `-a ^ b` is `-(a ^ b)`, and `a ^ -b * c` is fine; a sign at the far left of a left operand of `^` needs parentheses. */
function guardSign(expr: Expr, op: BinaryOp, side: 'left' | 'right'): Expr {
  const negative =
    expr.kind === 'NumberLiteral' && (expr.value < 0 || Object.is(expr.value, -0) || expr.value === Number.POSITIVE_INFINITY);
  return side === 'left' && op === '^' && (negative || expr.kind === 'Unary') ? wrap(expr) : expr;
}

function wrap(expr: Expr): Expr {
  return { kind: 'Paren', expr };
}

/** The tree without its spans. */
export function bare(expr: Expr): unknown {
  return JSON.parse(
    JSON.stringify(expr, (key, value) => (key === 'span' ? undefined : typeof value === 'number' ? named(value) : value)),
  );
}

/** JSON has no NaN, Inf and -0. */
function named(value: number): number | string {
  return Number.isFinite(value) && !Object.is(value, -0) ? value : `number ${Object.is(value, -0) ? '-0' : value}`;
}
