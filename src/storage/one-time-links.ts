/** Links that let their bearer set a password, once. What is stored of one is its hash. */
import type { Row, Trx } from './schema.ts';

export async function insertLink(trx: Trx, link: Omit<Row<'one_time_links'>, 'id'>): Promise<void> {
  await trx.insertInto('one_time_links').values(link).execute();
}

/** One that has not expired. */
export function findLink(trx: Trx, hash: string, now: number): Promise<Row<'one_time_links'> | undefined> {
  return trx.selectFrom('one_time_links').selectAll().where('hash', '=', hash).where('expires_at', '>', now).executeTakeFirst();
}

/** Those of a user; `null`: those for the first administrator. */
export async function removeLinksOf(trx: Trx, userId: number | null): Promise<void> {
  await trx
    .deleteFrom('one_time_links')
    .where('user_id', userId === null ? 'is' : '=', userId)
    .execute();
}
