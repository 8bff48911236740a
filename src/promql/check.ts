import { type Aggregate, aggregateParams, type Binary, type Call, type Expr } from './ast.ts';
import { PromqlError } from './error.ts';
import { functionSignature, typeName, type ValueType } from './functions.ts';

const comparisons = new Set(['==', '!=', '<', '<=', '>', '>=']);
const setOperators = new Set(['and', 'or', 'unless']);

/**
 * The type that a query yields. Throws PromqlError where Prometheus' own type check (`checkAST` in
 * `promql/parser/parse.go`) refuses it, with its text. `text` is what the tree was parsed from, for lines and columns.
 */
export function check(expr: Expr, text = ''): ValueType {
  const refuse = (node: Expr, what: string): never => {
    throw new PromqlError(what, text, node.span?.from ?? 0);
  };
  const expect = (node: Expr, wanted: ValueType, where: string): void => {
    const type = typeOf(node);
    if (type !== wanted) refuse(node, `expected type ${typeName(wanted)} in ${where}, got ${typeName(type)}`);
  };

  function typeOf(node: Expr): ValueType {
    switch (node.kind) {
      case 'NumberLiteral':
        return 'scalar';
      case 'StringLiteral':
        return 'string';
      case 'VectorSelector':
        return 'vector';
      case 'MatrixSelector':
        return 'matrix';
      case 'Paren':
        return typeOf(node.expr);
      case 'Subquery': {
        const type = typeOf(node.expr);
        if (type !== 'vector') refuse(node, `subquery is only allowed on instant vector, got ${type} instead`);
        return 'matrix';
      }
      case 'Unary': {
        const type = typeOf(node.expr);
        if (type === 'scalar' || type === 'vector') return type;
        return refuse(
          node,
          `unary expression only allowed on expressions of type scalar or instant vector, got ${JSON.stringify(typeName(type))}`,
        );
      }
      case 'Aggregate':
        return aggregate(node);
      case 'Binary':
        return binary(node);
      case 'Call':
        return call(node);
    }
  }

  function aggregate(node: Aggregate): ValueType {
    expect(node.expr, 'vector', 'aggregation expression');
    const wanted = aggregateParams[node.op];
    if (wanted !== null && node.param !== null) expect(node.param, wanted, 'aggregation parameter');
    return 'vector';
  }

  function binary(node: Binary): ValueType {
    const { op, matching, fill } = node;
    const lhs = typeOf(node.lhs);
    const rhs = typeOf(node.rhs);
    const scalars = lhs === 'scalar' && rhs === 'scalar';
    if (node.bool && !comparisons.has(op)) refuse(node, 'bool modifier can only be used on comparison operators');
    if (comparisons.has(op) && !node.bool && scalars) refuse(node, 'comparisons between scalars must use BOOL modifier');
    const include = new Set(matching?.include);
    const twice = matching?.on ? matching.labels.find((label) => include.has(label)) : undefined;
    if (twice !== undefined) refuse(node, `label ${JSON.stringify(twice)} must not occur in ON and GROUP clause at once`);
    for (const [side, type] of [[node.lhs, lhs] as const, [node.rhs, rhs] as const]) {
      if (type !== 'scalar' && type !== 'vector')
        refuse(side, 'binary expression must contain only scalar and instant vector types');
    }
    const filled = fill.left !== null || fill.right !== null;
    if (lhs === 'scalar' || rhs === 'scalar') {
      if (matching !== null && matching.labels.length > 0) refuse(node, 'vector matching only allowed between instant vectors');
      if (filled) refuse(node, 'filling in missing series only allowed between instant vectors');
      if (setOperators.has(op)) refuse(node, `set operator ${JSON.stringify(op)} not allowed in binary scalar expression`);
    } else if (setOperators.has(op)) {
      if (matching !== null && matching.group !== null) refuse(node, `no grouping allowed for ${JSON.stringify(op)} operation`);
      if (filled) refuse(node, 'filling in missing series not allowed for set operators');
    }
    return scalars ? 'scalar' : 'vector';
  }

  function call(node: Call): ValueType {
    const { name, args } = node;
    const signature = functionSignature(name);
    if (signature === undefined) return refuse(node, `unknown function with name ${JSON.stringify(name)}`);
    const { args: types, variadic } = signature;
    const least = variadic === 0 ? types.length : types.length - 1;
    const most = variadic === -1 ? Number.POSITIVE_INFINITY : least + variadic;
    const found = `argument(s) in call to ${JSON.stringify(name)}, got ${args.length}`;
    if (variadic === 0 && args.length !== least) refuse(node, `expected ${least} ${found}`);
    if (args.length < least) refuse(node, `expected at least ${least} ${found}`);
    if (args.length > most) refuse(node, `expected at most ${most} ${found}`);
    for (const [index, arg] of args.entries()) {
      const wanted = types[Math.min(index, types.length - 1)];
      if (wanted !== undefined) expect(arg, wanted, `call to function ${JSON.stringify(name)}`);
    }
    const narrowing = name === 'info' ? args[1] : undefined;
    if (narrowing !== undefined && narrowing.kind !== 'VectorSelector') refuse(narrowing, 'expected label selectors only');
    if (narrowing?.kind === 'VectorSelector' && narrowing.name !== '') {
      refuse(narrowing, 'expected label selectors only, got vector selector instead');
    }
    return signature.returns;
  }

  return typeOf(expr);
}
