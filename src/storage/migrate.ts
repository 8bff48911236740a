import { Migrator } from 'kysely/migration';
import type { Database } from './database.ts';
import { migrations } from './migrations/index.ts';
import type { Trx } from './schema.ts';

/** Kysely's names, with the product's in front for databases that hold more than Promgate. Never change them. */
const migrationTableName = 'promgate_migration';
const migrationLockTableName = 'promgate_migration_lock';

/** Names of the last migration before and after opening; `from` is `null` for a new database. */
export interface Migrated {
  readonly from: string | null;
  readonly to: string | null;
}

/**
 * Runs the migrations that the database does not have, all in one write transaction, so that one process does it where several
 * start at once. Throws when the database has one that this program does not know.
 */
export async function migrate(database: Pick<Database, 'dialect' | 'read' | 'write'>): Promise<Migrated> {
  // Most starts find nothing to do: they need not wait for writers.
  const before = await database.read(appliedMigrations);
  if (before === migrations.length) return { from: nameOf(before), to: nameOf(before) };
  return database.write(async (trx) => {
    const from = nameOf(await appliedMigrations(trx));
    const steps = migrations.map(({ name, up }) => [name, { up: () => up(trx, database.dialect) }] as const);
    const provider = { getMigrations: async () => Object.fromEntries(steps) };
    const { error } = await new Migrator({ db: trx, provider, migrationTableName, migrationLockTableName }).migrateToLatest();
    if (error !== undefined) throw error;
    return { from, to: nameOf(migrations.length) };
  });
}

/** The last of the first `count` migrations. */
function nameOf(count: number): string | null {
  return migrations[count - 1]?.name ?? null;
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
