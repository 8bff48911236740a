import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import type { Settings } from '../../src/config/settings.ts';
import { type Database, type DatabaseDialect, openDatabase } from '../../src/storage/database.ts';
import { tempDir } from './temp-dir.ts';

/** For `describe.each`: what is tested with a database is tested with both. */
export const dialects: readonly DatabaseDialect[] = ['sqlite', 'postgres'];

/** A place for one database: an empty directory and, for PostgreSQL, an empty database in the server of the test run. */
export interface DatabaseHome {
  readonly settings: Pick<Settings, 'databaseUrl' | 'dataDir'>;
  /** Ends the connections that are left and removes everything. */
  remove(): Promise<void>;
}

export interface TestDatabase extends DatabaseHome {
  readonly database: Database;
}

/** A new database with all tables. `remove` closes it. */
export async function createTestDatabase(dialect: DatabaseDialect): Promise<TestDatabase> {
  const home = await createDatabaseHome(dialect);
  const database = await openDatabase(home.settings);
  return {
    ...home,
    database,
    async remove() {
      await database.close();
      await home.remove();
    },
  };
}

/** A new home that nothing has been opened in. */
export async function createDatabaseHome(dialect: DatabaseDialect): Promise<DatabaseHome> {
  const directory = await tempDir('data');
  const name = `test_${randomBytes(8).toString('hex')}`;
  if (dialect === 'postgres') await administer(`create database ${name}`);
  const databaseUrl = dialect === 'postgres' ? new URL(`/${name}`, inject('postgresUrl')).href : '';
  return {
    settings: { dataDir: directory.path, databaseUrl },
    async remove() {
      if (dialect === 'postgres') await administer(`drop database ${name} with (force)`);
      await directory.remove();
    },
  };
}

async function administer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: inject('postgresUrl') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
