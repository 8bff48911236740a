/** Reading a resource file (contract §9): text → checked data, or every problem with its position. */
import { type Alias, type Document, LineCounter, parseDocument, visit, type YAMLError } from 'yaml';
import { type DataProblem, issueMessage, issueProblems } from '../config/shapes.ts';
import { formatPath, locate, startOf } from '../config/yaml-place.ts';
import { crossProblems } from './resource-checks.ts';
import { type ResourceFile, resourceSchema } from './resource-schema.ts';
import type { SecretSources } from './resource-secrets.ts';

export type { ResourceFile } from './resource-schema.ts';
export type { ServerSpec } from './server-schema.ts';

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
  errorAt(problems: readonly DataProblem[]): ResourceFileError;
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
  const problems = [...(result.success ? [] : issueProblems(result.error.issues)), ...crossProblems(data)];
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
