import type { Expr } from './ast.ts';
import { aggregateHead, operatorText, render, subqueryText } from './print.ts';

/** Longer lines are split; counted in bytes, as Go counts. */
const maxLine = 100;

/**
 * The query over several lines where one would be longer than 100 bytes: what `format_query` of Prometheus answers.
 * Source: `promql/parser/prettier.go`.
 */
export function pretty(expr: Expr): string {
  // Each node is asked for its one-line form by each node around it.
  const lines = new Map<Expr, string>();
  const line = (node: Expr): string => {
    let text = lines.get(node);
    if (text === undefined) {
      text = render(node, line);
      lines.set(node, text);
    }
    return text;
  };
  const fits = (node: Expr): boolean => {
    const text = line(node);
    return text.length <= maxLine && Buffer.byteLength(text) <= maxLine;
  };

  function at(level: number, node: Expr): string {
    const indent = '  '.repeat(level);
    switch (node.kind) {
      case 'Unary':
        return `${indent}${node.op}${at(level, node.expr).trim()}`;
      case 'Subquery':
        // Without indent: so does Prometheus.
        return fits(node) ? line(node) : `${at(level, node.expr)}${subqueryText(node)}`;
      case 'NumberLiteral':
      case 'StringLiteral':
      case 'VectorSelector':
      case 'MatrixSelector':
        return indent + line(node);
    }
    if (fits(node)) return indent + line(node);
    switch (node.kind) {
      case 'Call':
        return `${indent}${node.name}(\n${node.args.map((arg) => at(level + 1, arg)).join(',\n')}\n${indent})`;
      case 'Aggregate': {
        const param = node.param === null ? '' : `${at(level + 1, node.param)},\n`;
        return `${indent}${aggregateHead(node)}(\n${param}${at(level + 1, node.expr)}\n${indent})`;
      }
      case 'Binary':
        return `${at(level + 1, node.lhs)}\n${indent}${operatorText(node)}\n${at(level + 1, node.rhs)}`;
      case 'Paren':
        return `${indent}(\n${at(level + 1, node.expr)}\n${indent})`;
    }
  }

  return at(0, expr);
}
