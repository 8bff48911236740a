/** One row at a time, as tests like it. */
import { insertEnvironments } from '../../src/storage/environments.ts';
import { insertGroups } from '../../src/storage/groups.ts';
import { insertProjects } from '../../src/storage/projects.ts';
import type { NewRow, Row, Trx } from '../../src/storage/schema.ts';

export async function insertGroup(trx: Trx, group: NewRow<'groups'>): Promise<Row<'groups'>> {
  return only(await insertGroups(trx, [group]));
}

export async function insertProject(trx: Trx, project: NewRow<'projects'>): Promise<Row<'projects'>> {
  return only(await insertProjects(trx, [project]));
}

export async function insertEnvironment(trx: Trx, environment: NewRow<'environments'>): Promise<Row<'environments'>> {
  return only(await insertEnvironments(trx, [environment]));
}

function only<T>(rows: T[]): T {
  const [row] = rows;
  if (row === undefined || rows.length !== 1) throw new Error(`${rows.length} rows instead of one`);
  return row;
}
