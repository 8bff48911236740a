/** Purges of the cache, by subject: see `cache/purge.ts`. */
import { sql } from 'kysely';
import { inChunks } from './chunks.ts';
import type { Row, Trx } from './schema.ts';

/** Gives the subject a new epoch: `now` (Unix milliseconds), and always more than before. */
export async function bumpPurge(trx: Trx, subject: string, now: number): Promise<void> {
  const known = await trx.selectFrom('cache_purges').select(['id', 'epoch']).where('subject', '=', subject).executeTakeFirst();
  if (known === undefined) await trx.insertInto('cache_purges').values({ subject, epoch: now }).execute();
  else {
    const epoch = Math.max(now, known.epoch + 1);
    await trx.updateTable('cache_purges').set({ epoch }).where('id', '=', known.id).execute();
  }
}

/** Forgets the subjects that start with `prefix`, but for those that start with `except`. */
export async function forgetPurges(trx: Trx, prefix: string, except: string): Promise<void> {
  // No `like`: what is compared may hold its wildcards.
  await trx
    .deleteFrom('cache_purges')
    .where(sql`substr(subject, 1, ${sql.lit(prefix.length)})`, '=', prefix)
    .where(sql`substr(subject, 1, ${sql.lit(except.length)})`, '<>', except)
    .execute();
}

export function allPurges(trx: Trx): Promise<Row<'cache_purges'>[]> {
  return trx.selectFrom('cache_purges').selectAll().orderBy('id').execute();
}

export function purgesByIds(trx: Trx, ids: Iterable<number>): Promise<Row<'cache_purges'>[]> {
  return inChunks(ids, (chunk) => trx.selectFrom('cache_purges').selectAll().where('id', 'in', chunk).execute());
}
