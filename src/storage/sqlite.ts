/** Kysely over Node's own SQLite. One connection, which Kysely hands to one transaction or query at a time. */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type DatabaseConnection,
  Kysely,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDialect,
  SqliteDriver,
  type TransactionSettings,
} from 'kysely';
import type { Schema } from './schema.ts';
import { isBusy } from './trouble.ts';

/** How long to wait for a lock that another process holds, in milliseconds. */
const lockTimeout = 5_000;

/** Opens the file, creating it readable for its owner alone; SQLite gives the files beside it the same mode. */
export async function openSqlite(file: string): Promise<Kysely<Schema>> {
  closeSync(openSync(file, 'a', 0o600));
  const database = new DatabaseSync(file, { timeout: lockTimeout });
  try {
    // Two processes that open a new file at once: SQLite fails at once here instead of waiting, to avoid a deadlock.
    await whenUnlocked(() => database.exec('pragma journal_mode = wal'));
    database.exec('pragma synchronous = normal; pragma foreign_keys = on');
  } catch (error) {
    database.close();
    throw error;
  }
  return new Kysely<Schema>({ dialect: new NodeSqliteDialect(database) });
}

class NodeSqliteDialect extends SqliteDialect {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    super({ database: forKysely(database) });
    this.#database = database;
  }

  override createDriver(): SqliteDriver {
    return new NodeSqliteDriver(this.#database);
  }

  override createAdapter(): SqliteAdapter {
    return new TransactionalSqliteAdapter();
  }
}

/** SQLite's DDL is transactional; Kysely only leaves it off by default. It lets a migration run inside `Database.write`. */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

/** Transactions that say what they are for: a reader cannot write, a writer has the lock from its first statement on. */
class NodeSqliteDriver extends SqliteDriver {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    super({ database: forKysely(database) });
    this.#database = database;
  }

  override async beginTransaction(_connection: DatabaseConnection, settings: TransactionSettings = {}): Promise<void> {
    if (settings.accessMode === 'read only') {
      this.#database.exec('begin; pragma query_only = on');
      return;
    }
    // SQLite's own waiting would hold up the whole process, which may be serving; so wait here.
    await whenUnlocked(() => {
      this.#database.exec('pragma busy_timeout = 0');
      try {
        this.#database.exec('begin immediate');
      } finally {
        this.#database.exec(`pragma busy_timeout = ${lockTimeout}`);
      }
    });
  }

  override async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await super.commitTransaction(connection);
    this.#database.exec('pragma query_only = off');
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // SQLite has rolled back by itself after some errors (disk full, for one).
    if (this.#database.isTransaction) await super.rollbackTransaction(connection);
    this.#database.exec('pragma query_only = off');
  }
}

async function whenUnlocked(action: () => void): Promise<void> {
  for (const start = performance.now(); ; ) {
    try {
      action();
      return;
    } catch (error) {
      if (!isBusy(error) || performance.now() - start > lockTimeout) throw error;
    }
    await sleep(5 + Math.random() * 10);
  }
}

function forKysely(database: DatabaseSync): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare(sql) {
      const statement = database.prepare(sql);
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...parameters.map(bindable)),
        run: (parameters) => statement.run(...parameters.map(bindable)),
        iterate: (parameters) => statement.iterate(...parameters.map(bindable)),
      };
    },
  };
}

function bindable(value: unknown): SQLInputValue {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value;
  throw new TypeError(`The database takes texts, numbers and null, not a value of type ${typeof value}.`);
}
