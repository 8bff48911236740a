/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  /** Where the value came from: a flag, a variable or the file's name. */
  readonly source: string;
  /** Dotted path of the key, such as `limits.timeout`; empty where the problem is the source itself. */
  readonly path: string;
  /** Line in the file, from 1. */
  readonly line?: number;
  /** What is wrong and what would be right; never a secret. */
  readonly message: string;
}

/** `--listen: …`, `PROMGATE_LISTEN: …` or `promgate.yml:3: limits.timeout: …`. */
export function formatProblem({ source, path, line, message }: ConfigProblem): string {
  // A flag or a variable names its key already; a file's line does not.
  const inFile = line !== undefined;
  return `${source}${inFile ? `:${line}` : ''}: ${inFile && path !== '' ? `${path}: ` : ''}${message}`;
}

/** The configuration cannot be used; holds every problem found, not only the first. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    super(`the configuration has ${count}:\n${problems.map((problem) => `  ${formatProblem(problem)}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}
