/** Random queries about the test data, of every shape that a server reads. */
import fc from 'fast-check';
import { arbitraryExpr } from '../../src/promql/arbitrary.ts';
import type { Expr } from '../../src/promql/ast.ts';
import { PromqlError } from '../../src/promql/error.ts';
import { parse } from '../../src/promql/parse.ts';
import { print } from '../../src/promql/print.ts';
import { walk } from '../../src/promql/walk.ts';
import { realisticQuery } from '../guard/realistic.ts';
import { dataset, generator } from '../support/dataset.ts';

const names = [
  'up',
  'http_requests_total',
  'http_requests_total',
  'http_request_duration_seconds_bucket',
  'http_request_duration_seconds_count',
  'node_load1',
  'odd_values',
  'nothing_of_this_name',
];
const matchers = [
  ['job', '=', 'shop'],
  ['code', '!=', '404'],
  ['instance', '=~', 'shop-.*|odd-[0-5]'],
  ['namespace', '!~', 'shop-prod'],
  ['le', '=', '0.5'],
] as const;
const minute = 60_000;

/** Their series come and go within minutes. */
const changing = [
  'http_requests_total % 5 == 3',
  'rate(http_requests_total[1m]) > 1',
  'count_values by (job) ("value", http_requests_total % 4)',
  'up == 0',
  'http_request_duration_seconds_bucket % 3 == 0',
  'node_load1 > 3 or up == 0',
];

/** Trees of every kind, with the data's own names and with times at which there is data, and queries with many changes. */
export const arbitraryQuery: fc.Arbitrary<string> = fc
  .oneof(
    fc.constantFrom(...changing),
    realisticQuery('').map(({ plain }) => plain),
    fc
      .tuple(arbitraryExpr({ classic: true }), fc.integer({ min: 1, max: 1e6 }))
      .map(([expr, seed]) => print(grounded(expr, seed))),
  )
  .filter(isSteady);

function grounded(given: Expr, seed: number): Expr {
  const expr = structuredClone(given);
  const random = generator(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const offset = () => pick([0, 0, 0, 0, minute, 17 * minute + 250, -2 * minute]);
  const at = () => pick([null, null, null, null, null, 'start', 'end', dataset.start * 1000 + 3_000_500] as const);
  walk(expr, (node) => {
    switch (node.kind) {
      case 'VectorSelector': {
        const few = pick([[], [], [pick(matchers)], [pick(matchers), pick(matchers)]]);
        const list = few.map(([label, op, value]) => ({ label, op, value }));
        Object.assign(node, { name: pick(names), matchers: list, offset: offset(), at: at() });
        break;
      }
      case 'MatrixSelector':
        Object.assign(node, { range: pick([15_000, minute, 90_500, 5 * minute, 17 * minute]) });
        break;
      case 'Subquery':
        Object.assign(node, {
          range: pick([minute, 5 * minute, 11 * minute + 1]),
          step: pick([null, 30_000, minute, 7_500]),
          offset: offset(),
          at: at(),
        });
        break;
      case 'Call':
        if (node.name === 'label_join') {
          const text = (value: string): Expr => ({ kind: 'StringLiteral', value });
          Object.assign(node, { args: [node.args[0], text('joined'), text('/'), text('job'), text(pick(['code', 'text']))] });
        }
        break;
      case 'Aggregate':
        if (node.op === 'count_values') Object.assign(node, { param: { kind: 'StringLiteral', value: 'value' } });
        break;
      case 'Binary':
        // Most others are refused, because several series fit.
        if (node.matching !== null && random() < 0.7) Object.assign(node, { matching: null });
        break;
    }
  });
  return expr;
}

/** Hang on the order in which the series of a group come: by rounding, or by which of several equals wins. */
const ordered: ReadonlySet<string> = new Set(['sum', 'avg', 'stddev', 'stdvar', 'topk', 'bottomk']);

/**
 * Whether the server itself gives one answer only. Prometheus 2.42 collects the series that a step-by-step evaluation makes (of
 * operators, and of functions of instant vectors) in a Go map, so they reach what is around them in another order each time.
 */
export function isSteady(query: string): boolean {
  let steady = true;
  try {
    walk(parse(query), (node) => {
      if (node.kind === 'Aggregate' && ordered.has(node.op) && !keepsOrder(node.expr)) steady = false;
    });
  } catch (error) {
    if (!(error instanceof PromqlError)) throw error;
  }
  return steady;
}

function keepsOrder(expr: Expr): boolean {
  if (expr.kind === 'VectorSelector') return true;
  if (expr.kind === 'Paren') return keepsOrder(expr.expr);
  return expr.kind === 'Call' && expr.args.some(({ kind }) => kind === 'MatrixSelector');
}
