import { describe, expect, it } from 'vitest';
import { check } from './check.ts';
import { parse } from './parse.ts';
import { pretty } from './pretty.ts';
import { print } from './print.ts';
import { maxDepth } from './scan.ts';
import { walk } from './walk.ts';

/** Shapes that nest `depth` deep, each in its own way. */
const shapes: Record<string, (depth: number) => string> = {
  parentheses: (depth) => `${'('.repeat(depth)}a${')'.repeat(depth)}`,
  signs: (depth) => `${'-'.repeat(depth)}a`,
  powers: (depth) =>
    Array(depth + 1)
      .fill('a')
      .join(' ^ '),
  sums: (depth) =>
    Array(depth + 1)
      .fill('a')
      .join(' + '),
  'a ladder of operators': (depth) => `${'a or b and c == d + e * f ^ ('.repeat(depth / 7)}a${')'.repeat(depth / 7)}`,
  calls: (depth) => `${'clamp(a, 1, scalar('.repeat(depth / 2)}a${'))'.repeat(depth / 2)}`,
  aggregations: (depth) => `${'sum by (x) ('.repeat(depth)}a${')'.repeat(depth)}`,
  subqueries: (depth) => `${'rate('.repeat(depth / 2)}a[5m]${')[5m:]'.repeat(depth / 2 - 1)})`,
  'groups on the left, each with a chain': (depth) => `${'('.repeat(depth / 10)}a${`${' + a'.repeat(9)})`.repeat(depth / 10)}`,
  'durations in brackets': (depth) => `a[${'('.repeat(depth)}5m${')'.repeat(depth)}]`,
};

describe.each(Object.entries(shapes))('nesting by %s', (_name, shape) => {
  it('is exact just below the limit', () => {
    const query = shape(maxDepth - 10);
    const tree = parse(query);
    const text = print(tree);
    expect(text.replaceAll(' ', '')).toBe(query.replaceAll(' ', ''));
    expect(check(tree)).toBe(query.startsWith('a[') ? 'matrix' : 'vector');
    expect(print(parse(pretty(tree)))).toBe(text);
    let nodes = 0;
    walk(tree, () => {
      nodes += 1;
    });
    expect(nodes).toBeGreaterThan(0);
  });

  it('is refused above it, and far above it', () => {
    for (const depth of [maxDepth + 10, 5_000, 30_000])
      expect(() => parse(shape(depth))).toThrow(/more than 250 brackets and operators/);
  });
});

describe('queries of 128 KiB', () => {
  const size = 128 * 1024;
  const fill = (piece: string, between = ', ') =>
    Array(Math.floor(size / (piece.length + between.length)))
      .fill(piece)
      .join(between);

  it.each([
    ['arguments', `label_join(a, "b", "c", ${fill('"d"')})`],
    ['matchers', `a{${fill('b="c"')}}`],
    ['labels', `sum by (${fill('b')}) (a)`],
    ['a string', `"${fill(String.raw`\xff`, '')}"`],
    ['a name', fill('a', '')],
    ['a comment', `a # ${fill('#')}`],
    ['white space', `a${' \n'.repeat(size / 2)}`],
    ['a regex', `a{b=~"${fill('(c|d)*', '')}"}`],
    [
      'a chain of long operands',
      Array(100)
        .fill(`a{b="${'c'.repeat(1200)}"}`)
        .join(' or '),
    ],
  ])('of %s are read, printed and read again', (_name, query) => {
    const text = print(parse(query));
    expect(print(parse(text))).toBe(text);
    expect(print(parse(pretty(parse(query))))).toBe(text);
  });

  it.each([
    ['digits', fill('1', '')],
    ['digits before a letter', `${fill('1', '')}z`],
    ['open brackets', fill('(', '')],
    ['quotes', fill('"', '')],
    ['words', fill('a', ' ')],
    ['points', fill('.', '')],
    ['commas', fill('a', ',')],
    ['backslashes', `"${fill('\\', '')}`],
    ['a regex of empty loops', `{b=~"${'('.repeat(200)}|${'){1000}'.repeat(200)}"}`],
  ])('of %s are refused', (_name, query) => {
    expect(() => parse(query)).toThrow(/parse error/);
  });
});
