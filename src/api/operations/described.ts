/** What groups and projects have in common: a path that is made once, and a description. */
import type { AuditObject } from '../../ops/audit.ts';
import type { Trx } from '../../storage/schema.ts';
import type { Call } from '../operation.ts';
import { faultAt } from '../problem.ts';

/** The path of what is made below `parent`, which may be the instance. Throws `bad_data` for a name that cannot be. */
export function newPath({ kind, name: above }: AuditObject, name: string, problemOf: (path: string) => string | null): string {
  const path = kind === 'instance' ? name : `${above}/${name}`;
  const problem = name.includes('/') ? 'must be one part of a path, without "/"' : problemOf(path);
  if (problem !== null) throw faultAt(['name'], problem);
  return path;
}

/** Gives the row as it is then. */
export async function describe<T extends { readonly id: number; readonly description: string }>(
  { trx, object, body, record, unchanged }: Call<unknown, { description?: string | undefined }>,
  row: T,
  update: (trx: Trx, id: number, change: { description: string }) => Promise<void>,
): Promise<T> {
  const { description = row.description } = body;
  if (description === row.description) {
    unchanged();
    return row;
  }
  await update(trx, row.id, { description });
  record('changed', object, { fields: ['description'] });
  return { ...row, description };
}
