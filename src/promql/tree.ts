import { parser } from '@prometheus-io/lezer-promql';
import type { NumberLiteral, Span } from './ast.ts';
import { PromqlError } from './error.ts';
import { functionSignature } from './functions.ts';
import { parseNumber } from './literals.ts';
import { type Scanned, unexpected } from './scan.ts';

/** A node of the editor's grammar. */
export type GrammarNode = ReturnType<typeof parser.parse>['topNode'];

/** Stops at the first error. The parser's own way on, mending, takes seconds for a long text full of errors. */
const strict = parser.configure({ strict: true });

/** The grammar's tree of a scanned query. Any place that does not fit the grammar is a PromqlError. */
export function grammarTree(scanned: Scanned): GrammarNode {
  try {
    return strict.parse(scanned.masked).topNode;
  } catch (error) {
    const at = error instanceof SyntaxError ? /^No parse at (\d+)$/.exec(error.message)?.[1] : undefined;
    if (at === undefined) throw error;
    throw syntaxError(scanned, Number(at));
  }
}

export function childrenOf(node: GrammarNode): GrammarNode[] {
  const children: GrammarNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) children.push(child);
  return children;
}

/** The child with that name; the grammar guarantees it wherever this is called. */
export function childOf(node: GrammarNode, name: string): GrammarNode {
  return node.getChild(name) ?? impossible(node);
}

/** For the branches that the grammar rules out: a tree that we do not know is never guessed at. */
export function impossible(node: GrammarNode): never {
  throw new Error(`the PromQL grammar has a node that is not known here: ${node.name}`);
}

export function sourceOf({ text }: Scanned, node: GrammarNode): string {
  return text.slice(node.from, node.to);
}

export function spanOf(node: GrammarNode): Span {
  return { from: node.from, to: node.to };
}

/** A number with or without sign in front, as in `@ -5` or `fill(5)`. */
export function signedNumber(scanned: Scanned, node: GrammarNode): NumberLiteral {
  const skipped = scanned.masked.slice(node.from, node.to).search(/[^-+ \t\r\n]/);
  const token = scanned.text.slice(node.from + skipped, node.to);
  const number = parseNumber(token);
  if (number === null) throw new PromqlError(`number or duration out of range: ${token.slice(0, 40)}`, scanned.text, node.from);
  const minus = scanned.masked[node.from] === '-';
  return { kind: 'NumberLiteral', span: spanOf(node), ...number, value: minus ? -number.value : number.value };
}

const name = /[a-zA-Z_:][a-zA-Z0-9_:]*[ \t\r\n]*$/;

function syntaxError(scanned: Scanned, stopped: number): PromqlError {
  const { text, masked } = scanned;
  const at = stopped + masked.slice(stopped).search(/[^ \t\r\n]|$/);
  const before = name.exec(masked.slice(Math.max(0, at - 200), at))?.[0];
  if (masked[at] === '(' && before !== undefined) {
    const from = at - before.length;
    const called = text.slice(from, at).trim();
    if (functionSignature(called) === undefined) {
      return new PromqlError(`unknown function with name ${JSON.stringify(called)}`, text, from, {
        found: called,
        expected: 'a function',
      });
    }
  }
  if (masked.trim() === '')
    return new PromqlError('no expression found in input', text, at, { found: '', expected: 'an expression' });
  return unexpected(text, at, expectedAt(errorNode(masked, at), /,[ \t\r\n]*$/.test(masked.slice(Math.max(0, at - 200), at))));
}

/** The first error, in the mended tree of the text up to and with the token that does not fit. */
function errorNode(masked: string, at: number): GrammarNode {
  const token = /^(?:\w+|"x*"|[^\w"]|)/.exec(masked.slice(at))?.[0] ?? '';
  const tree = parser.parse(masked.slice(0, at) + token);
  let wrong = tree.topNode;
  tree.iterate({
    enter(node) {
      if (node.type.isError && !wrong.type.isError) wrong = node.node;
      return !wrong.type.isError;
    },
  });
  return wrong;
}

/** What would have been right where the error node stands, told from the node around it. */
function expectedAt(node: GrammarNode, afterComma: boolean): string {
  const before = node.prevSibling?.name ?? '';
  switch (node.parent?.name) {
    case 'LabelMatchers':
      return before === '' || afterComma ? 'a label matcher or "}"' : '"," or "}"';
    case 'UnquotedLabelMatcher':
    case 'QuotedLabelMatcher':
      return before === 'MatchOp' ? 'a string' : 'a label matching operator';
    case 'GroupingLabels':
      return before === '' || afterComma ? 'a label name or ")"' : '"," or ")"';
    case 'AggregateExpr':
      return before === 'FunctionCallBody' ? 'by or without' : '"(", by or without';
    case 'FunctionCallBody':
      if (afterComma) return 'an expression';
      return before === '' ? 'an expression or ")"' : '"," or ")"';
    case 'MatrixSelector':
    case 'SubqueryExpr':
      return before === 'DurationExpr' ? '":" or "]"' : 'a duration';
    case 'DurationExpr':
    case 'OffsetExpr':
    case 'OffsetDurationExpr':
    case 'NumberDurationLiteralInDurationContext':
      return 'a duration';
    case 'StepInvariantExpr':
    case 'AtModifierPreprocessors':
      return 'a timestamp, start() or end()';
    case 'FillClause':
    case 'FillLeftClause':
    case 'FillRightClause':
      return 'a number in parentheses';
    case 'BinaryExpr':
    case 'UnaryExpr':
      return 'an expression';
    case 'ParenExpr':
      return before === '' ? 'an expression' : 'an operator or ")"';
    default:
      return before === '' ? 'an expression' : 'an operator or the end of the query';
  }
}
