import { PromgateError } from '../errors.ts';
import { findGroup } from './groups.ts';
import { findProject } from './projects.ts';
import type { Trx } from './schema.ts';

/** Groups and projects share one space of paths, which no constraint of one table can hold; writers take turns, so this does. */
export async function refuseTakenPath(trx: Trx, path: string): Promise<void> {
  if ((await findGroup(trx, path)) !== undefined) throw new PromgateError('bad_data', `There is a group ${path} already.`);
  if ((await findProject(trx, path)) !== undefined) throw new PromgateError('bad_data', `There is a project ${path} already.`);
}
