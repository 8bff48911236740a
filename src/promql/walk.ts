import type { Expr } from './ast.ts';

/** The expressions directly inside one, in the order of the text: a range holds its selector, an aggregation its parameter. */
export function children(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'NumberLiteral':
    case 'StringLiteral':
    case 'VectorSelector':
      return [];
    case 'MatrixSelector':
      return [expr.selector];
    case 'Call':
      return expr.args;
    case 'Aggregate':
      return expr.param === null ? [expr.expr] : [expr.param, expr.expr];
    case 'Binary':
      return [expr.lhs, expr.rhs];
    case 'Subquery':
    case 'Unary':
    case 'Paren':
      return [expr.expr];
  }
}

/** Calls `visit` for each node, each before those inside it, with the nodes around it, outermost first. */
export function walk(expr: Expr, visit: (node: Expr, around: readonly Expr[]) => void): void {
  const around: Expr[] = [];
  const step = (node: Expr): void => {
    visit(node, around);
    around.push(node);
    for (const child of children(node)) step(child);
    around.pop();
  };
  step(expr);
}
