/** Secrets of a resource file: written out, or taken from the environment or from a file. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

export interface SecretSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where relative paths start: the directory of the resource file. */
  readonly directory: string;
}

/** The secret's text, or what is wrong; never both, and the problem never holds the text. */
export type SecretReading = { readonly text: string } | { readonly problem: string };

const forms = 'must be text, { env: NAME } or { file: path }';

/** Reads `raw` as `text`, `{ env: NAME }` or `{ file: path }`. One line break at the end of a file does not count. */
export function readSecret(raw: unknown, sources: SecretSources): SecretReading {
  if (typeof raw === 'string') return { text: raw };
  if (typeof raw !== 'object' || raw === null) return { problem: `${forms}${raw === null ? '' : '; put it in quotes'}` };
  const [entry, ...more] = Object.entries(raw);
  if (entry === undefined || more.length > 0) return { problem: forms };
  const [source, name]: [string, unknown] = entry;
  if (typeof name !== 'string' || name === '') return { problem: forms };
  if (source === 'env') return fromEnvironment(name, sources);
  return source === 'file' ? fromFile(name, sources) : { problem: forms };
}

function fromEnvironment(name: string, { env }: SecretSources): SecretReading {
  const text = env[name];
  if (text === undefined) return { problem: `the environment variable ${name} is not set` };
  return text === '' ? { problem: `the environment variable ${name} is empty` } : { text };
}

function fromFile(name: string, { directory }: SecretSources): SecretReading {
  const path = resolve(directory, name);
  try {
    const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    return text === '' ? { problem: `the file ${path} is empty` } : { text };
  } catch (error) {
    return {
      problem: `cannot read the file ${path}: ${error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'}`,
    };
  }
}
