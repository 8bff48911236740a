import {
  type Aggregate,
  aggregateParams,
  type Binary,
  binaryOps,
  type Call,
  type Expr,
  isAggregateOp,
  isBinaryOp,
  type Matching,
} from './ast.ts';
import { PromqlError } from './error.ts';
import { functionSignature } from './functions.ts';
import { labelList, modified, requireSelective, stringValue, vectorSelector } from './parse-selector.ts';
import { type Scanned, scan } from './scan.ts';
import { childOf, childrenOf, type GrammarNode, grammarTree, impossible, signedNumber, sourceOf, spanOf } from './tree.ts';

/**
 * Reads a PromQL query as Prometheus 3 does with its experimental syntax switched on. Throws PromqlError, with the place,
 * for what its parser refuses by form; types and numbers of arguments are `check`'s.
 */
export function parse(text: string): Expr {
  const scanned = scan(text);
  const [expr] = childrenOf(grammarTree(scanned));
  if (expr === undefined)
    throw new PromqlError('no expression found in input', text, 0, { found: '', expected: 'an expression' });
  return expression(scanned, expr);
}

/** A piece of an expression outside brackets, in the order of the text. */
type Piece =
  | { readonly kind: 'operand'; readonly expr: Expr }
  | { readonly kind: 'sign'; readonly sign: '+' | '-'; readonly from: number }
  | { readonly kind: 'operator'; readonly operator: Operator }
  | { readonly kind: 'modifier'; readonly node: GrammarNode };

type Operator = Omit<Binary, 'kind' | 'span' | 'lhs' | 'rhs'>;

/**
 * The grammar's tree is used for its pieces, not for how it nests them: an editor does not need that, and it has
 * `a + b offset 5m` as `(a + b) offset 5m` and `-1^2` as `(-1)^2`. So the pieces are put in order and grouped anew.
 */
function expression(scanned: Scanned, node: GrammarNode): Expr {
  const pieces: Piece[] = [];
  collect(scanned, node, pieces);
  return group(scanned, pieces);
}

function collect(scanned: Scanned, node: GrammarNode, pieces: Piece[]): void {
  switch (node.name) {
    case 'BinaryExpr': {
      const children = childrenOf(node);
      collect(scanned, children[0] ?? impossible(node), pieces);
      pieces.push({ kind: 'operator', operator: operatorOf(scanned, children.slice(1, -1)) });
      collect(scanned, children[children.length - 1] ?? impossible(node), pieces);
      return;
    }
    case 'UnaryExpr':
      pieces.push(signPiece(scanned, node));
      collect(scanned, node.lastChild ?? impossible(node), pieces);
      return;
    case 'OffsetExpr':
    case 'StepInvariantExpr':
    case 'AnchoredExpr':
    case 'SmoothedExpr':
    case 'MatrixSelector':
    case 'SubqueryExpr':
      collect(scanned, node.firstChild ?? impossible(node), pieces);
      pieces.push({ kind: 'modifier', node });
      return;
    case 'NumberDurationLiteral': {
      const literal = signedNumber(scanned, node);
      if (!/[-+]/.test(scanned.masked[node.from] ?? '')) {
        pieces.push({ kind: 'operand', expr: literal });
        return;
      }
      const sign = signPiece(scanned, node);
      pieces.push(sign, { kind: 'operand', expr: sign.sign === '-' ? { ...literal, value: -literal.value } : literal });
      return;
    }
    default:
      pieces.push({ kind: 'operand', expr: operand(scanned, node) });
  }
}

function signPiece({ masked }: Scanned, node: GrammarNode): Extract<Piece, { kind: 'sign' }> {
  return { kind: 'sign', sign: masked[node.from] === '-' ? '-' : '+', from: node.from };
}

/** Precedence climbing by Prometheus' table: modifiers bind tightest, then `^`, then signs, which bind as `*` does. */
function group(scanned: Scanned, pieces: readonly Piece[]): Expr {
  let at = 0;

  function binary(least: number): Expr {
    let lhs = signed();
    for (;;) {
      const piece = pieces[at];
      if (piece?.kind !== 'operator') return lhs;
      const binding = binaryOps[piece.operator.op];
      if (binding < least) return lhs;
      at += 1;
      const rhs = binary(piece.operator.op === '^' ? binding : binding + 1);
      lhs = { kind: 'Binary', span: { from: lhs.span?.from ?? 0, to: rhs.span?.to ?? 0 }, ...piece.operator, lhs, rhs };
    }
  }

  function signed(): Expr {
    const piece = pieces[at];
    at += 1;
    if (piece?.kind === 'operand') return withModifiers(piece.expr);
    if (piece?.kind !== 'sign') throw new Error('the PromQL grammar has an operator without an operand');
    const expr = binary(binaryOps['^']);
    const span = { from: piece.from, to: expr.span?.to ?? piece.from };
    if (expr.kind === 'NumberLiteral') return { ...expr, span, value: piece.sign === '-' ? -expr.value : expr.value };
    return { kind: 'Unary', span, op: piece.sign, expr };
  }

  function withModifiers(operand: Expr): Expr {
    let expr = operand;
    for (let piece = pieces[at]; piece?.kind === 'modifier'; piece = pieces[at]) {
      at += 1;
      expr = modified(scanned, piece.node, expr);
    }
    return expr;
  }

  return binary(0);
}

function operand(scanned: Scanned, node: GrammarNode): Expr {
  const span = spanOf(node);
  switch (node.name) {
    case 'StringLiteral':
      return { kind: 'StringLiteral', span, value: stringValue(scanned, node) };
    case 'VectorSelector':
      return requireSelective(scanned, vectorSelector(scanned, node));
    case 'ParenExpr':
      return { kind: 'Paren', span, expr: expression(scanned, node.firstChild ?? impossible(node)) };
    case 'FunctionCall':
      return call(scanned, node);
    case 'AggregateExpr':
      return aggregate(scanned, node);
    default:
      return impossible(node);
  }
}

function call(scanned: Scanned, node: GrammarNode): Call {
  const name = sourceOf(scanned, childOf(node, 'FunctionIdentifier'));
  if (functionSignature(name) === undefined) {
    throw new PromqlError(`unknown function with name ${JSON.stringify(name)}`, scanned.text, node.from, {
      found: name,
      expected: 'a function',
    });
  }
  const args = childrenOf(childOf(node, 'FunctionCallBody')).map((arg, index) =>
    // The second argument of info() only narrows down labels; it may match everything.
    name === 'info' && index === 1 && arg.name === 'VectorSelector' ? vectorSelector(scanned, arg) : expression(scanned, arg),
  );
  return { kind: 'Call', span: spanOf(node), name, args };
}

function aggregate(scanned: Scanned, node: GrammarNode): Aggregate {
  const op = sourceOf(scanned, childOf(node, 'AggregateOp')).toLowerCase();
  if (!isAggregateOp(op)) return impossible(node);
  const modifier = node.getChild('AggregateModifier');
  const args = childrenOf(childOf(node, 'FunctionCallBody'));
  const wanted = aggregateParams[op] === null ? 1 : 2;
  if (args.length !== wanted) {
    const what =
      args.length === 0
        ? 'no arguments for aggregate expression provided'
        : `wrong number of arguments for aggregate expression provided, expected ${wanted}, got ${args.length}`;
    throw new PromqlError(what, scanned.text, node.from);
  }
  const [first = impossible(node), second] = args.map((arg) => expression(scanned, arg));
  return {
    kind: 'Aggregate',
    span: spanOf(node),
    op,
    param: second === undefined ? null : first,
    expr: second ?? first,
    grouping: modifier === null ? [] : labelList(scanned, childOf(modifier, 'GroupingLabels')),
    without: modifier !== null && modifier.getChild('Without') !== null,
  };
}

/** The operator and its modifiers: all of a binary expression that is not an operand. */
function operatorOf(scanned: Scanned, nodes: readonly GrammarNode[]): Operator {
  let op = '';
  let bool = false;
  let matching: Matching | null = null;
  let fill: Binary['fill'] = { left: null, right: null };
  for (const node of nodes) {
    if (node.name === 'BoolModifier') bool = true;
    else if (node.name === 'MatchingModifierClause') matching = matchingOf(scanned, node);
    else if (node.name === 'FillModifier') fill = fillOf(scanned, node);
    else op = operatorAt(scanned.text, node.from);
  }
  if (!isBinaryOp(op)) throw new Error(`the PromQL grammar has an operator that is not known here: ${op}`);
  return { op, bool, matching, fill };
}

const operatorText = /[a-z]\w*|[<>]\/|[<>=!]=|[-+*/%^<>]/iy;

/** The grammar has seen each operator as `^`. */
function operatorAt(text: string, from: number): string {
  operatorText.lastIndex = from;
  return operatorText.exec(text)?.[0].toLowerCase() ?? '';
}

function matchingOf(scanned: Scanned, node: GrammarNode): Matching | null {
  const [labels = impossible(node), include] = node.getChildren('GroupingLabels').map((list) => labelList(scanned, list));
  const group = node.getChild('GroupLeft') !== null ? 'left' : node.getChild('GroupRight') !== null ? 'right' : null;
  const on = node.getChild('On') !== null;
  return on || labels.length > 0 || group !== null ? { on, labels, group, include: include ?? [] } : null;
}

function fillOf(scanned: Scanned, node: GrammarNode): Binary['fill'] {
  const value = (name: string): number | null => {
    const clause = node.getChild(name);
    return clause === null ? null : signedNumber(scanned, childOf(clause, 'NumberDurationLiteral')).value;
  };
  const both = value('FillClause');
  return { left: both ?? value('FillLeftClause'), right: both ?? value('FillRightClause') };
}
