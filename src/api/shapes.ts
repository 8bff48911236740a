/** Pieces of the shapes of questions and answers that several operations have in common. */
import { z } from 'zod';
import { roles } from '../access/roles.ts';

/** Of a record; never used again after it is gone. */
export const id = z.int().positive().meta({ description: 'Number of the record.' });

/** What stands for an id in a path; 0, which no record has, where it is none. */
export function idIn(text = ''): number {
  return /^[1-9]\d{0,15}$/.test(text) ? Number(text) : 0;
}

/** RFC 3339, UTC, with milliseconds. */
export const time = z.iso.datetime().meta({ description: 'RFC 3339.' });

/** The last moment that RFC 3339 can write, in Unix milliseconds. */
export const lastMoment = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Unix milliseconds as the API writes them; what is later than {@link lastMoment} (the command line sets no end) as that. */
export function timeText(at: number): string;
export function timeText(at: number | null): string | null;
export function timeText(at: number | null): string | null {
  return at === null ? null : new Date(Math.min(at, lastMoment)).toISOString();
}

export const role = z.enum(roles);

export const managedBy = z
  .string()
  .nullable()
  .meta({ description: '`apply` where a resource file made it: the next `promgate apply` of that file may change it back.' });

export const endpointUrl = z.string().meta({
  description: 'Where its Prometheus API is: the URL for Grafana and others, with a token, or signed in with the role reporter.',
});

/** Text of one line for people. */
export function textOf(most: number, meaning: string) {
  return z
    .string('must be a text')
    .max(most, `must have at most ${most} characters`)
    .refine((text) => !/\p{Cc}/u.test(text), 'must not hold control characters')
    .meta({ description: meaning });
}

/** What stands in names: never empty. */
export function nameOf(most: number, meaning: string) {
  return textOf(most, meaning).refine((text) => text.trim() !== '', 'must not be empty');
}

/** For `check`: by a function that says what is wrong with a text, or `null`. */
export function fitting(problem: (text: string) => string | null) {
  return (checked: { readonly value: string; readonly issues: z.core.$ZodRawIssue[] }): void => {
    const message = problem(checked.value);
    if (message !== null) checked.issues.push({ code: 'custom', message, input: checked.value });
  };
}

/** The query of a list: see {@link page}. */
export const paging = {
  limit: z.coerce
    .number('must be a number from 1 to 200')
    .int('must be a number from 1 to 200')
    .min(1, 'must be a number from 1 to 200')
    .max(200, 'must be a number from 1 to 200')
    .default(50)
    .meta({ description: 'Most items of this page.' }),
  after: z.coerce
    .number('must be what `next` of the page before says')
    .int('must be what `next` of the page before says')
    .min(0, 'must be what `next` of the page before says')
    .default(0)
    .meta({ description: '`next` of the page before.' }),
};

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    next: z.int().nullable().meta({ description: 'For `after` of the next page; null: this is the last one.' }),
  });
}

/** A list that is never long. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item) });
}

/**
 * One page of what is ordered by id. `rows` are those after the id, one more than `limit` where there are so many.
 */
export function page<T extends { readonly id: number }, Item>(
  rows: readonly T[],
  limit: number,
  show: (row: T) => Item,
): { items: Item[]; next: number | null } {
  const shown = rows.slice(0, limit);
  return { items: shown.map(show), next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null };
}
