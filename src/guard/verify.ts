/**
 * Verification: what is about to be sent is read again, by our own parser and by the server's, and every selector of
 * either reading must carry the scope's matchers. Rewriting alone would trust one parser to understand all that another
 * one does.
 */
import type { Matcher, MatchOp } from '../promql/ast.ts';
import { parse } from '../promql/parse.ts';
import { selectorsOf } from './confine.ts';
import { type Scope, scopeMatchers } from './scope.ts';

/** The matchers of each selector, as some parser read them. */
type Reading = readonly (readonly Matcher[])[];

/** How our own parser reads a text. */
export function readingOfText(text: string): Reading {
  return selectorsOf(parse(text)).map(({ matchers }) => matchers);
}

/**
 * How the server reads it, from the tree that `parse_query` answers (Prometheus 3.0 and later: `translateAST` in its
 * `web/api/v1/translate_ast.go`). `null` where it is no such tree.
 */
export function readingOfTree(tree: unknown): Reading | null {
  const reading: Matcher[][] = [];
  const step = (node: unknown): boolean => {
    if (Array.isArray(node)) return node.every(step);
    if (typeof node !== 'object' || node === null) return true;
    const { type, matchers, ...rest } = node as Record<string, unknown>;
    if (type === 'vectorSelector' || type === 'matrixSelector') {
      const read = matchersOf(matchers);
      if (read === null) return false;
      reading.push(read);
      return true;
    }
    return Object.values(rest).every(step);
  };
  const isTree = typeof tree === 'object' && tree !== null && 'type' in tree;
  return isTree && step(tree) ? reading : null;
}

function matchersOf(matchers: unknown): Matcher[] | null {
  if (!Array.isArray(matchers)) return null;
  const read: Matcher[] = [];
  for (const matcher of matchers as unknown[]) {
    const { name, type, value } = (matcher ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || typeof value !== 'string' || !isMatchOp(type)) return null;
    read.push({ label: name, op: type, value });
  }
  return read;
}

function isMatchOp(type: unknown): type is MatchOp {
  return type === '=' || type === '!=' || type === '=~' || type === '!~';
}

/** Whether every selector carries every matcher of the scope, and there are as many selectors as there should be. */
export function isConfined(reading: Reading, scope: Scope, selectors: number): boolean {
  const wanted = scopeMatchers(scope);
  return (
    reading.length === selectors &&
    reading.every((matchers) =>
      wanted.every(({ label, op, value }) => matchers.some((one) => one.label === label && one.op === op && one.value === value)),
    )
  );
}
