/**
 * Query variables (contract §7): `{{name}}` in `query` and `match[]`, as GitLab's endpoint had them.
 * Inside a PromQL string literal a value is escaped for that literal, so that it cannot end it; inside a comment nothing
 * is replaced, so that a value with a line break cannot end that either.
 */
import type { Target } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';

/** Names that the request can never set, whether or not the endpoint gives them a value. */
const PREDEFINED = [
  'ci_environment_slug',
  'ci_environment_name',
  'ci_project_name',
  'ci_project_namespace',
  'ci_project_path',
  'kube_namespace',
  'environment_filter',
  '__range',
] as const;
const predefinedNames: ReadonlySet<string> = new Set(PREDEFINED);

/** The predefined variables of what an endpoint speaks for, without `__range`, which depends on the question. */
export function predefinedVariables(target: Target): Map<string, string> {
  const values = new Map<string, string>();
  if (target.level === 'group') return values;
  const project = target.level === 'project' ? target.project : target.environment.project;
  const slash = project.path.lastIndexOf('/');
  values.set('ci_project_name', project.path.slice(slash + 1));
  values.set('ci_project_namespace', project.path.slice(0, slash));
  values.set('ci_project_path', project.path);
  if (target.level === 'project') return values;
  const { environment } = target;
  values.set('ci_environment_slug', environment.slug);
  values.set('ci_environment_name', environment.name);
  values.set('kube_namespace', environment.kubeNamespace);
  values.set('environment_filter', `container_name!="POD",environment="${environment.slug}"`);
  return values;
}

/** The value of `__range`: whole seconds between two times in milliseconds. */
export function rangeVariable(start: number, end: number): string {
  return `${Math.round((end - start) / 1000)}s`;
}

export interface Variables {
  readonly predefined: ReadonlyMap<string, string>;
  /** What the request gave; never wins over a predefined name. */
  readonly own: ReadonlyMap<string, string>;
  readonly range: string | null;
}

/** Whether a request cannot set it. */
export function isPredefined(name: string): boolean {
  return predefinedNames.has(name);
}

function lookUp(variables: Variables, name: string): string | undefined {
  if (name === '__range') return variables.range ?? undefined;
  if (predefinedNames.has(name)) return variables.predefined.get(name);
  return variables.own.get(name);
}

const NAME = /\{\{\s*(\w+)\s*\}\}/y;

/**
 * Replaces each known `{{name}}`, spaces inside the braces allowed, once (a value is not looked at again). Unknown names
 * stay as written. `found` hears of each `{{name}}`, known or not. Throws `bad_data` where a value holds a back-quote inside a
 * back-quoted literal, which has no escapes; `limit` as soon as the result has more than `maxBytes` characters, because a
 * short text can name a long value many times.
 */
export function substitute(
  text: string,
  variables: Variables,
  maxBytes: number,
  found?: (name: string, value: string | undefined) => void,
): string {
  if (!text.includes('{{')) return text;
  let out = '';
  let quote = '';
  let at = 0;
  while (at < text.length) {
    const char = text[at] as string;
    if (char === '{' && text[at + 1] === '{') {
      NAME.lastIndex = at;
      const match = NAME.exec(text);
      const value = match === null ? undefined : lookUp(variables, match[1] as string);
      if (match !== null) found?.(match[1] as string, value);
      if (match !== null && value !== undefined) {
        out += quote === '' ? value : escapeFor(quote, value, match[1] as string);
        at += match[0].length;
        if (out.length > maxBytes) throw tooLong(maxBytes);
        continue;
      }
    }
    if (quote === '') {
      if (char === '#') {
        const end = endOfLine(text, at);
        out += text.slice(at, end);
        at = end;
        continue;
      }
      if (char === '"' || char === "'" || char === '`') quote = char;
    } else if (char === '\\' && quote !== '`') {
      out += text.slice(at, at + 2);
      at += 2;
      continue;
    } else if (char === quote) quote = '';
    out += char;
    at++;
  }
  return out;
}

function tooLong(maxBytes: number): PromgateError {
  return new PromgateError(
    'limit',
    `limit max_query_bytes exceeded: with its variables the query has more than the ${maxBytes} bytes that are allowed`,
  );
}

function endOfLine(text: string, from: number): number {
  for (let at = from; at < text.length; at++) if (text[at] === '\n' || text[at] === '\r') return at;
  return text.length;
}

function escapeFor(quote: string, value: string, name: string): string {
  if (quote === '`') {
    if (!value.includes('`')) return value;
    throw new PromgateError(
      'bad_data',
      `the value of variable ${JSON.stringify(name)} holds a back-quote and cannot stand in a back-quoted string`,
    );
  }
  const escaped = value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
  return escaped.replaceAll(quote, `\\${quote}`);
}

/** Fills predefined variables into a fixed header or query parameter of a server; there is no literal to escape for. */
export function fillTemplate(template: string, predefined: ReadonlyMap<string, string>): string {
  return template.replace(/\{\{\s*(\w+)\s*\}\}/g, (whole, name: string) => predefined.get(name) ?? whole);
}
