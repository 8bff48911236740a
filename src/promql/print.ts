import type { At, Binary, Duration, DurationExpr, Expr, MatrixSelector, Subquery, VectorSelector } from './ast.ts';
import { formatDuration, formatNumber, labelName, quote } from './format.ts';

/**
 * The query in one line, in Prometheus' canonical form (`Expr.String()` of version 3): matchers sorted, no comments,
 * numbers without exponent, strings in double quotes. Adds no parentheses (see ast.ts).
 */
export function print(expr: Expr): string {
  return render(expr, print);
}

/** One node; `inner` prints the expressions in it. */
export function render(expr: Expr, inner: (expr: Expr) => string): string {
  switch (expr.kind) {
    case 'NumberLiteral':
      return numberLiteral(expr.value, expr.duration);
    case 'StringLiteral':
      return quote(expr.value);
    case 'VectorSelector': {
      const extension = expr.extension === null ? '' : ` ${expr.extension}`;
      return `${series(expr)}${atText(expr.at)}${extension}${offsetText(expr.offset)}`;
    }
    case 'MatrixSelector':
      return `${series(expr.selector)}${rangeText(expr)}`;
    case 'Subquery':
      return `${inner(expr.expr)}${subqueryText(expr)}`;
    case 'Call':
      return `${expr.name}(${expr.args.map(inner).join(', ')})`;
    case 'Aggregate': {
      const param = expr.param === null ? '' : `${inner(expr.param)}, `;
      return `${aggregateHead(expr)}(${param}${inner(expr.expr)})`;
    }
    case 'Binary':
      return `${inner(expr.lhs)} ${operatorText(expr)} ${inner(expr.rhs)}`;
    case 'Unary':
      return `${expr.op}${inner(expr.expr)}`;
    case 'Paren':
      return `(${inner(expr.expr)})`;
  }
}

/** `sum by (a) `, up to where the parenthesis opens. */
export function aggregateHead({ op, grouping, without }: Extract<Expr, { kind: 'Aggregate' }>): string {
  if (without) return `${op} without (${labels(grouping)}) `;
  return grouping.length > 0 ? `${op} by (${labels(grouping)}) ` : op;
}

/** The operator with all its modifiers. */
export function operatorText({ op, bool, matching, fill }: Binary): string {
  let text: string = op;
  if (bool) text += ' bool';
  if (matching !== null) text += ` ${matching.on ? 'on' : 'ignoring'} (${labels(matching.labels)})`;
  if (matching !== null && matching.group !== null) text += ` group_${matching.group} (${labels(matching.include)})`;
  if (fill.left !== null && Object.is(fill.left, fill.right)) return `${text} fill (${formatNumber(fill.left)})`;
  if (fill.left !== null) text += ` fill_left (${formatNumber(fill.left)})`;
  if (fill.right !== null) text += ` fill_right (${formatNumber(fill.right)})`;
  return text;
}

/** `[5m:1m] @ 3.000 offset 1h`. */
export function subqueryText({ range, step, at, offset }: Subquery): string {
  return `[${durationText(range)}:${step === null ? '' : durationText(step)}]${atText(at)}${offsetText(offset)}`;
}

function rangeText({ selector, range }: MatrixSelector): string {
  const extension = selector.extension === null ? '' : ` ${selector.extension}`;
  return `[${durationText(range)}]${extension}${atText(selector.at)}${offsetText(selector.offset)}`;
}

function series({ name, matchers }: VectorSelector): string {
  if (matchers.length === 0) return name === '' ? '{}' : name;
  const texts = matchers.map(({ label, op, value }) => `${labelName(label)}${op}${quote(value)}`);
  return `${name}{${texts.sort(byBytes).join(',')}}`;
}

/** Go sorts by bytes; by UTF-16 units, characters beyond U+FFFF would come before U+E000. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function labels(names: readonly string[]): string {
  return names.map(labelName).join(', ');
}

function atText(at: At | null): string {
  if (at === null) return '';
  return typeof at === 'number' ? ` @ ${(at / 1000).toFixed(3)}` : ` @ ${at}()`;
}

function offsetText(offset: Duration): string {
  return offset === 0 ? '' : ` offset ${durationText(offset)}`;
}

function durationText(duration: Duration): string {
  return typeof duration === 'number' ? formatDuration(duration) : durationExprText(duration);
}

function durationExprText(expr: DurationExpr): string {
  switch (expr.kind) {
    case 'NumberLiteral':
      return numberLiteral(expr.value, expr.duration);
    case 'DurationCall':
      return `${expr.name}(${expr.args.map(durationExprText).join(', ')})`;
    case 'DurationBinary':
      return `${durationExprText(expr.lhs)} ${expr.op} ${durationExprText(expr.rhs)}`;
    case 'DurationNegation':
      return `-${durationExprText(expr.expr)}`;
    case 'DurationParen':
      return `(${durationExprText(expr.expr)})`;
  }
}

function numberLiteral(value: number, duration: boolean): string {
  if (!duration) return formatNumber(value);
  // Rounded: a duration in seconds comes from whole milliseconds. A zero keeps its sign, as numbers do.
  return Object.is(value, -0) ? '-0s' : formatDuration(Math.round(value * 1000));
}
