import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { startPrometheus, type TestServer } from '../../test/support/prometheus.ts';
import { arbitraryExpr } from './arbitrary.ts';
import type { Expr } from './ast.ts';
import { check } from './check.ts';
import { PromqlError } from './error.ts';
import { functionSignature } from './functions.ts';
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
 * What Prometheus 2.42 prints unlike Prometheus 3, which we follow: numbers from 1e+06 up and below 1e-04 with an exponent
 * (the same number), `ignoring () group_left (a)` without its `group_left` and `{__name__="", a="x"}` without its first
 * matcher (bugs: other queries).
 */
function printedOtherwise(expr: Expr): boolean {
  let found = false;
  walk(expr, (node) => {
    if (node.kind === 'Binary' && node.matching?.group && !node.matching.on && node.matching.labels.length === 0) found = true;
    if (node.kind === 'VectorSelector' && node.matchers.some(({ label, value }) => label === '__name__' && value === ''))
      found = true;
    if (node.kind !== 'NumberLiteral' || !Number.isFinite(node.value) || node.value === 0) return;
    if (Math.abs(node.value) < 1e-4 || Math.abs(node.value) >= 1e6) found = true;
  });
  return found;
}

/** What Prometheus 3 reads and 2.42 does not, however it is written. */
function newerThanServer(expr: Expr): boolean {
  let found = false;
  walk(expr, (node) => {
    if (node.kind === 'NumberLiteral' && node.duration) found = true;
    if (node.kind === 'Call' && functionSignature(node.name)?.experimental) found = true;
    if ('range' in node && typeof node.range !== 'number') found = true;
    if ('offset' in node && typeof node.offset !== 'number') found = true;
    if (node.kind === 'Subquery' && node.step !== null && typeof node.step !== 'number') found = true;
    if (node.kind === 'VectorSelector' && node.matchers.some(({ label }) => !/^[a-zA-Z_]\w*$/.test(label))) found = true;
  });
  return found;
}

/** What the live server (2.42) accepts, Prometheus 3 refuses, and so do we. */
const acceptedByServerOnly = [
  // Its parser forgot start() and end() when it checked for an @ modifier before the range.
  'some_metric @ start() [5m]',
  'some_metric @ end()[5m]',
  // Its lexer skips letters that stand alone in brackets.
  'foo[5s x 5s]',
];
const serverBugs = /@\s*(?:start|end)\(\)\s*\[|\[[^\]"'`]*[\s:][a-z]/i;

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

  it.skipIf(!present)(
    'accepts no corpus query that we refuse but for three bugs of its own, and formats each as we do',
    async () => {
      const onlyServer: string[] = [];
      const otherwise: object[] = [];
      let compared = 0;
      const queries = [...parsed.valid, ...parsed.invalid, ...evaluated, ...printed.map(({ input }) => input)];
      const answers: Awaited<ReturnType<typeof format>>[] = [];
      for (let at = 0; at < queries.length; at += 50)
        answers.push(...(await Promise.all(queries.slice(at, at + 50).map(format))));
      for (const [index, answer] of answers.entries()) {
        const query = queries[index] ?? '';
        if ('error' in answer) continue;
        const because = refusal(query);
        if (because !== null) {
          onlyServer.push(query);
          continue;
        }
        compared += 1;
        const tree = parse(query);
        if (printedOtherwise(tree)) continue;
        if (answer.text !== pretty(tree)) otherwise.push({ query, theirs: answer.text, ours: pretty(tree) });
      }
      expect(onlyServer).toEqual(acceptedByServerOnly);
      expect(otherwise).toEqual([]);
      expect(compared).toBeGreaterThan(900);
    },
  );

  it('reads what we print and formats it as we do, for any tree', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryExpr({ classic: true }), async (expr) => {
        expect(await format(print(expr))).toEqual({ text: pretty(expr) });
      }),
      { numRuns: 150 },
    );
  });

  it('agrees with us about queries that were cut or changed somewhere', async () => {
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
          if (because !== null && serverBugs.test(query)) return;
          expect(because).toBe(null);
          const tree = parse(query);
          if (!printedOtherwise(tree)) expect(pretty(tree)).toBe(answer.text);
        } else if (because === null) {
          // A number for a duration, `1_000`, `offset --5m`: our canonical form of it is one that the server knows.
          const tree = parse(query);
          expect(newerThanServer(tree) || 'text' in (await format(print(tree)))).toBe(true);
        }
      }),
      { numRuns: 300, endOnFailure: true },
    );
  });
});
