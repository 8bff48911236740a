import { sql } from 'kysely';
import { chunks, inChunks } from './chunks.ts';
import { refuseTakenPaths } from './paths.ts';
import type { NewRow, Row, Trx } from './schema.ts';

/** The new rows, in no particular order. Throws `conflict` when a group or a project has one of the paths. */
export async function insertProjects(trx: Trx, projects: readonly NewRow<'projects'>[]): Promise<Row<'projects'>[]> {
  await refuseTakenPaths(
    trx,
    projects.map(({ path }) => path),
  );
  return inChunks(projects, (chunk) => trx.insertInto('projects').values(chunk).returningAll().execute());
}

/** Deletes all below them, too. */
export async function deleteProjects(trx: Trx, ids: Iterable<number>): Promise<void> {
  for (const chunk of chunks(ids)) await trx.deleteFrom('projects').where('id', 'in', chunk).execute();
}

/** Upper and lower case are the same in a path. */
export function findProject(trx: Trx, path: string): Promise<Row<'projects'> | undefined> {
  return trx.selectFrom('projects').selectAll().where(sql`lower(path)`, '=', path.toLowerCase()).executeTakeFirst();
}

export function allProjects(trx: Trx): Promise<Row<'projects'>[]> {
  return trx.selectFrom('projects').selectAll().orderBy('id').execute();
}

export function projectsByIds(trx: Trx, ids: Iterable<number>): Promise<Row<'projects'>[]> {
  return inChunks(ids, (chunk) => trx.selectFrom('projects').selectAll().where('id', 'in', chunk).execute());
}

/** At most `limit` projects with ids after `id`, in the order of the ids; of those with the ids `within`, or of all (`null`). */
export function projectsAfter(trx: Trx, id: number, limit: number, within: readonly number[] | null): Promise<Row<'projects'>[]> {
  const all = trx.selectFrom('projects').selectAll().orderBy('id').limit(limit);
  if (within === null) return all.where('id', '>', id).execute();
  const wanted = within.filter((each) => each > id).sort((a, b) => a - b);
  return wanted.length === 0 ? Promise.resolve([]) : all.where('id', 'in', wanted.slice(0, limit)).execute();
}

/** Of the projects directly in the group. */
export async function projectIdsIn(trx: Trx, groupId: number): Promise<number[]> {
  const rows = await trx.selectFrom('projects').select('id').where('group_id', '=', groupId).execute();
  return rows.map(({ id }) => id);
}

export async function updateProject(trx: Trx, id: number, change: Pick<Row<'projects'>, 'description'>): Promise<void> {
  await trx.updateTable('projects').set(change).where('id', '=', id).execute();
}
