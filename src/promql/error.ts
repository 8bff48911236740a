export interface PromqlErrorDetail {
  /** What stands there, as written; '' at the end of the query. */
  found?: string;
  /** What would have been right, in words. */
  expected?: string;
  /** Where the query is too deep to be read: the brackets that are open there. */
  nesting?: number;
}

/**
 * A query that cannot be read, or whose types do not fit. `message` is whole: `1:5: parse error: …`, in the form that
 * Prometheus answers, so it may go to the user as it is.
 */
export class PromqlError extends Error {
  /** From 1. */
  readonly line: number;
  /** From 1, counted in characters (code points). */
  readonly column: number;
  /** Index into the text (UTF-16 units, from 0). */
  readonly offset: number;
  readonly found: string | undefined;
  readonly expected: string | undefined;
  readonly nesting: number | undefined;

  constructor(what: string, text: string, offset: number, detail: PromqlErrorDetail = {}) {
    const before = text.slice(0, offset);
    const line = before.split('\n').length;
    const column = [...before.slice(before.lastIndexOf('\n') + 1)].length + 1;
    super(`${line}:${column}: parse error: ${what}`);
    this.name = 'PromqlError';
    this.line = line;
    this.column = column;
    this.offset = offset;
    this.found = detail.found;
    this.expected = detail.expected;
    this.nesting = detail.nesting;
  }
}
