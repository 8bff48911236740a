import { describe, expect, it } from 'vitest';
import { bare } from './arbitrary.ts';
import type { Expr } from './ast.ts';
import { PromqlError } from './error.ts';
import { parse } from './parse.ts';
import { print } from './print.ts';

function refused(query: string): PromqlError {
  try {
    parse(query);
  } catch (error) {
    if (error instanceof PromqlError) return error;
    throw error;
  }
  throw new Error(`was not refused: ${query}`);
}

/** Every operation in brackets, so that the grouping shows. */
function grouped(expr: Expr): string {
  if (expr.kind === 'Binary') return `[${grouped(expr.lhs)} ${expr.op} ${grouped(expr.rhs)}]`;
  if (expr.kind === 'Unary') return `${expr.op}[${grouped(expr.expr)}]`;
  if (expr.kind === 'Subquery') return `sub[${grouped(expr.expr)}]`;
  return print(expr);
}

describe('grouping', () => {
  it.each([
    ['-1^2', '-[[1 ^ 2]]'],
    ['-1*2', '[-1 * 2]'],
    ['a * -1^2', '[a * -[[1 ^ 2]]]'],
    ['2 ^ -1 * 3', '[[2 ^ -1] * 3]'],
    ['2/-2^---1*3+2', '[[[2 / -[[2 ^ -1]]] * 3] + 2]'],
    ['a ^ b ^ c', '[a ^ [b ^ c]]'],
    ['a - b - c', '[[a - b] - c]'],
    ['a or b and c == d + e * f ^ g', '[a or [b and [c == [d + [e * [f ^ g]]]]]]'],
    ['a atan2 b % c', '[[a atan2 b] % c]'],
    ['a + b offset 5m * c', '[a + [b offset 5m * c]]'],
    ['a or b[5m:1m] == c', '[a or [sub[b] == c]]'],
    ['-a @ 3 ^ 2', '-[[a @ 3.000 ^ 2]]'],
    ['-a offset 5m', '-[a offset 5m]'],
    ['--5', '5'],
    ['-(5)', '-[(5)]'],
    ['a </ 1 >/ 2', '[[a </ 1] >/ 2]'],
  ])("of %s is Prometheus' own", (query, tree) => {
    expect(grouped(parse(query))).toBe(tree);
  });

  it('of durations follows the same precedence', () => {
    expect(bare(parse('a[-2^2+step()*3]'))).toMatchObject({
      range: {
        op: '+',
        lhs: { kind: 'DurationNegation', expr: { op: '^' } },
        rhs: { op: '*', lhs: { name: 'step' }, rhs: { value: 3, duration: false } },
      },
    });
  });
});

describe('the tree', () => {
  it('has offset and @ on the selector of a range, wherever they stood', () => {
    expect(bare(parse('up{a="b"}[5m] @ end() offset -1h'))).toEqual({
      kind: 'MatrixSelector',
      selector: {
        kind: 'VectorSelector',
        name: 'up',
        matchers: [{ label: 'a', op: '=', value: 'b' }],
        offset: -3_600_000,
        at: 'end',
        extension: null,
      },
      range: 300_000,
    });
  });

  it('has a name in quotes as a matcher of __name__', () => {
    expect(bare(parse('{"http.requests", "a b"!~"x"}'))).toMatchObject({
      name: '',
      matchers: [
        { label: '__name__', op: '=', value: 'http.requests' },
        { label: 'a b', op: '!~', value: 'x' },
      ],
    });
  });

  it('has the spans of the text', () => {
    const query = 'sum(\n  rate(up[5m])) # all\n + 1';
    const tree = parse(query);
    if (tree.kind !== 'Binary') throw new Error('no operation');
    expect([tree, tree.lhs, tree.rhs].map(({ span }) => query.slice(span?.from, span?.to))).toEqual([
      query,
      'sum(\n  rate(up[5m]))',
      '1',
    ]);
  });

  it.each([
    ['a + fill_left(-1) b', { left: -1, right: null }],
    ['a + fill(5) b', { left: 5, right: 5 }],
    ['a + fill_right(2) fill_left(1) b', { left: 1, right: 2 }],
  ])('of %s has the fill values', (query, fill) => {
    expect(parse(query)).toMatchObject({ fill });
  });
});

describe('names that are words of the language', () => {
  it.each([
    'offset',
    'a + offset',
    'a * on (x) group_left () offset',
    'offset offset 5m',
    'and and and',
    'sum by (offset, bool, on, group_left, inf, nan) (sum)',
    'up{offset="a",on="b",or="c"}',
    'constructor',
    '__proto__{toString="x"}',
    'fill + fill',
    'fill and fill_left',
    'start{end="x"} @ start()',
    'step + range',
    'min_of',
    'holt_winters(a[5m], 0.5, 0.5)',
    'min_of(1, max_of(2, 3))',
  ])('%s are read', (query) => {
    expect(print(parse(query))).toBe(query);
  });
});

describe('numbers', () => {
  it.each([
    ['0x1F', '31'],
    ['0X1f', '31'],
    ['0755', '493'],
    ['0899', '899'],
    ['5.', '5'],
    ['1./6.', '1 / 6'],
    ['.5e-3', '0.0005'],
    ['5.e3', '5000'],
    ['1_000', '1000'],
    ['1e100', `1${'0'.repeat(100)}`],
    ['-0', '-0'],
    ['iNf', '+Inf'],
    ['-nan', 'NaN'],
    ['1y2w', '379d'],
    ['365d', '1y'],
    ['-5m', '-5m'],
    ['1h0m1ms', '1h1ms'],
    ['foo[5]', 'foo[5s]'],
    ['foo[4.018] @ 1m', 'foo[4s18ms] @ 60.000'],
    ['foo offset 0s', 'foo'],
  ])('%s is %s', (query, text) => {
    expect(print(parse(query))).toBe(text);
  });

  it.each(['1e999', '0xFFFFFFFFFFFFFFFF', '300y', '1s1m', '5mm', '1..2', '0x', '1_', '1__0', '0b1', 'a[0.0001]', 'a @ 1e20'])(
    '%s is refused',
    (query) => {
      expect(refused(query).line).toBe(1);
    },
  );
});

describe('strings', () => {
  it.each([
    [String.raw`"\a\b\f\n\r\t\v\\\""`, '\u0007\b\f\n\r\t\v\\"'],
    [String.raw`'\'"'`, `'"`],
    ['`\\n"\'\n`', '\\n"\'\n'],
    [String.raw`"\x41\101\u00e9\U0001F600"`, 'AAé\u{1f600}'],
    [String.raw`"\xc3\xa9"`, 'é'],
    [String.raw`"\xff\303x"`, '\udcff\udcc3x'],
    ['"# no comment"', '# no comment'],
  ])('%s is decoded as Go decodes it', (query, value) => {
    expect(parse(query)).toMatchObject({ kind: 'StringLiteral', value });
  });

  it('print and parse as the same bytes where they are not UTF-8', () => {
    expect(print(parse(String.raw`up{a="\xff\U0001f600"}`))).toBe('up{a="\\xff\u{1f600}"}');
  });

  it.each([
    [String.raw`up{a="x\q"}`, 7],
    [String.raw`"\'"`, 1],
    [String.raw`"\x4"`, 1],
    [String.raw`"\400"`, 1],
    [String.raw`"\ud800"`, 1],
    [String.raw`"\U00110000"`, 1],
    ['1 + "abc', 4],
    ['"a\nb"', 0],
    ['`a', 0],
    ['"\ud800"', 0],
    ['"\ufffd"', 0],
  ])('%s is refused at its place', (query, offset) => {
    expect(refused(query).offset).toBe(offset);
  });
});

describe('text that shows one query and asks another', () => {
  it('is refused: a carriage return ends a comment for Prometheus', () => {
    expect(refused('up #\r or secret').message).toBe('1:5: parse error: carriage return inside a comment');
  });

  it('is not seen in line ends of Windows', () => {
    expect(print(parse('up # a\r\n+ # b\r\n1 # c\r'))).toBe('up + 1');
  });

  it.each(['\u00a0', '\u2028', '\u0085', '\v', '\f', '\ufeff', '\u200b', '\0'])(
    'is refused: %j is no white space for Prometheus',
    (space) => {
      expect(refused(`up${space}or a`).offset).toBe(2);
    },
  );

  it('does not hide in tokens that touch', () => {
    expect(refused('up.5').found).toBe('.5');
    expect(refused('sum by (a:b) (up)').offset).toBe(9);
    expect(refused('a "x"').found).toBe('"x"');
  });
});

describe('what the grammar lets through and Prometheus does not', () => {
  it.each([
    ['foo offset 1m offset 2m', 'offset may not be set multiple times'],
    ['foo @ 1 @ 2', '@ <timestamp> may not be set multiple times'],
    ['foo @ NaN', 'timestamp out of bounds for @ modifier: NaN'],
    ['foo[0m]', 'duration must be greater than 0'],
    ['foo[5m:0s]', 'duration must be greater than 0'],
    ['foo offset 1m[5m]', 'no offset modifiers allowed before range'],
    [
      'sum(foo) offset 1m',
      'offset modifier must be preceded by an instant vector selector or range vector selector or a subquery',
    ],
    ['foo[5m][5m]', 'ranges only allowed for vector selectors'],
    ['foo anchored smoothed', 'anchored and smoothed modifiers cannot be used together'],
    ['foo[5m:] anchored', 'anchored modifier is not supported for subqueries'],
    ['{x=~".*"}', 'vector selector must contain at least one non-empty matcher'],
    ['{x!~".+"}', 'vector selector must contain at least one non-empty matcher'],
    ['foo{"bar"}', 'metric name must not be set twice: "foo" or "bar"'],
    ['foo{a=~"("}', 'error parsing regexp: missing closing ): `(`'],
    ['foo{a=~"(?=x)"}', 'error parsing regexp: invalid or unsupported Perl syntax: `(?=`'],
    ['sum by ("") (a)', 'invalid label name'],
    ['topk(a)', 'wrong number of arguments for aggregate expression provided, expected 2, got 1'],
    ['RATE(a[5m])', 'unknown function with name "RATE"'],
    ['atan2', 'unexpected "atan2", expected an expression'],
  ])('%s is refused', (query, message) => {
    expect(refused(query).message).toBe(`1:${refused(query).column}: parse error: ${message}`);
  });

  it('except a second argument of info(), which may match everything', () => {
    expect(print(parse('info(a, {b=~".*"})'))).toBe('info(a, {b=~".*"})');
    expect(refused('info({b=~".*"})').message).toContain('non-empty matcher');
  });
});

describe('an error', () => {
  it.each([
    ['', { line: 1, column: 1, found: '', expected: 'an expression' }],
    ['up{a=b}', { line: 1, column: 6, found: 'b', expected: 'a string' }],
    ['up{,}', { column: 4, found: ',', expected: 'a label matcher or "}"' }],
    ['sum(\n  up foo)', { line: 2, column: 6, found: 'foo' }],
    ['up # x\n + ', { line: 2, column: 4, found: '', expected: 'an expression' }],
    ['"😀é" }', { line: 1, column: 6, offset: 6, found: '}' }],
    ['rate(up[5m)', { column: 11, found: ')', expected: '"]"' }],
    ['sum(up', { column: 4, expected: '")"' }],
    ['foo(up)', { column: 1, found: 'foo', expected: 'a function' }],
    ['up offset x', { column: 11, found: 'x', expected: 'a duration' }],
    ['topk(1,)', { column: 8, found: ')', expected: 'an expression' }],
    ['up{a=~"[z-a]"}', { column: 7 }],
  ])('in %j says where, what was found and what was expected', (query, fields) => {
    expect(refused(query)).toMatchObject(fields);
  });
});
