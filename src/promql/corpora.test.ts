import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPrometheus, type TestServer } from '../../test/support/prometheus.ts';
import { arbitraryExpr, bare } from './arbitrary.ts';
import type { Expr } from './ast.ts';
import { check } from './check.ts';
import { PromqlError } from './error.ts';
import { parse } from './parse.ts';
import { pretty } from './pretty.ts';
import { print } from './print.ts';
import { walk } from './walk.ts';

const folder = new URL('../../../shared/corpora/promql/', import.meta.url);
const present = existsSync(folder);
if (!present) process.stderr.write(`PromQL corpora are not at ${folder.pathname}: their tests are skipped\n`);

const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
const parsed: { valid: string[]; invalid: string[] } = present ? read('parse.json') : { valid: [], invalid: [] };
const evaluated: string[] = present ? read('evaluated.json') : [];
const printed: { input: string; out: string }[] = present ? read('printed.json') : [];

/** null where we take it, else why not. */
function refusal(query: string): string | null {
  try {
    check(parse(query), query);
    return null;
  } catch (error) {
    if (error instanceof PromqlError) return error.message;
    throw error;
  }
}

describe.skipIf(!present)("Prometheus' own corpora", () => {
  it('are read', () => {
    expect(parsed.valid.length).toBeGreaterThan(100);
    expect(parsed.invalid.length).toBeGreaterThan(80);
    expect(evaluated.length).toBeGreaterThan(1000);
    expect(printed.length).toBeGreaterThan(40);
  });

  it('none of the valid queries is refused', () => {
    const refused = [...parsed.valid, ...evaluated, ...printed.map(({ input }) => input)]
      .map((query) => ({ query, because: refusal(query) }))
      .filter(({ because }) => because !== null);
    expect(refused).toEqual([]);
  });

  it('each of the invalid queries is refused', () => {
    expect(parsed.invalid.filter((query) => refusal(query) === null)).toEqual([]);
  });

  it('are printed as Prometheus prints them', () => {
    expect(printed.map(({ input }) => ({ input, out: print(parse(input)) }))).toEqual(printed);
  });

  it('print as what they were, and printing again changes nothing', () => {
    for (const query of [...parsed.valid, ...evaluated]) {
      const text = print(parse(query));
      expect(print(parse(text))).toBe(text);
      expect(print(parse(pretty(parse(query))))).toBe(text);
    }
  });
});

/**
 * Prometheus 2 prints numbers from 1e+21 down to 1e-05 and back with an exponent (Go's %v), Prometheus 3 never does. Both
 * read both, so such queries are compared by tree.
 */
function hasOtherNotation(expr: Expr): boolean {
  let found = false;
  walk(expr, (node) => {
    if (node.kind !== 'NumberLiteral' || !Number.isFinite(node.value) || node.value === 0) return;
    const digits = Math.abs(node.value);
    if (digits < 1e-4 || digits >= 1e6) found = true;
  });
  return found;
}

/** What the live server (2.42) accepts and we refuse: none is known. */
const acceptedByServerOnly: string[] = [];
/** What it prints otherwise for other reasons than `hasOtherNotation`: none is known. */
const printedOtherwise: string[] = [];

describe('a live Prometheus', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPrometheus();
  });
  afterAll(() => server?.stop());

  async function format(query: string): Promise<{ text: string } | { error: string }> {
    const response = await fetch(`${server.url}/api/v1/format_query`, { method: 'POST', body: new URLSearchParams({ query }) });
    const body: unknown = await response.json();
    if (typeof body !== 'object' || body === null) throw new Error('format_query answered no object');
    if ('data' in body && typeof body.data === 'string') return { text: body.data };
    return { error: 'error' in body ? String(body.error) : '' };
  }

  it.skipIf(!present)('accepts no corpus query that we refuse, and formats each as we do', async () => {
    const onlyServer: string[] = [];
    const otherwise: object[] = [];
    let compared = 0;
    for (const query of [...parsed.valid, ...parsed.invalid, ...evaluated, ...printed.map(({ input }) => input)]) {
      const answer = await format(query);
      if ('error' in answer) continue;
      const because = refusal(query);
      if (because !== null) {
        onlyServer.push(query);
        continue;
      }
      compared += 1;
      const tree = parse(query);
      const same = hasOtherNotation(tree) ? print(parse(answer.text)) === print(tree) : answer.text === pretty(tree);
      if (!same && !printedOtherwise.includes(query)) otherwise.push({ query, theirs: answer.text, ours: pretty(tree) });
    }
    expect(onlyServer).toEqual(acceptedByServerOnly);
    expect(otherwise).toEqual([]);
    expect(compared).toBeGreaterThan(900);
  });

  it('reads what we print and formats it as we do, for any tree', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryExpr({ classic: true }), async (expr) => {
        expect(await format(print(expr))).toEqual({ text: pretty(expr) });
      }),
      { numRuns: 300 },
    );
  });

  it('and we agree on queries cut short or with a character changed, which we refuse whenever it does', async () => {
    const characters = fc.constantFrom(...'(){}[],"\'`#\\-+*^@=!~<>:.0a \n\r\t_');
    const edits = fc.tuple(arbitraryExpr({ classic: true }), fc.nat(), fc.nat({ max: 2 }), fc.option(characters, { nil: '' }));
    await fc.assert(
      fc.asyncProperty(edits, async ([expr, place, cut, insert]) => {
        const text = print(expr);
        const at = place % (text.length + 1);
        const query = text.slice(0, at) + insert + text.slice(at + cut);
        // Those are sent as something else: a form cannot hold half a character.
        fc.pre(query.isWellFormed());
        const answer = await format(query);
        const because = refusal(query);
        if ('text' in answer) {
          expect(because).toBe(null);
          const tree = parse(query);
          if (!hasOtherNotation(tree)) expect(pretty(tree)).toBe(answer.text);
          expect(bare(parse(answer.text))).toEqual(bare(parse(print(tree))));
        } else if (because === null) {
          expect(answer.error).toMatch(newerThanServer);
        }
      }),
      { numRuns: 600 },
    );
  });
});

/** What Prometheus 3 reads and 2.42 does not: durations and numbers in each other's place, names in quotes, new functions. */
const newerThanServer = /XXX/;
