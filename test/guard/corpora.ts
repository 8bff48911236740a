/** Prometheus' own test queries, where they are at hand (`../shared/corpora/promql`). */
import { existsSync, readFileSync } from 'node:fs';

const folder = new URL('../../../shared/corpora/promql/', import.meta.url);

export const corporaPresent = existsSync(folder);
if (!corporaPresent) process.stderr.write(`PromQL corpora are not at ${folder.pathname}: their tests are skipped\n`);

function read<T>(name: string, otherwise: T): T {
  return corporaPresent ? JSON.parse(readFileSync(new URL(name, folder), 'utf8')) : otherwise;
}

const parsed = read<{ valid: string[]; invalid: string[] }>('parse.json', { valid: [], invalid: [] });
const evaluated = read<string[]>('evaluated.json', []);
const printed = read<{ input: string }[]>('printed.json', []);

/** Expressions that some version of Prometheus reads, each once. */
export const validQueries: readonly string[] = [
  ...new Set([...parsed.valid, ...evaluated, ...printed.map(({ input }) => input)]),
];

/** Expressions that none reads. */
export const invalidQueries: readonly string[] = parsed.invalid;
