/**
 * Which secret key a database belongs to. A constant, sealed with the key that is used first, lies in it: a program with
 * another key finds out before it writes, instead of sealing with a key that nobody else has.
 */
import type { Keyring } from './crypto.ts';
import type { Database } from './database.ts';
import type { Trx } from './schema.ts';

const constant = 'promgate';

/** Whether the database has a key yet. Throws when that is another one than the keyring's. */
export async function verifyKey(trx: Trx, keyring: Keyring): Promise<boolean> {
  const row = await trx.selectFrom('key_check').select('sealed').executeTakeFirst();
  if (row === undefined) return false;
  try {
    keyring.open(row.sealed, constant);
  } catch {
    throw new Error(
      'The secret key is not the one that this database is used with. Set secret_key (or put back the file secret.key in ' +
        'data_dir) as it was. If that key is lost: promgate apply --new-key with a file of all servers.',
    );
  }
  return true;
}

/** Whether the database is used with a key already: then no new one is to be made. */
export async function hasKey(database: Pick<Database, 'read'>): Promise<boolean> {
  const row = await database.read((trx) => trx.selectFrom('key_check').select('id').executeTakeFirst());
  return row !== undefined;
}

/** Makes the keyring's key the database's, whichever was before. */
export async function registerKey(trx: Trx, keyring: Keyring): Promise<void> {
  const sealed = keyring.seal(constant, constant);
  await trx
    .insertInto('key_check')
    .values({ id: 1, sealed })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ sealed }))
    .execute();
}

/** {@link verifyKey}, and a database without a key gets this one. Of several processes that start at once, one decides. */
export async function checkKey(database: Pick<Database, 'read' | 'write'>, keyring: Keyring): Promise<void> {
  // Most starts find the key: they need not wait for writers.
  if (await database.read((trx) => verifyKey(trx, keyring))) return;
  await database.write(async (trx) => {
    if (!(await verifyKey(trx, keyring))) await registerKey(trx, keyring);
  });
}
