/** What confines an environment on a shared server: labels, and the values that its series may have there. */
import type { Server } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import type { Matcher } from '../promql/ast.ts';
import { fillTemplate } from './variables.ts';

/** Each label must have one of its values. Never an empty list, and no value is empty. */
export type Scope = readonly ScopeLabel[];

export interface ScopeLabel {
  readonly label: string;
  readonly values: readonly string[];
}

/**
 * The scope that a server's `enforce` gives an endpoint with these variables; `null` where the server confines nothing.
 * Throws `unavailable` where a value is empty or a variable has none: an empty matcher would open the whole server.
 */
export function resolveScope(server: Server, variables: ReadonlyMap<string, string>): Scope | null {
  const labels = Object.entries(server.enforce);
  if (labels.length === 0) return null;
  return labels.map(([label, templates]) => {
    const values = templates.map((template) => fillTemplate(template, variables));
    if (label === '' || values.length === 0 || values.some((value) => value === '' || /\{\{\s*\w+\s*\}\}/.test(value))) {
      throw new PromgateError(
        'unavailable',
        `server ${JSON.stringify(server.name)} confines by the label ${JSON.stringify(label)}, which has no value here; it is not asked`,
      );
    }
    return { label, values: [...new Set(values)] };
  });
}

/** The matchers that confine a selector. Several values are one anchored regular expression of quoted alternatives. */
export function scopeMatchers(scope: Scope): Matcher[] {
  return scope.map(({ label, values }) =>
    values.length === 1
      ? { label, op: '=', value: values[0] as string }
      : { label, op: '=~', value: values.map(quoteRegex).join('|') },
  );
}

/** Whether a set of labels lies within the scope. */
export function fitsScope(labels: Readonly<Record<string, unknown>>, scope: Scope): boolean {
  return scope.every(({ label, values }) => Object.hasOwn(labels, label) && values.includes(String(labels[label])));
}

/** Go's `regexp.QuoteMeta`. */
function quoteRegex(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}
