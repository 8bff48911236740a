import { describe, expect, it } from 'vitest';
import type { Scope } from './scope.ts';
import { isConfined, readingOfText, readingOfTree } from './verify.ts';

/** Nodes as `translateAST` of Prometheus 3 (`web/api/v1/translate_ast.go`) writes them. */
const matcher = (name: string, value: string, type = '=') => ({ name, type, value });
const own = matcher('namespace', 'shop');
const times = { offset: 0, timestamp: null, startOrEnd: null };
const vector = (name: string, ...matchers: object[]) => ({
  ...times,
  type: 'vectorSelector',
  name,
  anchored: false,
  smoothed: false,
  matchers: [...matchers, matcher('__name__', name)],
});
const matrix = (name: string, ...matchers: object[]) => ({
  ...times,
  type: 'matrixSelector',
  name,
  range: 300_000,
  matchers: [...matchers, matcher('__name__', name)],
});
const number = (val: string) => ({ type: 'numberLiteral', val });
const text = (val: string) => ({ type: 'stringLiteral', val });
const call = (name: string, ...args: object[]) => ({
  type: 'call',
  func: { name, argTypes: args.map(() => 'vector'), variadic: 0, returnType: 'vector' },
  args,
});
const aggregation = (op: string, expr: object, param: object | null = null) => ({
  type: 'aggregation',
  op,
  expr,
  param,
  grouping: ['job'],
  without: false,
});
const binary = (op: string, lhs: object, rhs: object) => ({
  type: 'binaryExpr',
  op,
  lhs,
  rhs,
  matching: { card: 'one-to-one', labels: ['matchers', 'type'], on: true, include: [] },
  bool: false,
});
const subquery = (expr: object) => ({ ...times, type: 'subquery', expr, range: 600_000, step: 60_000 });
const paren = (expr: object) => ({ type: 'parenExpr', expr });
const unary = (expr: object) => ({ type: 'unaryExpr', op: '-', expr });

const scope: Scope = [{ label: 'namespace', values: ['shop'] }];
const verdict = (tree: unknown, selectors: number, held = scope): boolean => {
  const reading = readingOfTree(tree);
  if (reading === null) throw new Error('no such tree');
  return isConfined(reading, held, selectors);
};

/** One more node around a selector, each in its own way; `up` is the rest of the query and confined. */
const up = vector('up', own);
const places: readonly (readonly [name: string, others: number, around: (inside: object) => object])[] = [
  ['alone', 0, (inside) => inside],
  ['in parentheses', 0, paren],
  ['behind a sign', 0, unary],
  ['in an aggregation', 0, (inside) => aggregation('sum', inside)],
  ['in the parameter of an aggregation', 1, (inside) => aggregation('topk', up, call('scalar', inside))],
  ['as the first argument of a call', 0, (inside) => call('histogram_quantile', call('scalar', inside), number('1'))],
  ['as the last argument of a call', 1, (inside) => call('clamp', up, number('1'), call('scalar', inside))],
  ['on the left of an operator', 1, (inside) => binary('or', inside, up)],
  ['on the right of an operator', 1, (inside) => binary('or', up, inside)],
  ['in a subquery', 0, (inside) => call('max_over_time', subquery(inside))],
  [
    'deep inside all of them',
    2,
    (inside) => unary(paren(aggregation('quantile', up, call('scalar', subquery(binary('+', call('abs', inside), up)))))),
  ],
];

describe.each(places)('a selector %s', (_name, others, around) => {
  it.each([
    ['vector', vector],
    ['matrix', matrix],
  ] as const)('(%s) is confined with the matcher and not without, nor with another', (_kind, selector) => {
    const count = others + 1;
    expect(verdict(around(selector('a', own)), count)).toBe(true);
    expect(verdict(around(selector('a', matcher('x', 'y', '!~'), own, matcher('namespace', 'other', '!='))), count)).toBe(true);
    expect(verdict(around(selector('a')), count)).toBe(false);
    for (const [name, value, type] of [
      ['namespace', 'shop', '!='],
      ['namespace', 'shop', '=~'],
      ['namespace', 'shop', '!~'],
      ['namespace', 'shop2'],
      ['namespace', ''],
      ['Namespace', 'shop'],
      ['job', 'shop'],
    ] as const) {
      expect(verdict(around(selector('a', matcher(name, value, type))), count)).toBe(false);
    }
  });

  it('counts, so that one too few or too many is seen', () => {
    const tree = around(vector('a', own));
    expect(verdict(tree, others + 1)).toBe(true);
    expect(verdict(tree, others)).toBe(false);
    expect(verdict(tree, others + 2)).toBe(false);
  });
});

describe('a tree', () => {
  it('is read with every matcher of every selector, in order', () => {
    const tree = binary('/', call('rate', matrix('a', own, matcher('code', '5..', '=~'))), aggregation('sum', vector('b')));
    expect(readingOfTree(tree)).toEqual([
      [
        { label: 'namespace', op: '=', value: 'shop' },
        { label: 'code', op: '=~', value: '5..' },
        { label: '__name__', op: '=', value: 'a' },
      ],
      [{ label: '__name__', op: '=', value: 'b' }],
    ]);
  });

  it('without selectors has none, whatever its texts look like', () => {
    const tree = call('label_replace', call('vector', number('1')), text('{"type":"vectorSelector"}'), text('matchers'));
    expect(readingOfTree(tree)).toEqual([]);
    expect(verdict(tree, 0)).toBe(true);
    expect(verdict(tree, 1)).toBe(false);
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['nothing', undefined],
    ['a text', 'up{namespace="shop"}'],
    ['a number', 1],
    ['a list', []],
    ['a list of selectors', [vector('up', own)]],
    ['an object without a type', { resultType: 'vector', result: [] }],
    ['a selector without matchers', { ...vector('up'), matchers: undefined }],
    ['a selector whose matchers are null', { ...vector('up'), matchers: null }],
    ['a selector whose matchers are an object', { ...vector('up'), matchers: { 0: own } }],
    ['a matcher that is null', { ...vector('up'), matchers: [own, null] }],
    ['a matcher that is a text', { ...vector('up'), matchers: ['namespace="shop"'] }],
    ['a matcher without a name', { ...vector('up'), matchers: [{ type: '=', value: 'shop' }] }],
    ['a matcher whose value is no text', { ...vector('up'), matchers: [{ ...own, value: 1 }] }],
    ['a matcher of an unknown type', { ...vector('up'), matchers: [{ ...own, type: '==' }] }],
    ['a matcher whose type is a number', { ...vector('up'), matchers: [{ ...own, type: 0 }] }],
  ])('is not %s, nor anything around that', (_name, tree) => {
    expect(readingOfTree(tree)).toBeNull();
  });

  it.each(places)('with a broken selector %s is none', (_name, _others, around) => {
    expect(readingOfTree(around({ ...vector('a', own), matchers: null }))).toBeNull();
    expect(readingOfTree(around({ ...matrix('a'), matchers: [{ ...own, type: 'EQL' }] }))).toBeNull();
  });
});

describe('a scope', () => {
  it('of several labels needs all of their matchers', () => {
    const both: Scope = [
      { label: 'namespace', values: ['shop'] },
      { label: 'job', values: ['a', 'b.c'] },
    ];
    const job = matcher('job', String.raw`a|b\.c`, '=~');
    expect(verdict(vector('up', own, job), 1, both)).toBe(true);
    expect(verdict(vector('up', job, own), 1, both)).toBe(true);
    expect(verdict(vector('up', own), 1, both)).toBe(false);
    expect(verdict(vector('up', job), 1, both)).toBe(false);
    expect(verdict(vector('up', own, matcher('job', 'a|b.c', '=~')), 1, both)).toBe(false);
    expect(verdict(binary('or', vector('up', own, job), vector('up', own)), 2, both)).toBe(false);
  });

  it('is told by our own reading in the same way', () => {
    const confined =
      'topk(scalar(a{namespace="shop"}), rate(b{namespace="shop"}[5m])) or max_over_time(c{namespace="shop"}[1h:])';
    expect(isConfined(readingOfText(confined), scope, 3)).toBe(true);
    expect(isConfined(readingOfText(confined), scope, 2)).toBe(false);
    for (const name of ['a', 'b', 'c']) {
      const open = confined.replace(`${name}{namespace="shop"}`, `${name}{namespace!="shop"}`);
      expect(isConfined(readingOfText(open), scope, 3)).toBe(false);
    }
  });
});
