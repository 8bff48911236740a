import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, type YAMLMap } from 'yaml';
import type { SecretSources } from '../directory/resource-secrets.ts';
import { type Identity, identitySections, readIdentity } from './identity-schema.ts';
import type { ConfigProblem } from './problems.ts';
import { keys, pathsOf } from './schema.ts';
import { didYouMean } from './suggest.ts';
import { formatPath, locate } from './yaml-place.ts';

/** The text of one value and where it stood, before anything is known of its meaning. */
export interface RawValue {
  readonly text: string;
  readonly source: string;
  readonly line?: number;
  /** Directory that relative paths start from. */
  readonly baseDir: string;
}

/** What the file holds: dotted path → text of the value, and the sections that are no plain values. */
export interface ConfigFile {
  readonly values: ReadonlyMap<string, RawValue>;
  readonly identity: Identity;
}

export const emptyFile: ConfigFile = { values: new Map(), identity: { providers: [], issuers: [] } };

/** Takes a line for people about something that is no error. */
export type Warn = (line: string) => void;

const listPaths = new Set(keys.filter((key) => key.list).map((key) => key.path));
const knownPaths = keys.flatMap(pathsOf);
const sections = new Set(knownPaths.filter((path) => path.includes('.')).map((path) => path.slice(0, path.indexOf('.'))));

/** Why a file cannot be read, in words. */
export function readFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'this user may not read it';
  if (code === 'EISDIR') return 'it is a directory';
  return error instanceof Error ? error.message : String(error);
}

/**
 * Reads a YAML configuration file. Whatever is no known key with a value that it may have goes to `problems`. `name` is how
 * the user calls the file, `askedBy` the flag or variable that names it; `env` is for secrets given as `{ env: NAME }`.
 */
export function readConfigFile(
  { file, name, askedBy, env }: { file: string; name: string; askedBy: string; env: SecretSources['env'] },
  problems: ConfigProblem[],
): ConfigFile {
  const values = new Map<string, RawValue>();
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    problems.push({ source: askedBy, path: '', message: `cannot read "${name}": ${readFailure(error)}` });
    return emptyFile;
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (node: { range?: readonly number[] | null } | null, path: string, message: string): ConfigProblem => {
    return { source: name, path, line: lines.linePos(node?.range?.[0] ?? 0).line, message };
  };
  const complain = (...about: Parameters<typeof at>): void => {
    problems.push(at(...about));
  };
  for (const error of [...document.errors, ...document.warnings]) {
    problems.push({ source: name, path: '', line: lines.linePos(error.pos[0]).line, message: error.message });
  }
  // What stands in a broken document is not what its author meant.
  if (document.errors.length > 0) return emptyFile;

  const follow = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
  const baseDir = dirname(file);

  const identityData: Record<string, unknown> = {};
  const plainData = ({ key, value }: Pair): unknown => {
    try {
      return isNode(value) ? value.toJS(document) : null;
    } catch (error) {
      // An alias that has no anchor, or too many of them.
      complain(isScalar(key) ? key : null, String(key), error instanceof Error ? error.message : String(error));
      return null;
    }
  };

  const readSection = (map: YAMLMap, prefix: string): void => {
    for (const pair of map.items) {
      const keyNode = isScalar(pair.key) ? pair.key : null;
      const path = `${prefix}${keyNode ? String(keyNode.value) : '?'}`;
      const value = follow(pair.value);
      if (prefix === '' && identitySections.some((section) => section === path)) {
        identityData[path] = plainData(pair);
      } else if (prefix === '' && sections.has(path)) {
        if (isMap(value)) readSection(value, `${path}.`);
        else if (!isEmpty(value)) complain(keyNode, path, 'holds keys of its own, it has no value');
      } else if (!knownPaths.includes(path)) {
        complain(keyNode ?? map, path, `unknown key${didYouMean(path, [...knownPaths, ...sections, ...identitySections])}`);
      } else {
        const plain = listPaths.has(path) ? listText(value, follow) : scalarText(value);
        if (plain !== null) {
          const start = keyNode?.range?.[0] ?? 0;
          values.set(path, { text: plain, source: name, line: lines.linePos(start).line, baseDir });
        } else if (isEmpty(value)) complain(keyNode, path, 'has no value; leave the key out for the default');
        else complain(keyNode, path, listPaths.has(path) ? 'must be a list of plain values' : 'must be one plain value');
      }
    }
  };

  if (isMap(document.contents)) readSection(document.contents, '');
  else if (document.contents && !isEmpty(document.contents)) {
    complain(document.contents, '', 'must hold keys with values, such as `listen: 127.0.0.1:9490`');
  }
  const identity = readIdentity(identityData, { env, directory: baseDir });
  if ('value' in identity) return { values, identity: identity.value };
  for (const { path, message } of identity.problems) {
    const { offset, depth } = locate(document, path);
    problems.push({ source: name, path: formatPath(path.slice(0, depth)), line: lines.linePos(offset).line, message });
  }
  return { values, identity: emptyFile.identity };
}

function isEmpty(node: unknown): boolean {
  return node === null || node === undefined || (isScalar(node) && node.value === null);
}

/** The value as it was written, so that `1_000` or `0x10` is not turned into something else before it is judged. */
function scalarText(node: unknown): string | null {
  if (!isScalar(node) || node.value === null) return null;
  return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
}

function listText(node: unknown, follow: (node: unknown) => unknown): string | null {
  if (!isSeq<Node>(node)) return scalarText(node);
  const texts = node.items.map((item) => scalarText(follow(item)));
  return texts.every((text) => text !== null) ? texts.join(',') : null;
}
