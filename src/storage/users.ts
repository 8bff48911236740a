/** Accounts. Who may change what, and the rules for names and passwords, are in `access/`. */
import { sql } from 'kysely';
import { PromgateError } from '../errors.ts';
import type { Row, Trx } from './schema.ts';

export interface NewUser {
  readonly username: string;
  readonly name: string;
  readonly email: string | null;
  readonly admin: boolean;
  /** See `access/passwords.ts`; `null`: cannot sign in with a password. */
  readonly passwordHash: string | null;
  /** Unix milliseconds, as all times here. */
  readonly createdAt: number;
}

/** Throws `conflict` where somebody has the username, in whatever case. */
export async function insertUser(trx: Trx, user: NewUser): Promise<Row<'users'>> {
  if ((await findUserByName(trx, user.username)) !== undefined) {
    throw new PromgateError('conflict', `the username ${user.username} is taken`);
  }
  return trx
    .insertInto('users')
    .values({
      username: user.username,
      name: user.name,
      email: user.email,
      admin: user.admin ? 1 : 0,
      admin_by: null,
      state: 'active',
      password_hash: user.passwordHash,
      created_at: user.createdAt,
      last_sign_in_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}

export function findUser(trx: Trx, id: number): Promise<Row<'users'> | undefined> {
  return trx.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Upper and lower case are the same. */
export function findUserByName(trx: Trx, username: string): Promise<Row<'users'> | undefined> {
  return trx.selectFrom('users').selectAll().where(sql<boolean>`lower(username) = ${username.toLowerCase()}`).executeTakeFirst();
}

/** All with this address, in whatever case: nothing says that there is only one. */
export function usersByEmail(trx: Trx, email: string): Promise<Row<'users'>[]> {
  return trx
    .selectFrom('users')
    .selectAll()
    .where('email', 'is not', null)
    .where(sql<boolean>`lower(email) = ${email.toLowerCase()}`)
    .orderBy('id')
    .execute();
}

/** At most `limit` with ids after `id`, in the order of the ids. */
export function usersAfter(trx: Trx, id: number, limit: number): Promise<Row<'users'>[]> {
  return trx.selectFrom('users').selectAll().where('id', '>', id).orderBy('id').limit(limit).execute();
}

type Changeable = Pick<Row<'users'>, 'username' | 'name' | 'email' | 'admin' | 'admin_by' | 'state' | 'password_hash'>;

/** `undefined`: there is no such user. */
export function updateUser(
  trx: Trx,
  id: number,
  changes: Partial<Changeable & Pick<Row<'users'>, 'last_sign_in_at'>>,
): Promise<Row<'users'> | undefined> {
  return trx.updateTable('users').set(changes).where('id', '=', id).returningAll().executeTakeFirst();
}

/** With what belongs to the user: sessions, roles, linked accounts, personal tokens. */
export async function deleteUser(trx: Trx, id: number): Promise<void> {
  await trx.deleteFrom('users').where('id', '=', id).execute();
}

/** Whether there is one who may sign in. */
export async function hasActiveAdministrator(trx: Trx): Promise<boolean> {
  const found = await administrators(trx).where('state', '=', 'active').executeTakeFirst();
  return found !== undefined;
}

/** Whether anybody is an administrator, blocked ones included: blocking the only one must not open the way to become the first. */
export async function hasAdministrator(trx: Trx): Promise<boolean> {
  const found = await administrators(trx).executeTakeFirst();
  return found !== undefined;
}

function administrators(trx: Trx) {
  return trx
    .selectFrom('users')
    .select('id')
    .where((eb) => eb.or([eb('admin', '=', 1), eb('admin_by', 'is not', null)]))
    .limit(1);
}
