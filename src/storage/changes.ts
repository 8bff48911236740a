/** The change log, which triggers write. A process that has read up to some `seq` asks for what came after it. */
import type { Kysely } from 'kysely';
import type { Row, Schema, Trx } from './schema.ts';

/** 0 where nothing was ever logged. */
export async function latestSeq(trx: Kysely<Schema>): Promise<number> {
  const { seq } = await trx
    .selectFrom('changes')
    .select((eb) => eb.fn.max('seq').as('seq'))
    .executeTakeFirstOrThrow();
  return seq ?? 0;
}

/** The first `seq` that is still there, 0 for an empty log. Who has read less than the one before it has to read all tables. */
export async function oldestSeq(trx: Trx): Promise<number> {
  const { seq } = await trx
    .selectFrom('changes')
    .select((eb) => eb.fn.min('seq').as('seq'))
    .executeTakeFirstOrThrow();
  return seq ?? 0;
}

/** At most `limit` changes after `seq`, oldest first. Their order is the order of the commits. */
export function changesAfter(trx: Kysely<Schema>, seq: number, limit: number): Promise<Row<'changes'>[]> {
  return trx.selectFrom('changes').selectAll().where('seq', '>', seq).orderBy('seq').limit(limit).execute();
}

/** Forgets all but about the last `keep` (≥ 1) changes. */
export async function pruneChanges(trx: Trx, keep: number): Promise<void> {
  await trx
    .deleteFrom('changes')
    .where('seq', '<=', (await latestSeq(trx)) - keep)
    .execute();
}
