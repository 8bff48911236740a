import type { Insertable } from 'kysely';
import { rowsByIds } from './chunks.ts';
import type { EnvironmentRow, Row, Trx } from './schema.ts';

/** Fails when the project has an environment with the name or the slug. */
export function insertEnvironment(trx: Trx, environment: Omit<Insertable<EnvironmentRow>, 'id'>): Promise<Row<'environments'>> {
  return trx.insertInto('environments').values(environment).returningAll().executeTakeFirstOrThrow();
}

export async function updateEnvironment(
  trx: Trx,
  id: number,
  change: Pick<Row<'environments'>, 'kube_namespace' | 'managed_by'>,
): Promise<void> {
  await trx.updateTable('environments').set(change).where('id', '=', id).execute();
}

/** Deletes its servers and tokens, too. */
export async function deleteEnvironment(trx: Trx, id: number): Promise<void> {
  await trx.deleteFrom('environments').where('id', '=', id).execute();
}

export function findEnvironment(trx: Trx, projectId: number, name: string): Promise<Row<'environments'> | undefined> {
  return trx
    .selectFrom('environments')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('name', '=', name)
    .executeTakeFirst();
}

export function listEnvironments(trx: Trx, projectId: number): Promise<Row<'environments'>[]> {
  return trx.selectFrom('environments').selectAll().where('project_id', '=', projectId).orderBy('id').execute();
}

export function allEnvironments(trx: Trx): Promise<Row<'environments'>[]> {
  return trx.selectFrom('environments').selectAll().orderBy('id').execute();
}

export function environmentsByIds(trx: Trx, ids: Iterable<number>): Promise<Row<'environments'>[]> {
  return rowsByIds(ids, (chunk) => trx.selectFrom('environments').selectAll().where('id', 'in', chunk).execute());
}
