/** Reading a resource file (contract §9): text → checked data, or every problem with its position. */
import {
  Alias,
  type Document,
  isCollection,
  isMap,
  isPair,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import type { z } from 'zod';
import { didYouMean } from '../config/suggest.ts';
import { crossProblems } from './resource-checks.ts';
import { type ResourceFile, resourceSchema } from './resource-schema.ts';
import type { SecretSources } from './resource-secrets.ts';

export type { ResourceFile, ServerSpec } from './resource-schema.ts';

export interface ResourceProblem {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** Such as `projects[0].servers[1].url`; empty for the file as a whole. */
  readonly path: string;
  /** What is wrong; never a secret. */
  readonly message: string;
}

/** The resource file cannot be used; holds every problem found, in the order of the file. */
export class ResourceFileError extends Error {
  override readonly name = 'ResourceFileError';
  readonly problems: readonly ResourceProblem[];

  constructor(fileName: string, problems: readonly ResourceProblem[]) {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    super([`the resource file has ${count}:`, ...problems.map((problem) => formatProblem(fileName, problem))].join('\n'));
    this.problems = problems;
  }
}

function formatProblem(fileName: string, { line, column, path, message }: ResourceProblem): string {
  return `${fileName}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`;
}

export interface ResourceFileOptions extends SecretSources {
  /** As messages name it. */
  readonly fileName: string;
}

/** The data of a resource file together with the way back to positions, for problems that only the directory knows. */
export interface ParsedResourceFile {
  readonly resources: ResourceFile;
  /** The error to throw for problems at these paths of the file. */
  errorAt(problems: readonly { path: readonly PropertyKey[]; message: string }[]): ResourceFileError;
}

/** Throws {@link ResourceFileError}. */
export function parseResourceFile(text: string, options: ResourceFileOptions): ParsedResourceFile {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, stringKeys: true });
  const position = (offset: number): { line: number; column: number } => {
    const { line, col } = counter.linePos(offset);
    return { line, column: col };
  };
  const at = (path: readonly PropertyKey[], message: string): ResourceProblem => {
    const found = locate(document, path);
    return { ...position(found.offset), path: formatPath(path.slice(0, found.depth)), message };
  };
  const fail = (problems: ResourceProblem[]): ResourceFileError => {
    return new ResourceFileError(
      options.fileName,
      problems.sort((a, b) => a.line - b.line || a.column - b.column),
    );
  };

  const broken = [...document.errors, ...document.warnings];
  if (broken.length > 0)
    throw fail(broken.map((error) => ({ ...position(error.pos[0]), path: '', message: yamlMessage(error) })));
  const data = plainData(document, (message, offset) => fail([{ ...position(offset), path: '', message }]));
  if (data === null || (typeof data === 'object' && Object.keys(data).length === 0)) {
    throw fail([at([], 'the file declares nothing; "projects: []" would say so on purpose')]);
  }
  const result = resourceSchema(options).safeParse(data, { error: issueMessage });
  const problems = [...(result.success ? [] : result.error.issues.flatMap(issueProblems)), ...crossProblems(data)];
  if (!result.success || problems.length > 0) throw fail(problems.map(({ path, message }) => at(path, message)));
  return { resources: result.data, errorAt: (found) => fail(found.map(({ path, message }) => at(path, message))) };
}

/** The library's messages speak to programmers where a setting or another function would help. */
function yamlMessage({ code, message }: YAMLError): string {
  if (code === 'MULTIPLE_DOCS') return 'a second document starts here; a resource file holds one';
  if (code === 'NON_STRING_KEY') return 'a key must be text';
  return message;
}

/** The library bounds what aliases may expand to, and finds out only here that one has no anchor. */
function plainData(document: Document, failed: (message: string, offset: number) => Error): unknown {
  try {
    return document.toJS();
  } catch (error) {
    const loose = looseAlias(document);
    if (loose !== undefined) throw failed(`there is no anchor &${loose.source} before this alias`, startOf(loose) ?? 0);
    throw failed(error instanceof Error ? error.message : String(error), 0);
  }
}

function looseAlias(document: Document): Alias | undefined {
  let found: Alias | undefined;
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return undefined;
      found = alias;
      return visit.BREAK;
    },
  });
  return found;
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'text (put it in quotes)',
  array: 'a list',
  object: 'keys with values',
  record: 'keys with values',
  boolean: 'true or false',
};

function issueMessage(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type') {
    return issue.input === undefined ? 'is missing' : `must be ${typeNames[issue.expected] ?? issue.expected}`;
  }
  if (issue.code === 'invalid_value') {
    const known = issue.values.map(String);
    return `must be one of ${known.join(', ')}${typeof issue.input === 'string' ? didYouMean(issue.input, known) : ''}`;
  }
  return undefined;
}

function issueProblems(issue: z.core.$ZodIssue): { path: PropertyKey[]; message: string }[] {
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split(' ');
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: `unknown key${didYouMean(key, known)}` }));
  }
  const [inner] = issue.code === 'invalid_key' ? issue.issues : [];
  return [{ path: issue.path, message: inner?.message ?? issue.message }];
}

/** The offset of what `path` names, or of the deepest thing on the way that exists, and how far that was. */
function locate(document: Document, path: readonly PropertyKey[]): { offset: number; depth: number } {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, step] of path.entries()) {
    const whole = node instanceof Alias ? node.resolve(document) : node;
    const found = isCollection(whole) ? child(whole, step) : undefined;
    // A missing key belongs to the path, an index into a single value does not.
    if (found === undefined) return { offset, depth: isMap(whole) ? depth + 1 : depth };
    node = found.node;
    offset = found.offset ?? offset;
  }
  return { offset, depth: path.length };
}

/** An element of a list, or a value of a map, which is found at its key. */
function child(
  collection: Node & { items: unknown[] },
  step: PropertyKey,
): { node: unknown; offset: number | undefined } | undefined {
  if (!isMap(collection)) {
    const node = typeof step === 'number' ? collection.items[step] : undefined;
    return node === undefined ? undefined : { node, offset: startOf(node) };
  }
  const pair = collection.items.find(({ key }) => isScalar(key) && key.value === step);
  return isPair(pair) ? { node: pair.value, offset: startOf(pair.key) } : undefined;
}

function startOf(node: unknown): number | undefined {
  return isScalar(node) || isCollection(node) || node instanceof Alias ? node.range?.[0] : undefined;
}

/** `projects[0].servers[1].url`. */
function formatPath(path: readonly PropertyKey[]): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index > 0 ? '.' : ''}${String(step)}`)).join('');
}
