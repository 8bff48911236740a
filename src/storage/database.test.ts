import { execFile } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { createDatabaseHome, type DatabaseHome, dialects } from '../../test/support/database.ts';
import { insertGroup } from '../../test/support/rows.ts';
import { type Database, openDatabase } from './database.ts';
import { allGroups } from './groups.ts';
import type { Trx } from './schema.ts';

const groupAt = (path: string) => (trx: Trx) => insertGroup(trx, { path, parent_id: null, managed_by: null });

describe.each(dialects)('a database on %s', (dialect) => {
  let home: DatabaseHome;
  let opened: Database[];
  beforeEach(async () => {
    home = await createDatabaseHome(dialect);
    opened = [];
  });
  afterEach(async () => {
    for (const database of opened) await database.close();
    await home.remove();
  });
  const open = async () => {
    const database = await openDatabase(home.settings);
    opened.push(database);
    return database;
  };

  it('keeps what was written when it is opened again', async () => {
    const first = await open();
    const group = await first.write(groupAt('acme'));
    expect(await (await open()).read(allGroups)).toEqual([group]);
  });

  it('can be opened for the first time by several processes at the same moment', { timeout: 120_000 }, async () => {
    const module = new URL('./database.ts', import.meta.url).href;
    const script = `const { openDatabase } = await import(${JSON.stringify(module)});
      while (Date.now() < Number(process.argv[2])) {}
      const database = await openDatabase(JSON.parse(process.argv[1]));
      await database.write((trx) => trx.insertInto('groups').values({ path: 'g' + process.pid, parent_id: null, managed_by: null }).execute());
      await database.close();`;
    const start = `${Date.now() + 2_500}`;
    const settings = JSON.stringify(home.settings);
    const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, settings, start]);
    await Promise.all([run(), run(), run(), run(), run()]);
    const database = await open();
    expect(await database.read(allGroups)).toHaveLength(5);
    const applied = await sql<{ name: string }>`select name from promgate_migration`.execute(database.db);
    expect(applied.rows).toEqual([{ name: '001-directory' }, { name: '002-cache' }, { name: '003-people' }]);
  });

  it('can be opened for the first time several times at once in one process', async () => {
    await Promise.all([open(), open(), open(), open()]);
    expect(opened).toHaveLength(4);
  });

  it('of a newer version is refused, with the names of the migrations and what to do', async () => {
    const database = await open();
    await sql`insert into promgate_migration (name, timestamp) values ('999-later', 'now')`.execute(database.db);
    await expect(openDatabase(home.settings)).rejects.toThrow(
      /999-later.*003-people.*Start that version, or restore a backup from before the upgrade/,
    );
  });

  it('takes nothing of a transaction that fails', async () => {
    const database = await open();
    const failed = database.write(async (trx) => {
      await groupAt('acme')(trx);
      throw new Error('changed my mind');
    });
    await expect(failed).rejects.toThrow('changed my mind');
    expect(await database.read(allGroups)).toEqual([]);
  });

  it('does not let a reader write, and lets the next writer', async () => {
    const database = await open();
    await expect(database.read(groupAt('acme'))).rejects.toThrow(/read-?only/);
    await expect(database.write(groupAt('acme'))).resolves.toMatchObject({ path: 'acme' });
    await database.read(allGroups);
    await expect(database.write(groupAt('other'))).resolves.toMatchObject({ path: 'other' });
  });

  it('shows a reader one state, whatever others write meanwhile', async () => {
    const [one, two] = [await open(), await open()];
    const counts = await one.read(async (trx) => {
      const before = await allGroups(trx);
      await two.write(groupAt('acme'));
      return [before.length, (await allGroups(trx)).length];
    });
    expect(counts).toEqual([0, 0]);
    expect(await one.read(allGroups)).toHaveLength(1);
  });

  it('lets writers take turns, so that what one has read stays true', async () => {
    const databases = [await open(), await open(), await open()];
    const increment = (database: Database) =>
      database.write(async (trx) => {
        const groups = await allGroups(trx);
        await sleep(2);
        await groupAt(`g${groups.length}`)(trx);
      });
    await Promise.all(databases.flatMap((database) => Array.from({ length: 10 }, () => increment(database))));
    expect(await (await open()).read(allGroups)).toHaveLength(30);
  });

  it('lets this process go on while a writer waits for another one', async () => {
    const [one, two] = [await open(), await open()];
    // Were the process held up, the one that has the lock could never give it back, and the other would give up.
    const released = new Promise<void>((resolve) => setTimeout(resolve, 100));
    await Promise.all([one.write(() => released), sleep(20).then(() => two.write(groupAt('acme')))]);
    expect(await one.read(allGroups)).toHaveLength(1);
  });

  it('gives times, ids and counts as numbers', async () => {
    const database = await open();
    const { id } = await database.write(groupAt('acme'));
    const count = await database.read((trx) =>
      trx
        .selectFrom('groups')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow(),
    );
    expect([typeof id, count.count]).toEqual(['number', 1]);
  });

  it('never gives an id twice', async () => {
    const database = await open();
    const { id } = await database.write(groupAt('acme'));
    await database.write((trx) => trx.deleteFrom('groups').execute());
    expect((await database.write(groupAt('acme'))).id).toBeGreaterThan(id);
  });
});

describe('SQLite', () => {
  it('keeps its files from others', async () => {
    const home = await createDatabaseHome('sqlite');
    const dataDir = join(home.settings.dataDir, 'new');
    const database = await openDatabase({ ...home.settings, dataDir });
    await database.write(groupAt('acme'));
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect(mode(dataDir)).toBe(0o700);
    for (const suffix of ['', '-wal', '-shm']) expect(mode(join(dataDir, `promgate.db${suffix}`))).toBe(0o600);
    await database.close();
    await home.remove();
  });

  it('says which file it cannot open, and why', async () => {
    const home = await createDatabaseHome('sqlite');
    writeFileSync(join(home.settings.dataDir, 'promgate.db'), 'not a database, whatever its name says'.repeat(100));
    await expect(openDatabase(home.settings)).rejects.toThrow(/promgate\.db cannot be opened \(file is not a database\)/);
    await expect(openDatabase({ ...home.settings, dataDir: '/dev/null/data' })).rejects.toThrow(
      '/dev/null/data cannot be created',
    );
    // Not that it is missing.
    await expect(openDatabase({ ...home.settings, dataDir: '/dev/null/data' }, { create: false })).rejects.toThrow(
      'promgate.db cannot be opened (ENOTDIR',
    );
    await home.remove();
  });
});

describe('PostgreSQL', () => {
  it('losing its connections, idle or in use, fails what is running and nothing else', async () => {
    const home = await createDatabaseHome('postgres');
    const database = await openDatabase(home.settings);
    const killer = await openDatabase({ ...home.settings, databaseUrl: inject('postgresUrl') });
    const name = new URL(home.settings.databaseUrl).pathname.slice(1);
    /** When they are gone, and this process has heard of it. */
    const killAll = async () => {
      const backends = () =>
        sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`.execute(killer.db);
      while ((await backends()).rows.length > 0) await sleep(20);
      await sleep(100);
    };
    const running = database.write(async (trx) => {
      // The loss arrives while the transaction waits for nothing: the moment when nobody would hear of it.
      await killAll();
      await groupAt('acme')(trx);
    });
    await expect(running).rejects.toThrow();
    await database.read(allGroups);
    await killAll();
    expect(await database.read(allGroups)).toEqual([]);
    await database.close();
    await killer.close();
    await home.remove();
  });

  it.each([
    'postgres://user:s3cret@127.0.0.1:1/db',
    'postgres://user:s3cret@local host:x/db',
    'postgres://user:s3cret@nowhere.invalid/db',
  ])('that cannot be opened is an error without the password (%s)', async (databaseUrl) => {
    const error: unknown = await openDatabase({ databaseUrl, dataDir: '/nowhere' }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).toMatch(/database_url cannot be opened \(.+\)/);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('s3cret');
  });
});
