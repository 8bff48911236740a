import { type Insertable, sql } from 'kysely';
import { rowsByIds } from './chunks.ts';
import { refuseTakenPath } from './paths.ts';
import type { GroupRow, Row, Trx } from './schema.ts';

/** Throws `bad_data` when a project or a group has the path. */
export async function insertGroup(trx: Trx, group: Omit<Insertable<GroupRow>, 'id'>): Promise<Row<'groups'>> {
  await refuseTakenPath(trx, group.path);
  return trx.insertInto('groups').values(group).returningAll().executeTakeFirstOrThrow();
}

export async function updateGroup(trx: Trx, id: number, change: Pick<Row<'groups'>, 'managed_by'>): Promise<void> {
  await trx.updateTable('groups').set(change).where('id', '=', id).execute();
}

/** Deletes all below it, too. */
export async function deleteGroup(trx: Trx, id: number): Promise<void> {
  await trx.deleteFrom('groups').where('id', '=', id).execute();
}

/** Upper and lower case are the same in a path. */
export function findGroup(trx: Trx, path: string): Promise<Row<'groups'> | undefined> {
  return trx.selectFrom('groups').selectAll().where(sql`lower(path)`, '=', path.toLowerCase()).executeTakeFirst();
}

export function allGroups(trx: Trx): Promise<Row<'groups'>[]> {
  return trx.selectFrom('groups').selectAll().orderBy('id').execute();
}

export function groupsByIds(trx: Trx, ids: Iterable<number>): Promise<Row<'groups'>[]> {
  return rowsByIds(ids, (chunk) => trx.selectFrom('groups').selectAll().where('id', 'in', chunk).execute());
}
