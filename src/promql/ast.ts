/**
 * The tree of a PromQL query: what Prometheus' own parser keeps of it, and no more (no comments, no white space).
 * A tree that `parse` made prints as a query with the same meaning. Parentheses are nodes; whoever builds a tree by
 * hand puts them where precedence needs them.
 */

/** Where a node stood in the text: indexes in UTF-16 units, `to` exclusive. Only nodes from `parse` have one. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

interface Node {
  readonly span?: Span;
}

/**
 * `5`, `0x1F`, `Inf`; with `duration` one written as `5m`, its value in seconds. A sign is part of the value.
 * Also a literal in a duration expression.
 */
export interface NumberLiteral extends Node {
  readonly kind: 'NumberLiteral';
  readonly value: number;
  readonly duration: boolean;
}

/** `value` is decoded; a byte that is not UTF-8 (`"\xff"`) is the lone surrogate U+DC00 + byte. */
export interface StringLiteral extends Node {
  readonly kind: 'StringLiteral';
  readonly value: string;
}

export type MatchOp = '=' | '!=' | '=~' | '!~';

/** `label="value"`. A name in quotes, `{"http.requests"}`, is a matcher of `__name__`. Text as in {@link StringLiteral}. */
export interface Matcher {
  readonly label: string;
  readonly op: MatchOp;
  readonly value: string;
}

/** The `@` modifier: milliseconds since 1970, or the start or end of the query's range. */
export type At = number | 'start' | 'end';

/** Whole milliseconds, or an expression that the server computes. */
export type Duration = number | DurationExpr;

export interface VectorSelector extends Node {
  readonly kind: 'VectorSelector';
  /** The name before the braces, '' where there is none. It is not among the matchers. */
  readonly name: string;
  readonly matchers: readonly Matcher[];
  /** 0: none. */
  readonly offset: Duration;
  readonly at: At | null;
  readonly extension: 'anchored' | 'smoothed' | null;
}

/** `up[5m]`. Offset, `@` and extension are the selector's, wherever they were written. */
export interface MatrixSelector extends Node {
  readonly kind: 'MatrixSelector';
  readonly selector: VectorSelector;
  readonly range: Duration;
}

export interface Subquery extends Node {
  readonly kind: 'Subquery';
  readonly expr: Expr;
  readonly range: Duration;
  /** null: the server's default. */
  readonly step: Duration | null;
  /** 0: none. */
  readonly offset: Duration;
  readonly at: At | null;
}

export interface Call extends Node {
  readonly kind: 'Call';
  readonly name: string;
  readonly args: readonly Expr[];
}

/** `op` is in lower case. `param` is there exactly for the operators that take one. */
export interface Aggregate extends Node {
  readonly kind: 'Aggregate';
  readonly op: AggregateOp;
  readonly param: Expr | null;
  readonly expr: Expr;
  readonly grouping: readonly string[];
  readonly without: boolean;
}

export interface Matching {
  /** true: `on`, false: `ignoring`. */
  readonly on: boolean;
  readonly labels: readonly string[];
  readonly group: 'left' | 'right' | null;
  /** The labels behind `group_left` or `group_right`. */
  readonly include: readonly string[];
}

export interface Binary extends Node {
  readonly kind: 'Binary';
  readonly op: BinaryOp;
  readonly lhs: Expr;
  readonly rhs: Expr;
  /** The `bool` modifier. */
  readonly bool: boolean;
  /** null: none, which is also what `ignoring()` alone means. */
  readonly matching: Matching | null;
  /** The values of `fill_left` and `fill_right`; `fill` sets both. */
  readonly fill: { readonly left: number | null; readonly right: number | null };
}

export interface Unary extends Node {
  readonly kind: 'Unary';
  readonly op: '+' | '-';
  readonly expr: Expr;
}

export interface Paren extends Node {
  readonly kind: 'Paren';
  readonly expr: Expr;
}

export type Expr =
  | NumberLiteral
  | StringLiteral
  | VectorSelector
  | MatrixSelector
  | Subquery
  | Call
  | Aggregate
  | Binary
  | Unary
  | Paren;

export type DurationOp = '+' | '-' | '*' | '/' | '%' | '^';

/** `step()`, `range()`, `min_of(a, b)`, `max_of(a, b)` in the place of a duration. */
export interface DurationCall {
  readonly kind: 'DurationCall';
  readonly name: 'step' | 'range' | 'min_of' | 'max_of';
  readonly args: readonly DurationExpr[];
}

export interface DurationBinary {
  readonly kind: 'DurationBinary';
  readonly op: DurationOp;
  readonly lhs: DurationExpr;
  readonly rhs: DurationExpr;
}

/** Always minus: a plus changes nothing and is not kept. */
export interface DurationNegation {
  readonly kind: 'DurationNegation';
  readonly expr: DurationExpr;
}

export interface DurationParen {
  readonly kind: 'DurationParen';
  readonly expr: DurationExpr;
}

/** What `[5m * 2]` or `offset (step())` holds (experimental in Prometheus 3). */
export type DurationExpr = NumberLiteral | DurationCall | DurationBinary | DurationNegation | DurationParen;

/** The aggregation operators, and what their parameter must be. */
export const aggregateParams = {
  avg: null,
  bottomk: 'scalar',
  count: null,
  count_values: 'string',
  group: null,
  limit_ratio: 'scalar',
  limitk: 'scalar',
  max: null,
  min: null,
  quantile: 'scalar',
  stddev: null,
  stdvar: null,
  sum: null,
  topk: 'scalar',
} as const;

export type AggregateOp = keyof typeof aggregateParams;

/** Is it an aggregation operator, in lower case? */
export function isAggregateOp(word: string): word is AggregateOp {
  return Object.hasOwn(aggregateParams, word);
}

/**
 * The binary operators and how tightly they bind; only `^` groups to the right. Source: the precedence table of
 * Prometheus' `generated_parser.y`. `</` and `>/` cut native histograms.
 */
export const binaryOps = {
  or: 1,
  and: 2,
  unless: 2,
  '==': 3,
  '!=': 3,
  '<': 3,
  '<=': 3,
  '>': 3,
  '>=': 3,
  '</': 3,
  '>/': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
  '%': 5,
  atan2: 5,
  '^': 6,
} as const;

export type BinaryOp = keyof typeof binaryOps;

export function isBinaryOp(text: string): text is BinaryOp {
  return Object.hasOwn(binaryOps, text);
}
