import type { Duration, DurationCall, DurationExpr, DurationOp } from './ast.ts';
import { PromqlError } from './error.ts';
import { secondsToMs } from './literals.ts';
import type { Scanned } from './scan.ts';
import { childrenOf, type GrammarNode, impossible, signedNumber, sourceOf } from './tree.ts';

/** What stands in `[…]` or behind `offset`. A plain number is seconds, as for Prometheus. */
export function duration(scanned: Scanned, node: GrammarNode): Duration {
  const expr = durationExpr(scanned, node);
  if (expr.kind !== 'NumberLiteral') return expr;
  const ms = secondsToMs(expr.value);
  if (ms === null) throw new PromqlError('duration out of range', scanned.text, node.from);
  return ms;
}

/** A range or step: one below a millisecond would be no range. */
export function positiveDuration(scanned: Scanned, node: GrammarNode): Duration {
  const value = duration(scanned, node);
  if (typeof value === 'number' && value <= 0) throw new PromqlError('duration must be greater than 0', scanned.text, node.from);
  return value;
}

function durationExpr(scanned: Scanned, node: GrammarNode): DurationExpr {
  if (node.name === 'NumberDurationLiteralInDurationContext') {
    const literal = signedNumber(scanned, node);
    if (Number.isFinite(literal.value)) return withoutSpan(literal);
    throw new PromqlError('a duration must be finite', scanned.text, node.from);
  }
  const [first = impossible(node), second, third] = childrenOf(node);
  switch (first.name) {
    case 'UnaryOp':
      return signed(sourceOf(scanned, first), durationExpr(scanned, second ?? impossible(node)));
    case 'DurationStep':
    case 'DurationRange':
    case 'DurationMinOf':
    case 'DurationMaxOf': {
      const args = [second, third].filter((child) => child !== undefined);
      return { kind: 'DurationCall', name: durationCalls[first.name], args: args.map((child) => durationExpr(scanned, child)) };
    }
    case 'NumberDurationLiteralInDurationContext':
      return durationExpr(scanned, first);
    case 'DurationExpr': {
      if (second === undefined) return { kind: 'DurationParen', expr: durationExpr(scanned, first) };
      const op = durationOps[second.name] ?? impossible(second);
      const rhs = durationExpr(scanned, third ?? impossible(node));
      if ((op === '/' || op === '%') && rhs.kind === 'NumberLiteral' && rhs.value === 0) {
        throw new PromqlError(op === '/' ? 'division by zero' : 'modulo by zero', scanned.text, second.from);
      }
      return { kind: 'DurationBinary', op, lhs: durationExpr(scanned, first), rhs };
    }
    default:
      return impossible(first);
  }
}

const durationCalls: Record<'DurationStep' | 'DurationRange' | 'DurationMinOf' | 'DurationMaxOf', DurationCall['name']> = {
  DurationStep: 'step',
  DurationRange: 'range',
  DurationMinOf: 'min_of',
  DurationMaxOf: 'max_of',
};

const durationOps: Record<string, DurationOp> = { Add: '+', Sub: '-', Mul: '*', Div: '/', Mod: '%', Pow: '^' };

function signed(sign: string, expr: DurationExpr): DurationExpr {
  if (sign === '+') return expr;
  return expr.kind === 'NumberLiteral' ? { ...expr, value: -expr.value } : { kind: 'DurationNegation', expr };
}

function withoutSpan({ kind, value, duration: isDuration }: Extract<DurationExpr, { kind: 'NumberLiteral' }>): DurationExpr {
  return { kind, value, duration: isDuration };
}
