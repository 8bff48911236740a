/** Opening the database: SQLite in the data directory by default, PostgreSQL where a URL is given. */
import { accessSync } from 'node:fs';
import { join } from 'node:path';
import { type Kysely, sql } from 'kysely';
import type { Settings } from '../config/settings.ts';
import { makeDataDir } from './data-dir.ts';
import { type Migrated, migrate } from './migrate.ts';
import { writeLock } from './migrations/001-directory.ts';
import type { Schema, Trx } from './schema.ts';

export type DatabaseDialect = 'sqlite' | 'postgres';

export interface Database {
  /** For queries outside of transactions, which wait for no writer. Inside `read` and `write` use only what they hand in, else SQLite waits for ever. */
  readonly db: Kysely<Schema>;
  readonly dialect: DatabaseDialect;
  /** What opening did to the tables. */
  readonly migrated: Migrated;
  /** Runs `fn` on one consistent state of the database; it cannot write and waits for no writer. */
  read<T>(fn: (trx: Trx) => Promise<T>): Promise<T>;
  /**
   * Runs `fn` as one transaction: all of it or, when it throws, nothing. Writers of all processes take turns, so what `fn` reads
   * stays true until it ends. Keep it short.
   */
  write<T>(fn: (trx: Trx) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/**
 * Opens the database and brings its tables up to date. Several processes may do so at the same moment. Throws an Error whose
 * message says what is wrong and never holds the URL's password; so does a database that a newer Promgate has migrated.
 * @param create whether a file of SQLite's may be made; else one that is not there is an error: a new one would be nobody's
 */
export async function openDatabase(
  settings: Pick<Settings, 'databaseUrl' | 'dataDir'>,
  { create = true } = {},
): Promise<Database> {
  const database =
    settings.databaseUrl === '' ? await sqliteIn(settings.dataDir, create) : await postgresAt(settings.databaseUrl);
  try {
    return { ...database, migrated: await migrate(database) };
  } catch (error) {
    await database.close();
    throw error;
  }
}

type Opened = Omit<Database, 'migrated'>;

/** Where it is, for a person. */
export function databasePlace({ databaseUrl, dataDir }: Pick<Settings, 'databaseUrl' | 'dataDir'>): string {
  return databaseUrl === '' ? fileIn(dataDir) : 'PostgreSQL';
}

/** Whether there is no database yet where SQLite's would be. */
export function isDatabaseMissing({ databaseUrl, dataDir }: Pick<Settings, 'databaseUrl' | 'dataDir'>): boolean {
  return databaseUrl === '' && isMissing(fileIn(dataDir));
}

function fileIn(dataDir: string): string {
  return join(dataDir, 'promgate.db');
}

async function sqliteIn(dataDir: string, create: boolean): Promise<Opened> {
  const file = fileIn(dataDir);
  if (create) makeDataDir(dataDir);
  else if (isMissing(file)) {
    throw new Error(`There is no database ${file}: set data_dir (--data-dir) or database_url to what the gateway uses.`);
  }
  const { openSqlite } = await import('./sqlite.ts');
  try {
    const db = await openSqlite(file);
    // Its own connection: who waits to write (for another process, up to seconds) must not hold up the look for changes.
    const writer = await openSqlite(file).catch(async (error: unknown) => {
      await db.destroy();
      throw error;
    });
    return {
      ...transactions(db),
      db,
      dialect: 'sqlite',
      write: (fn) => writer.transaction().execute(fn),
      async close() {
        await writer.destroy();
        await db.destroy();
      },
    };
  } catch (error) {
    throw new Error(`The database ${file} cannot be opened (${reason(error)}).`);
  }
}

/** One that may not be looked at is not missing: opening it says why it cannot be. */
function isMissing(file: string): boolean {
  try {
    accessSync(file);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT';
  }
}

async function postgresAt(url: string): Promise<Opened> {
  // Loaded only where it is used: it makes the start slower.
  const { openPostgres } = await import('./postgres.ts');
  try {
    const db = openPostgres(url);
    await sql`select 1`.execute(db).catch(async (error: unknown) => {
      await db.destroy();
      throw error;
    });
    return {
      ...transactions(db),
      db,
      dialect: 'postgres',
      write: (fn) =>
        db.transaction().execute(async (trx) => {
          // The lock that the change log's triggers take, but before any row is locked: so writers never deadlock.
          await sql`select pg_advisory_xact_lock(${writeLock})`.execute(trx);
          return fn(trx);
        }),
    };
  } catch (error) {
    // Without `cause`: an "invalid URL" error carries the URL, and that a password.
    throw new Error(`The PostgreSQL database of database_url cannot be opened (${reason(error)}).`);
  }
}

function transactions(db: Kysely<Schema>): Pick<Database, 'read' | 'close'> {
  return {
    read: (fn) => db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute(fn),
    close: () => db.destroy(),
  };
}

/** A host with several addresses fails with one error for each and no message of its own. */
function reason(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reason).join(', ');
  return error instanceof Error ? error.message : String(error);
}
