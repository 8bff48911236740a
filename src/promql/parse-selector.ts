import type { Duration, Expr, Matcher, MatchOp, Subquery, VectorSelector } from './ast.ts';
import { PromqlError } from './error.ts';
import { decodeString, timestampMs } from './literals.ts';
import { duration, positiveDuration } from './parse-duration.ts';
import { matchesEmpty, RegexError } from './regex.ts';
import { type Scanned, unexpected } from './scan.ts';
import { childOf, childrenOf, type GrammarNode, impossible, signedNumber, sourceOf, spanOf } from './tree.ts';

/** A selector without modifiers. Whether its matchers select everything is asked apart, see `requireSelective`. */
export function vectorSelector(scanned: Scanned, node: GrammarNode): VectorSelector {
  const identifier = node.getChild('Identifier');
  const name = identifier === null ? '' : nameOf(scanned, identifier);
  // The only keyword that Prometheus does not take for a metric.
  if (name.toLowerCase() === 'atan2') throw unexpected(scanned.text, node.from, 'an expression');
  const braces = node.getChild('LabelMatchers');
  const matchers = braces === null ? [] : childrenOf(braces).map((child) => matcher(scanned, child));
  const second = name === '' ? undefined : matchers.find(({ label }) => label === '__name__');
  if (second !== undefined) {
    const names = `${JSON.stringify(name)} or ${JSON.stringify(second.value)}`;
    throw new PromqlError(`metric name must not be set twice: ${names}`, scanned.text, node.from);
  }
  return { kind: 'VectorSelector', span: spanOf(node), name, matchers, offset: 0, at: null, extension: null };
}

/** Refuses a selector of everything, `{}` or `{x=~".*"}`, as Prometheus does to guard against slips. */
export function requireSelective(scanned: Scanned, selector: VectorSelector): VectorSelector {
  if (selector.name !== '' || !selector.matchers.every(matchesAbsent)) return selector;
  const from = selector.span?.from ?? 0;
  throw new PromqlError('vector selector must contain at least one non-empty matcher', scanned.text, from);
}

/** Does it match a series that lacks the label? The expression of a regex matcher must be valid. */
function matchesAbsent({ op, value }: Matcher): boolean {
  switch (op) {
    case '=':
      return value === '';
    case '!=':
      return value !== '';
    case '=~':
      return matchesEmpty(value);
    case '!~':
      return !matchesEmpty(value);
  }
}

function matcher(scanned: Scanned, node: GrammarNode): Matcher {
  if (node.name === 'QuotedLabelName')
    return { label: '__name__', op: '=', value: stringValue(scanned, childOf(node, 'StringLiteral')) };
  const [left = impossible(node), operator = impossible(node), right = impossible(node)] = childrenOf(node);
  const op = sourceOf(scanned, operator);
  if (!isMatchOp(op)) return impossible(operator);
  const value = stringValue(scanned, right);
  if (op === '=~' || op === '!~') requireRegex(scanned, right, value);
  return { label: labelName(scanned, left), op, value };
}

function requireRegex(scanned: Scanned, node: GrammarNode, value: string): void {
  try {
    if (/\p{Cs}/u.test(value)) throw new RegexError('invalid UTF-8');
    matchesEmpty(value);
  } catch (error) {
    if (error instanceof RegexError) throw new PromqlError(`error parsing regexp: ${error.message}`, scanned.text, node.from);
    throw error;
  }
}

function isMatchOp(text: string): text is MatchOp {
  return text === '=' || text === '!=' || text === '=~' || text === '!~';
}

/** The names in `by (…)`, `on (…)`, `group_left (…)` and the like. */
export function labelList(scanned: Scanned, node: GrammarNode): string[] {
  return childrenOf(node).map((child) => {
    const label = labelName(scanned, child);
    if (label === '' || /\p{Cs}/u.test(label)) throw new PromqlError('invalid label name', scanned.text, child.from);
    return label;
  });
}

function labelName(scanned: Scanned, node: GrammarNode): string {
  return node.name === 'QuotedLabelName' ? stringValue(scanned, childOf(node, 'StringLiteral')) : nameOf(scanned, node);
}

/** A name is printed as it stands, so it must be one: the grammar saw it masked. */
function nameOf(scanned: Scanned, node: GrammarNode): string {
  const name = sourceOf(scanned, node);
  return /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name) ? name : impossible(node);
}

export function stringValue({ text }: Scanned, node: GrammarNode): string {
  return decodeString(text, node.from, node.to);
}

/** `expr` with the modifier, range or subquery of `node` applied to it; the texts are those of Prometheus. */
export function modified(scanned: Scanned, node: GrammarNode, expr: Expr): Expr {
  const children = childrenOf(node);
  const last = children[children.length - 1] ?? impossible(node);
  const span = { from: expr.span?.from ?? node.from, to: node.to };
  const refuse = (what: string): never => {
    throw new PromqlError(what, scanned.text, span.from);
  };
  switch (node.name) {
    case 'MatrixSelector': {
      if (expr.kind !== 'VectorSelector') return refuse('ranges only allowed for vector selectors');
      if (expr.offset !== 0) return refuse('no offset modifiers allowed before range');
      if (expr.at !== null) return refuse('no @ modifiers allowed before range');
      return { kind: 'MatrixSelector', span, selector: expr, range: positiveDuration(scanned, last) };
    }
    case 'SubqueryExpr': {
      const [, range = impossible(node), step] = children;
      const times = {
        range: positiveDuration(scanned, range),
        step: step === undefined ? null : positiveDuration(scanned, step),
      };
      return { kind: 'Subquery', span, expr, ...times, offset: 0, at: null };
    }
    case 'OffsetExpr': {
      const offset: Duration = duration(scanned, last);
      return onSelector({ ...expr, span }, refuse, 'offset modifier', (part) => {
        if (part.offset !== 0) refuse('offset may not be set multiple times');
        return { ...part, offset };
      });
    }
    case 'StepInvariantExpr': {
      const at = atModifier(scanned, children);
      return onSelector({ ...expr, span }, refuse, '@ modifier', (part) => {
        if (part.at !== null) refuse('@ <timestamp> may not be set multiple times');
        return { ...part, at };
      });
    }
    case 'AnchoredExpr':
    case 'SmoothedExpr': {
      const extension = node.name === 'AnchoredExpr' ? 'anchored' : 'smoothed';
      if (expr.kind === 'Subquery') return refuse(`${extension} modifier is not supported for subqueries`);
      if (expr.kind !== 'VectorSelector' && expr.kind !== 'MatrixSelector')
        return refuse(`${extension} modifier not implemented`);
      return onSelector({ ...expr, span }, refuse, extension, (part) => {
        if (part.kind === 'Subquery') return part;
        if (part.extension !== null && part.extension !== extension)
          refuse('anchored and smoothed modifiers cannot be used together');
        return { ...part, extension };
      });
    }
    default:
      return impossible(node);
  }
}

/** Applies `change` to what carries offset and `@`: a selector, the selector of a range, or a subquery. */
function onSelector(
  expr: Expr,
  refuse: (what: string) => never,
  what: string,
  change: <T extends VectorSelector | Subquery>(part: T) => T,
): Expr {
  if (expr.kind === 'VectorSelector' || expr.kind === 'Subquery') return change(expr);
  if (expr.kind === 'MatrixSelector') return { ...expr, selector: change(expr.selector) };
  return refuse(`${what} must be preceded by an instant vector selector or range vector selector or a subquery`);
}

function atModifier(scanned: Scanned, children: readonly GrammarNode[]): number | 'start' | 'end' {
  const [, , value] = children;
  if (value === undefined) throw new Error('the PromQL grammar has an @ modifier without a time');
  if (value.name === 'AtModifierPreprocessors') return value.getChild('AtStart') === null ? 'end' : 'start';
  const { value: seconds } = signedNumber(scanned, value);
  const ms = timestampMs(seconds);
  if (ms === null || Number.isNaN(seconds))
    throw new PromqlError(`timestamp out of bounds for @ modifier: ${seconds}`, scanned.text, value.from);
  return ms;
}
