import { sql } from 'kysely';
import { chunks, inChunks } from './chunks.ts';
import { refuseTakenPaths } from './paths.ts';
import type { NewRow, Row, Trx } from './schema.ts';

/** The new rows, in no particular order. Throws `bad_data` when a group or a project has one of the paths. */
export async function insertGroups(trx: Trx, groups: readonly NewRow<'groups'>[]): Promise<Row<'groups'>[]> {
  await refuseTakenPaths(
    trx,
    groups.map(({ path }) => path),
  );
  return inChunks(groups, (chunk) => trx.insertInto('groups').values(chunk).returningAll().execute());
}

/** Deletes all below them, too. */
export async function deleteGroups(trx: Trx, ids: Iterable<number>): Promise<void> {
  for (const chunk of chunks(ids)) await trx.deleteFrom('groups').where('id', 'in', chunk).execute();
}

/** Upper and lower case are the same in a path. */
export function findGroup(trx: Trx, path: string): Promise<Row<'groups'> | undefined> {
  return trx.selectFrom('groups').selectAll().where(sql`lower(path)`, '=', path.toLowerCase()).executeTakeFirst();
}

export function allGroups(trx: Trx): Promise<Row<'groups'>[]> {
  return trx.selectFrom('groups').selectAll().orderBy('id').execute();
}

export function groupsByIds(trx: Trx, ids: Iterable<number>): Promise<Row<'groups'>[]> {
  return inChunks(ids, (chunk) => trx.selectFrom('groups').selectAll().where('id', 'in', chunk).execute());
}
