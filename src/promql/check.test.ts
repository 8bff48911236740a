import { describe, expect, it } from 'vitest';
import { check } from './check.ts';
import { functionNames } from './functions.ts';
import { parse } from './parse.ts';
import { children, walk } from './walk.ts';

describe('check', () => {
  it.each([
    ['1 + 2', 'scalar'],
    ['time() > bool 1', 'scalar'],
    ['up > 1', 'vector'],
    ['up[5m]', 'matrix'],
    ['up[5m:]', 'matrix'],
    ['("x")', 'string'],
    ['scalar(up) + 1', 'scalar'],
    ['-up', 'vector'],
    ['hour()', 'vector'],
    ['min_of(1, time())', 'scalar'],
    ['label_join(up, "a", "", "b", "c", "d")', 'vector'],
  ])('%s is a %s', (query, type) => {
    expect(check(parse(query))).toBe(type);
  });

  it.each([
    ['rate(up)', '1:6: parse error: expected type range vector in call to function "rate", got instant vector'],
    ['abs(\n  up[5m])', '2:3: parse error: expected type instant vector in call to function "abs", got range vector'],
    ['floor()', '1:1: parse error: expected 1 argument(s) in call to "floor", got 0'],
    ['round()', '1:1: parse error: expected at least 1 argument(s) in call to "round", got 0'],
    ['round(up, 1, 2)', '1:1: parse error: expected at most 2 argument(s) in call to "round", got 3'],
    [
      'label_join(up, "a", "", up)',
      '1:25: parse error: expected type string in call to function "label_join", got instant vector',
    ],
    ['sum(1)', '1:5: parse error: expected type instant vector in aggregation expression, got scalar'],
    ['topk("a", up)', '1:6: parse error: expected type scalar in aggregation parameter, got string'],
    ['count_values(1, up)', '1:14: parse error: expected type string in aggregation parameter, got scalar'],
    ['1 == 1', '1:1: parse error: comparisons between scalars must use BOOL modifier'],
    ['up + bool 1', '1:1: parse error: bool modifier can only be used on comparison operators'],
    ['up and 1', '1:1: parse error: set operator "and" not allowed in binary scalar expression'],
    ['up + on(a) 1', '1:1: parse error: vector matching only allowed between instant vectors'],
    ['up + fill(1) 1', '1:1: parse error: filling in missing series only allowed between instant vectors'],
    ['up or fill(1) a', '1:1: parse error: filling in missing series not allowed for set operators'],
    ['a * on(x) group_left(x) b', '1:1: parse error: label "x" must not occur in ON and GROUP clause at once'],
    ['a and on(x) group_left(y) b', '1:1: parse error: no grouping allowed for "and" operation'],
    ['up + up[5m]', '1:6: parse error: binary expression must contain only scalar and instant vector types'],
    ['-"x"', '1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got "string"'],
    ['up[5m][5m:]', '1:1: parse error: subquery is only allowed on instant vector, got matrix instead'],
    ['info(up, a)', '1:10: parse error: expected label selectors only, got vector selector instead'],
    ['info(up, sum(a))', '1:10: parse error: expected label selectors only'],
  ])('%s is refused in the words of Prometheus', (query, message) => {
    expect(() => check(parse(query), query)).toThrow(expect.objectContaining({ message }));
  });

  it('knows each function that it lists, and the parser reads it', () => {
    for (const name of functionNames()) {
      const tree = parse(`${name}()`);
      expect(tree).toMatchObject({ kind: 'Call', name });
    }
    expect(functionNames().length).toBeGreaterThan(80);
  });
});

describe('walk', () => {
  it('comes to every selector: in ranges, subqueries, arguments and parameters', () => {
    const names: string[] = [];
    walk(
      parse('quantile(scalar(a), -rate(b[5m])) + max_over_time((c * d)[5m:]) or label_replace(e, "x", "y", "z", "")'),
      (node) => {
        if (node.kind === 'VectorSelector') names.push(node.name);
      },
    );
    expect(names).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('tells the nodes around, outermost first', () => {
    const paths: string[] = [];
    walk(parse('sum(rate(a[5m]))'), (node, around) => {
      if (children(node).length === 0) paths.push(around.map(({ kind }) => kind).join(' '));
    });
    expect(paths).toEqual(['Aggregate Call MatrixSelector']);
  });
});
