import type { Expr } from './ast.ts';
import { children } from './walk.ts';

/**
 * How deep a query is nested, as one who reads it counts: a selector or literal is 1, and each call, aggregation,
 * parenthesis, subquery and sign around it is one more. `sum(rate(up[5m]))` is 3. Operators side by side add nothing:
 * `a + b + c` is 1.
 */
export function depth(expr: Expr): number {
  let inner = 0;
  for (const child of children(expr)) inner = Math.max(inner, depth(child));
  return expr.kind === 'Binary' || expr.kind === 'MatrixSelector' ? inner : inner + 1;
}
