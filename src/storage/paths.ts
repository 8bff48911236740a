import { sql } from 'kysely';
import { PromgateError } from '../errors.ts';
import { chunks } from './chunks.ts';
import type { Trx } from './schema.ts';

/** Groups and projects share one space of paths, which no constraint of one table can hold; writers take turns, so this does. */
export async function refuseTakenPaths(trx: Trx, paths: readonly string[]): Promise<void> {
  for (const chunk of chunks(paths.map((path) => path.toLowerCase()))) {
    for (const table of ['groups', 'projects'] as const) {
      const taken = await trx.selectFrom(table).select('path').where(sql`lower(path)`, 'in', chunk).executeTakeFirst();
      if (taken === undefined) continue;
      throw new PromgateError('conflict', `There is a ${table === 'groups' ? 'group' : 'project'} ${taken.path} already.`);
    }
  }
}
