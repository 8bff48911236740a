import { Migrator } from 'kysely/migration';
import type { Database } from './database.ts';
import { migrations } from './migrations/index.ts';
import type { Trx } from './schema.ts';

/** Kysely's names, with the product's in front for databases that hold more than Promgate. Never change them. */
const migrationTableName = 'promgate_migration';
const migrationLockTableName = 'promgate_migration_lock';

/**
 * Runs the migrations that the database does not have, all in one write transaction, so that one process does it where several
 * start at once. Throws when the database has one that this program does not know.
 */
export async function migrate(database: Pick<Database, 'dialect' | 'read' | 'write'>): Promise<void> {
  // Most starts find nothing to do: they need not wait for writers.
  if ((await database.read(appliedMigrations)) === migrations.length) return;
  await database.write(async (trx) => {
    await appliedMigrations(trx);
    const steps = migrations.map(({ name, up }) => [name, { up: () => up(trx, database.dialect) }] as const);
    const provider = { getMigrations: async () => Object.fromEntries(steps) };
    const { error } = await new Migrator({ db: trx, provider, migrationTableName, migrationLockTableName }).migrateToLatest();
    if (error !== undefined) throw error;
  });
}

/** The number of migrations that the database has. */
async function appliedMigrations(trx: Trx): Promise<number> {
  const tables = await trx.introspection.getTables();
  if (!tables.some((table) => table.name === migrationTableName)) return 0;
  const applied = await trx
    .withTables<{ [migrationTableName]: { name: string } }>()
    .selectFrom(migrationTableName)
    .select('name')
    .execute();
  const unknown = applied.find(({ name }) => !migrations.some((migration) => migration.name === name));
  if (unknown !== undefined) {
    throw new Error(
      `The database has the migration ${unknown.name}, and this version of Promgate knows them up to ${migrations.at(-1)?.name}: ` +
        'a newer version has used the database. Start that version, or restore a backup from before the upgrade.',
    );
  }
  return applied.length;
}
