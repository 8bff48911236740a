import { type Insertable, sql } from 'kysely';
import { rowsByIds } from './chunks.ts';
import { refuseTakenPath } from './paths.ts';
import type { ProjectRow, Row, Trx } from './schema.ts';

/** Throws `bad_data` when a project or a group has the path. */
export async function insertProject(trx: Trx, project: Omit<Insertable<ProjectRow>, 'id'>): Promise<Row<'projects'>> {
  await refuseTakenPath(trx, project.path);
  return trx.insertInto('projects').values(project).returningAll().executeTakeFirstOrThrow();
}

export async function updateProject(trx: Trx, id: number, change: Pick<Row<'projects'>, 'managed_by'>): Promise<void> {
  await trx.updateTable('projects').set(change).where('id', '=', id).execute();
}

/** Deletes all below it, too. */
export async function deleteProject(trx: Trx, id: number): Promise<void> {
  await trx.deleteFrom('projects').where('id', '=', id).execute();
}

/** Upper and lower case are the same in a path. */
export function findProject(trx: Trx, path: string): Promise<Row<'projects'> | undefined> {
  return trx.selectFrom('projects').selectAll().where(sql`lower(path)`, '=', path.toLowerCase()).executeTakeFirst();
}

export function allProjects(trx: Trx): Promise<Row<'projects'>[]> {
  return trx.selectFrom('projects').selectAll().orderBy('id').execute();
}

export function projectsByIds(trx: Trx, ids: Iterable<number>): Promise<Row<'projects'>[]> {
  return rowsByIds(ids, (chunk) => trx.selectFrom('projects').selectAll().where('id', 'in', chunk).execute());
}
