import { sql } from 'kysely';
import { chunks, inChunks } from './chunks.ts';
import { refuseTakenPaths } from './paths.ts';
import type { NewRow, Row, Trx } from './schema.ts';

/** The new rows, in no particular order. Throws `conflict` when a group or a project has one of the paths. */
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

/** At most `limit` groups with ids after `id`, in the order of the ids; of those with the ids `within`, or of all (`null`). */
export function groupsAfter(trx: Trx, id: number, limit: number, within: readonly number[] | null): Promise<Row<'groups'>[]> {
  const all = trx.selectFrom('groups').selectAll().orderBy('id').limit(limit);
  if (within === null) return all.where('id', '>', id).execute();
  const wanted = within.filter((each) => each > id).sort((a, b) => a - b);
  return wanted.length === 0 ? Promise.resolve([]) : all.where('id', 'in', wanted.slice(0, limit)).execute();
}

export async function updateGroup(trx: Trx, id: number, change: Pick<Row<'groups'>, 'description'>): Promise<void> {
  await trx.updateTable('groups').set(change).where('id', '=', id).execute();
}
