/** What the shapes of files are built from (zod), and the words for whatever does not fit them. */
import { z } from 'zod';
import { readSecret, type SecretSources } from '../directory/resource-secrets.ts';
import { didYouMean } from './suggest.ts';
import { parseDuration } from './units.ts';

/** What is wrong with a value, in words that follow its name and never repeat it (it may be a secret), or `null`. */
export type Problem = (text: string) => string | null;

/** A problem and where it is in the data. */
export interface DataProblem {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

export const filled: Problem = (text) => (text === '' ? 'must not be empty' : null);

/** An object with these keys only. The message of the issue about others lists the keys there are, for {@link issueProblems}. */
export function shape<T extends z.ZodRawShape>(fields: T) {
  return z.strictObject(fields, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(fields).join(' ') : undefined),
  });
}

export function text(problem: Problem) {
  return z.string().check((context) => {
    const message = problem(context.value);
    if (message !== null) context.issues.push({ code: 'custom', message, input: context.value });
  });
}

/** Text, `{ env: NAME }` or `{ file: path }`. */
export function secret(sources: SecretSources, problem: Problem = () => null) {
  return z.unknown().transform((raw, context): string => {
    const reading = raw === undefined ? { problem: 'is missing' } : readSecret(raw, sources);
    const message = 'problem' in reading ? reading.problem : problem(reading.text);
    if (message !== null) context.addIssue({ code: 'custom', message });
    return 'text' in reading ? reading.text : '';
  });
}

/** Left out, or left empty as in `servers:`, is the same as an empty list. */
export function list<T extends z.ZodType>(item: T) {
  return z
    .array(item)
    .nullish()
    .transform((items) => items ?? []);
}

/** Text or a list of texts. Not for secrets: the problem with `true` or `5` shows how to write it. */
export function oneOrMore<T extends z.ZodType>(item: T) {
  const many = z
    .array(item, {
      error: ({ input }) =>
        typeof input === 'boolean' || Number.isSafeInteger(input)
          ? `must be text: write "${input}", with quotes`
          : 'must be a value or a list of values; numbers in quotes',
    })
    .min(1, { error: 'must not be empty' });
  return z.preprocess((raw) => (typeof raw === 'string' ? [raw] : raw), many).transform((items) => [...new Set(items)]);
}

/** Milliseconds between the two, both included; `rule` says so in words. */
export function duration(least: number, most: number, rule: string) {
  return written((raw) => {
    const milliseconds = parseDuration(raw);
    if (milliseconds === null) return { problem: 'must be a duration such as 500ms, 30s, 1h30m or 31d' };
    return milliseconds < least || milliseconds > most ? { problem: rule } : { value: milliseconds };
  });
}

/** YAML makes numbers of `0` and `4096`: read as they are written. */
export function written(read: (raw: string) => { value: number } | { problem: string }) {
  return z.union([z.string(), z.number()]).transform((raw, context): number => {
    const reading = read(String(raw));
    if ('value' in reading) return reading.value;
    context.addIssue({ code: 'custom', message: reading.problem });
    return z.NEVER;
  });
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'text (put it in quotes)',
  array: 'a list',
  object: 'keys with values',
  record: 'keys with values',
  boolean: 'true or false',
};

/** The `error` of `safeParse`. */
export function issueMessage(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type') {
    return issue.input === undefined ? 'is missing' : `must be ${typeNames[issue.expected] ?? issue.expected}`;
  }
  if (issue.code === 'invalid_value') {
    const known = issue.values.map(String);
    return `must be one of ${known.join(', ')}${typeof issue.input === 'string' ? didYouMean(issue.input, known) : ''}`;
  }
  return undefined;
}

/** The issues of a failed `safeParse`, for people. */
export function issueProblems(issues: readonly z.core.$ZodIssue[]): DataProblem[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const known = issue.message.split(' ');
      return issue.keys.map((key) => ({ path: [...issue.path, key], message: `unknown key${didYouMean(key, known)}` }));
    }
    const [inner] = issue.code === 'invalid_key' ? issue.issues : [];
    return [{ path: issue.path, message: inner?.message ?? issue.message }];
  });
}
