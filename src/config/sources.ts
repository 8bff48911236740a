import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type ConfigFile, emptyFile, type RawValue, readConfigFile, readFailure } from './file.ts';
import type { ConfigProblem } from './problems.ts';
import { flagName, type KeyName, keys, pathsOf, variableName } from './schema.ts';
import { didYouMean } from './suggest.ts';

export interface Sources {
  /** A command's options as commander names them: `--limits-timeout` is `limitsTimeout`. Others are ignored. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Directory of `promgate.yml` and of relative paths in flags and variables. */
  readonly cwd: string;
}

const defaultFile = 'promgate.yml';
/** Variables that are no settings. */
const otherVariables = ['PROMGATE_CONFIG', 'PROMGATE_DEBUG'];

/**
 * Reads all sources: for every key that is given anywhere, its text from the first of flags, variables and file. A `…_file`
 * key is replaced by what its file holds. The sections of the file that are no plain values come as they are there.
 */
export function readSources({ flags, env, cwd }: Sources, problems: ConfigProblem[]): ConfigFile {
  const variables = readVariables(env, cwd, problems);
  const file = readFile({ flags, env, cwd }, problems);
  const layers = [readFlags(flags, cwd), variables, file.values];
  const values = new Map<string, RawValue>();
  for (const key of keys) {
    for (const layer of layers) {
      const value = valueIn(layer, key, problems);
      if (value === null) continue;
      // A problem was noted where the value is missing: what a later layer says was not meant either.
      if (value) values.set(key.path, value);
      break;
    }
  }
  return { values, identity: file.identity };
}

/** The key's value in one layer; `null` where the layer has none, `undefined` where it cannot be had. */
function valueIn(layer: ReadonlyMap<string, RawValue>, key: KeyName, problems: ConfigProblem[]): RawValue | null | undefined {
  const plain = layer.get(key.path);
  const fromFile = key.secret ? layer.get(`${key.path}_file`) : undefined;
  if (!fromFile) return plain ?? null;
  const at = { source: fromFile.source, path: `${key.path}_file`, ...(fromFile.line ? { line: fromFile.line } : {}) };
  if (plain) {
    const other = plain.line === undefined ? plain.source : key.path;
    problems.push({ ...at, message: `is given together with ${other}; give one of the two` });
    return undefined;
  }
  const file = resolve(fromFile.baseDir, fromFile.text);
  try {
    return { ...fromFile, text: readFileSync(file, 'utf8').trim() };
  } catch (error) {
    problems.push({ ...at, message: `cannot read "${fromFile.text}": ${readFailure(error)}` });
    return undefined;
  }
}

function readFlags(flags: Sources['flags'], cwd: string): Map<string, RawValue> {
  const values = new Map<string, RawValue>();
  for (const path of keys.flatMap(pathsOf)) {
    const name = flagName(path);
    const text = flags[name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())];
    if (typeof text === 'string') values.set(path, { text, source: `--${name}`, baseDir: cwd });
  }
  return values;
}

/** An empty variable counts as not set: containers are often started with empty ones. */
function readVariables(env: Sources['env'], cwd: string, problems: ConfigProblem[]): Map<string, RawValue> {
  const paths = new Map(keys.flatMap(pathsOf).map((path) => [variableName(path), path]));
  const known = [...paths.keys(), ...otherVariables];
  const values = new Map<string, RawValue>();
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('PROMGATE_')) continue;
    const path = paths.get(name);
    if (path === undefined) {
      if (!known.includes(name)) problems.push({ source: name, path: '', message: `unknown variable${didYouMean(name, known)}` });
    } else if (text) values.set(path, { text, source: name, baseDir: cwd });
  }
  return values;
}

function readFile({ flags, env, cwd }: Sources, problems: ConfigProblem[]): ConfigFile {
  const fromFlag = typeof flags.config === 'string' ? flags.config : undefined;
  const name = fromFlag ?? (env.PROMGATE_CONFIG || undefined);
  if (name === undefined && !existsSync(resolve(cwd, defaultFile))) return emptyFile;
  const askedBy = fromFlag === undefined ? (name === undefined ? defaultFile : 'PROMGATE_CONFIG') : '--config';
  return readConfigFile({ file: resolve(cwd, name ?? defaultFile), name: name ?? defaultFile, askedBy, env }, problems);
}
