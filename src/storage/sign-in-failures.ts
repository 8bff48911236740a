/** Counters of failed sign-ins. What they are counted by, and what follows, is in `access/throttle.ts`. */
import { sql } from 'kysely';
import type { Row, Trx } from './schema.ts';

/** By key. */
export async function failuresOf(trx: Trx, keys: readonly string[]): Promise<Map<string, Row<'sign_in_failures'>>> {
  const rows = await trx.selectFrom('sign_in_failures').selectAll().where('key', 'in', keys).execute();
  return new Map(rows.map((row) => [row.key, row]));
}

/** Puts these in the place of what was counted by their keys. */
export async function putFailures(trx: Trx, rows: readonly Row<'sign_in_failures'>[]): Promise<void> {
  await trx
    .insertInto('sign_in_failures')
    .values(rows)
    .onConflict((conflict) =>
      conflict.column('key').doUpdateSet((eb) => ({
        user_id: eb.ref('excluded.user_id'),
        failures: eb.ref('excluded.failures'),
        first_at: eb.ref('excluded.first_at'),
        last_at: eb.ref('excluded.last_at'),
      })),
    )
    .execute();
}

/** One less, where it is still counted from `firstAt` on. */
export async function takeBackFailure(trx: Trx, key: string, firstAt: number): Promise<void> {
  await trx
    .updateTable('sign_in_failures')
    .set({ failures: sql<number>`failures - 1` })
    .where('key', '=', key)
    .where('first_at', '=', firstAt)
    .where('failures', '>', 0)
    .execute();
}

export async function forgetFailures(trx: Trx, key: string): Promise<void> {
  await trx.deleteFrom('sign_in_failures').where('key', '=', key).execute();
}

/** All that the user's account was tried with, from every address. Returns whether there were any. */
export async function forgetFailuresOf(trx: Trx, userId: number): Promise<boolean> {
  const { numDeletedRows } = await trx.deleteFrom('sign_in_failures').where('user_id', '=', userId).executeTakeFirstOrThrow();
  return numDeletedRows > 0n;
}
