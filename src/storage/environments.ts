import { chunks, inChunks } from './chunks.ts';
import type { NewRow, Row, Trx } from './schema.ts';

/** The new rows, in no particular order. Fails when a project has an environment with the name or the slug. */
export function insertEnvironments(trx: Trx, environments: readonly NewRow<'environments'>[]): Promise<Row<'environments'>[]> {
  return inChunks(environments, (chunk) => trx.insertInto('environments').values(chunk).returningAll().execute());
}

export async function updateEnvironment(
  trx: Trx,
  id: number,
  change: Pick<Row<'environments'>, 'kube_namespace' | 'managed_by'>,
): Promise<void> {
  await trx.updateTable('environments').set(change).where('id', '=', id).execute();
}

/** Deletes their servers and tokens, too. */
export async function deleteEnvironments(trx: Trx, ids: Iterable<number>): Promise<void> {
  for (const chunk of chunks(ids)) await trx.deleteFrom('environments').where('id', 'in', chunk).execute();
}

/** With the name, else with the slug. */
export async function findEnvironment(
  trx: Trx,
  projectId: number,
  name: string,
  slug: string = name,
): Promise<Row<'environments'> | undefined> {
  const own = trx.selectFrom('environments').selectAll().where('project_id', '=', projectId);
  // One after the other, each along its index.
  return (await own.where('name', '=', name).executeTakeFirst()) ?? (await own.where('slug', '=', slug).executeTakeFirst());
}

export function allEnvironments(trx: Trx): Promise<Row<'environments'>[]> {
  return trx.selectFrom('environments').selectAll().orderBy('id').execute();
}

/** At most `limit` environments with ids after `id`, in the order of the ids. */
export function environmentsAfter(trx: Trx, id: number, limit: number): Promise<Row<'environments'>[]> {
  return trx.selectFrom('environments').selectAll().where('id', '>', id).orderBy('id').limit(limit).execute();
}

export function environmentsByIds(trx: Trx, ids: Iterable<number>): Promise<Row<'environments'>[]> {
  return inChunks(ids, (chunk) => trx.selectFrom('environments').selectAll().where('id', 'in', chunk).execute());
}

/** With the path of its project. */
export interface PlacedEnvironment extends Row<'environments'> {
  readonly project_path: string;
}

/**
 * At most `limit` environments with ids after `id`, in the order of the ids; of the projects with the ids `within`, or of all
 * (`null`).
 */
export async function placedEnvironmentsAfter(
  trx: Trx,
  id: number,
  limit: number,
  within: readonly number[] | null,
): Promise<PlacedEnvironment[]> {
  const all = placed(trx).where('environments.id', '>', id).orderBy('environments.id').limit(limit);
  if (within === null) return all.execute();
  const found = await inChunks(within, (chunk) => all.where('project_id', 'in', chunk).execute());
  return found.sort((a, b) => a.id - b.id).slice(0, limit);
}

/** Fails where there is none. */
export function placedEnvironment(trx: Trx, id: number): Promise<PlacedEnvironment> {
  return placed(trx).where('environments.id', '=', id).executeTakeFirstOrThrow();
}

function placed(trx: Trx) {
  return trx
    .selectFrom('environments')
    .innerJoin('projects', 'projects.id', 'environments.project_id')
    .selectAll('environments')
    .select('projects.path as project_path');
}
