import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { arbitraryExpr, bare } from './arbitrary.ts';
import { check } from './check.ts';
import { parse } from './parse.ts';
import { pretty } from './pretty.ts';
import { print } from './print.ts';

describe('any tree', () => {
  const options = { numRuns: 500 };

  it('is what its printed text parses to', () => {
    fc.assert(
      fc.property(arbitraryExpr({ classic: false }), (expr) => {
        expect(bare(parse(print(expr)))).toEqual(bare(expr));
      }),
      options,
    );
  });

  it('is what its pretty text parses to', () => {
    fc.assert(
      fc.property(arbitraryExpr({ classic: false }), (expr) => {
        expect(bare(parse(pretty(expr)))).toEqual(bare(expr));
      }),
      options,
    );
  });

  it('of well-typed parts passes the check', () => {
    fc.assert(
      fc.property(arbitraryExpr({ classic: false }), (expr) => {
        expect(['vector', 'scalar', 'matrix']).toContain(check(expr));
      }),
      options,
    );
  });
});
