/** Accounts at OpenID providers that belong to users. An issuer and its subject name one, for ever (OpenID Connect Core 1.0, 5.7). */
import type { Row, Trx } from './schema.ts';

/** What names somebody at a provider. */
export interface Subject {
  readonly issuer: string;
  readonly subject: string;
}

export function findIdentity(trx: Trx, { issuer, subject }: Subject): Promise<Row<'identities'> | undefined> {
  return trx.selectFrom('identities').selectAll().where('issuer', '=', issuer).where('subject', '=', subject).executeTakeFirst();
}

/** A user's, in the order of the ids. */
export function identitiesOf(trx: Trx, userId: number): Promise<Row<'identities'>[]> {
  return trx.selectFrom('identities').selectAll().where('user_id', '=', userId).orderBy('id').execute();
}

/** Fails where the subject belongs to a user already. `at` in Unix milliseconds. */
export function insertIdentity(
  trx: Trx,
  { userId, provider, issuer, subject, at }: Subject & { userId: number; provider: string; at: number },
): Promise<Row<'identities'>> {
  return trx
    .insertInto('identities')
    .values({ user_id: userId, provider, issuer, subject, created_at: at, last_sign_in_at: null })
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Notes a sign-in, and by what name the provider goes now. */
export async function touchIdentity(trx: Trx, id: number, provider: string, at: number): Promise<void> {
  await trx.updateTable('identities').set({ provider, last_sign_in_at: at }).where('id', '=', id).execute();
}

export async function deleteIdentity(trx: Trx, id: number): Promise<void> {
  await trx.deleteFrom('identities').where('id', '=', id).execute();
}
