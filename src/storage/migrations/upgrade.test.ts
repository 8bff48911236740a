import { join } from 'node:path';
import { type Kysely, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { describe, expect, it } from 'vitest';
import { createDatabaseHome, type DatabaseHome, dialects } from '../../../test/support/database.ts';
import { changesAfter } from '../changes.ts';
import { openKeyring } from '../crypto.ts';
import { type DatabaseDialect, openDatabase } from '../database.ts';
import { verifyKey } from '../key-check.ts';
import { openPostgres } from '../postgres.ts';
import { allPurges, bumpPurge } from '../purges.ts';
import type { Schema, Trx } from '../schema.ts';
import { allServers, insertServer, serverFromRow } from '../servers.ts';
import { openSqlite } from '../sqlite.ts';
import { createDirectory } from './001-directory.ts';

const keyring = openKeyring({ dataDir: '/nowhere', secretKey: Buffer.alloc(32, 3) });
const connection = { auth: { bearer: 's3cret' }, headers: { 'X-A': 'b' }, queryParams: {}, tls: {} };
const url = 'http://10.0.0.9:9090';

/** What version 0.1 left behind, made with its own migration and rows as it wrote them. */
async function leaveOldDatabase({ settings }: DatabaseHome, dialect: DatabaseDialect): Promise<void> {
  const db: Kysely<Schema> =
    dialect === 'sqlite' ? await openSqlite(join(settings.dataDir, 'promgate.db')) : openPostgres(settings.databaseUrl);
  const { error } = await new Migrator({
    db,
    provider: {
      getMigrations: async () => ({
        '001-directory': { up: (trx: Trx) => createDirectory(trx, dialect) },
      }),
    },
    migrationTableName: 'promgate_migration',
    migrationLockTableName: 'promgate_migration_lock',
  }).migrateToLatest();
  expect(error).toBeUndefined();
  const seal = (text: string, boundTo: string) => keyring.seal(text, boundTo);
  for (const statement of [
    sql`insert into key_check (id, sealed) values (1, ${seal('promgate', 'promgate')})`,
    sql`insert into "groups" (path) values ('acme')`,
    sql`insert into projects (path, group_id, managed_by) values ('acme/shop', 1, 'apply')`,
    sql`insert into environments (project_id, name, slug, kube_namespace) values (1, 'production', 'production', 'shop')`,
    sql`insert into servers (name, level, project_id, url, environment_scope, enabled, kind, enforce, limits, expose, verify, connection)
      values ('main', 'project', 1, ${url}, '*', 1, 'prometheus', '{"namespace":["{{kube_namespace}}"]}', '{"timeout":5}', '[]', 'local',
        ${seal(JSON.stringify(connection), `server ${url}`)})`,
    sql`insert into tokens (name, username, environment_id, hash, allowed_networks, created_at) values ('t', 'u', 1, 'h', '[]', 5)`,
  ]) {
    await statement.execute(db);
  }
  await db.destroy();
}

describe.each(dialects)('a database of version 0.1 on %s', (dialect) => {
  it('is brought up to date with all that is in it', async () => {
    const home = await createDatabaseHome(dialect);
    try {
      await leaveOldDatabase(home, dialect);
      const database = await openDatabase(home.settings);
      try {
        expect(database.migrated).toEqual({ from: '001-directory', to: '003-people' });
        expect(await database.read((trx) => verifyKey(trx, keyring))).toBe(true);
        const rows = await database.read(allServers);
        expect(rows.map((row) => serverFromRow(row, keyring))).toEqual([
          {
            id: 1,
            name: 'main',
            level: 'project',
            url,
            environmentScope: '*',
            enabled: true,
            kind: 'prometheus',
            enforce: { namespace: ['{{kube_namespace}}'] },
            limits: { timeout: 5 },
            expose: [],
            verify: 'local',
            cache: {},
            restricted: false,
            revision: expect.stringMatching(/^[\w-]{22}$/),
            connection,
          },
        ]);
        expect(await database.read((trx) => trx.selectFrom('tokens').select(['hash', 'environment_id']).execute())).toEqual([
          { hash: 'h', environment_id: 1 },
        ]);
        expect(await database.read(allPurges)).toEqual([]);
        // The log goes on where it was, for the new table too.
        const before = await database.read((trx) => changesAfter(trx, 0, 100));
        await database.write((trx) => bumpPurge(trx, 'all', 1));
        const after = await database.read((trx) => changesAfter(trx, before.at(-1)?.seq ?? 0, 100));
        expect([before.map(({ subject }) => subject), after]).toEqual([
          ['groups', 'projects', 'environments', 'servers', 'tokens'],
          [{ seq: 6, subject: 'cache_purges', row_id: 1 }],
        ]);
        const { id: _, level: __, revision: ___, restricted: ____, ...definition } = serverFromRow(rows[0] ?? never(), keyring);
        const named = { ...definition, name: 'second', cache: { maxAge: 1 } };
        const inserted = await database.write((trx) => insertServer(trx, keyring, { level: 'project', id: 1 }, named, null));
        expect(serverFromRow(inserted, keyring)).toMatchObject({ id: 2, cache: { maxAge: 1 } });
      } finally {
        await database.close();
      }
    } finally {
      await home.remove();
    }
  });
});

function never(): never {
  throw new Error('there is no server');
}
