/**
 * Confinement: the scope's matchers are added to every selector of a query, wherever it stands. They are added and never
 * replace what the user wrote, because the server ANDs matchers. The result is a new tree, printed anew: nothing of the
 * user's text survives that the parser did not understand.
 */
import type { Expr, VectorSelector } from '../promql/ast.ts';
import { walk } from '../promql/walk.ts';
import { type Scope, scopeMatchers } from './scope.ts';

/**
 * Why a query cannot be confined, or `null`. The list of node kinds and functions that can is closed: `parse` and `check`
 * refuse what they do not know.
 */
export function unconfinable(expr: Expr): string | null {
  let reason: string | null = null;
  walk(expr, (node) => {
    if (node.kind === 'Call' && node.name === 'info') {
      reason = 'info() is not available on a server that is shared: it reads the info metrics of all its environments';
    }
  });
  return reason;
}

/** The query with the scope's matchers on every selector. */
export function confine(expr: Expr, scope: Scope): Expr {
  const matchers = scopeMatchers(scope);
  const confineSelector = (selector: VectorSelector): VectorSelector => ({
    ...selector,
    matchers: [...selector.matchers, ...matchers],
  });

  function step(node: Expr): Expr {
    switch (node.kind) {
      case 'NumberLiteral':
      case 'StringLiteral':
        return node;
      case 'VectorSelector':
        return confineSelector(node);
      case 'MatrixSelector':
        return { ...node, selector: confineSelector(node.selector) };
      case 'Call':
        return { ...node, args: node.args.map(step) };
      case 'Aggregate':
        return { ...node, param: node.param === null ? null : step(node.param), expr: step(node.expr) };
      case 'Binary':
        return { ...node, lhs: step(node.lhs), rhs: step(node.rhs) };
      case 'Subquery':
      case 'Unary':
      case 'Paren':
        return { ...node, expr: step(node.expr) };
    }
  }

  return step(expr);
}

/** All selectors of a query, those inside ranges included. */
export function selectorsOf(expr: Expr): VectorSelector[] {
  const selectors: VectorSelector[] = [];
  walk(expr, (node) => {
    if (node.kind === 'VectorSelector') selectors.push(node);
  });
  return selectors;
}

/** A series selector as `match[]` takes it: bare, without range, offset or `@`. */
export function isBareSelector(expr: Expr): expr is VectorSelector {
  return expr.kind === 'VectorSelector' && expr.offset === 0 && expr.at === null && expr.extension === null;
}

/** The selector that matches everything in scope, for label endpoints without `match[]`. */
export function scopeSelector(scope: Scope): VectorSelector {
  return { kind: 'VectorSelector', name: '', matchers: scopeMatchers(scope), offset: 0, at: null, extension: null };
}
