import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { insertEnvironment, insertGroup, insertProject } from '../../test/support/rows.ts';
import { changesAfter, latestSeq, oldestSeq, pruneChanges } from './changes.ts';
import { openKeyring } from './crypto.ts';
import { deleteGroups } from './groups.ts';
import { recordLastUse } from './last-use.ts';
import type { Row, Trx } from './schema.ts';
import { insertServer } from './servers.ts';
import { insertToken } from './tokens.ts';

describe.each(dialects)('the change log on %s', (dialect) => {
  let home: TestDatabase;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
  });
  afterEach(() => home.remove());

  const read = <T>(fn: (trx: Trx) => Promise<T>) => home.database.read(fn);
  const write = <T>(fn: (trx: Trx) => Promise<T>) => home.database.write(fn);
  const newGroup = (path: string) => write((trx) => insertGroup(trx, { path, parent_id: null, managed_by: null }));
  const shown = (changes: Row<'changes'>[]) => changes.map(({ subject, row_id }) => `${subject} ${row_id}`);

  it('is empty in a new database', async () => {
    expect(await read(latestSeq)).toBe(0);
    expect(await read(oldestSeq)).toBe(0);
    expect(await read((trx) => changesAfter(trx, 0, 10))).toEqual([]);
  });

  it('names the row of each insert, update and delete, in order', async () => {
    const group = await newGroup('acme');
    await write((trx) => trx.updateTable('groups').set({ managed_by: 'apply' }).execute());
    await write((trx) => deleteGroups(trx, [group.id]));
    const changes = await read((trx) => changesAfter(trx, 0, 10));
    expect(shown(changes)).toEqual([`groups ${group.id}`, `groups ${group.id}`, `groups ${group.id}`]);
    expect(changes.map(({ seq }) => seq)).toEqual(changes.map(({ seq }) => seq).sort((a, b) => a - b));
    expect(await read(latestSeq)).toBe(changes[2]?.seq);
  });

  it('names every row that goes with a deleted group', async () => {
    const keyring = openKeyring({ dataDir: home.settings.dataDir, secretKey: null });
    const rows = await write(async (trx) => {
      const group = await insertGroup(trx, { path: 'acme', parent_id: null, managed_by: null });
      const inner = await insertGroup(trx, { path: 'acme/inner', parent_id: group.id, managed_by: null });
      const project = await insertProject(trx, { path: 'acme/inner/shop', group_id: inner.id, managed_by: null });
      const environment = await insertEnvironment(trx, {
        project_id: project.id,
        name: 'production',
        slug: 'production',
        kube_namespace: '',
        managed_by: null,
      });
      const definition = {
        name: 'main',
        url: 'http://10.0.0.1:9090',
        environmentScope: '*',
        enabled: true,
        kind: null,
        enforce: {},
        limits: {},
        expose: [],
        cache: {},
        verify: 'server' as const,
        connection: { auth: null, headers: {}, queryParams: {}, tls: {} },
      };
      const server = await insertServer(trx, keyring, { level: 'environment', id: environment.id }, definition, null);
      const token = await insertToken(
        trx,
        { level: 'project', id: project.id },
        { name: 't', username: 't', hash: 'h', allowedNetworks: [], createdAt: 1, expiresAt: null },
      );
      return { group, inner, project, environment, server, token };
    });
    const before = await read(latestSeq);
    await write((trx) => deleteGroups(trx, [rows.group.id]));
    expect(shown(await read((trx) => changesAfter(trx, before, 100))).sort()).toEqual(
      [
        `groups ${rows.group.id}`,
        `groups ${rows.inner.id}`,
        `projects ${rows.project.id}`,
        `environments ${rows.environment.id}`,
        `servers ${rows.server.id}`,
        `tokens ${rows.token.id}`,
      ].sort(),
    );
    const left = await read(async (trx) => [
      await trx.selectFrom('servers').selectAll().execute(),
      await trx.selectFrom('tokens').selectAll().execute(),
    ]);
    expect(left).toEqual([[], []]);
  });

  it('does not hold what a failed transaction did', async () => {
    const failed = write(async (trx) => {
      await insertGroup(trx, { path: 'acme', parent_id: null, managed_by: null });
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    expect(await read(latestSeq)).toBe(0);
  });

  it('does not hold the use of tokens', async () => {
    const token = await write(async (trx) => {
      const group = await insertGroup(trx, { path: 'acme', parent_id: null, managed_by: null });
      const owner = { level: 'group', id: group.id } as const;
      return insertToken(trx, owner, { name: 't', username: 't', hash: 'h', allowedNetworks: [], createdAt: 1, expiresAt: null });
    });
    const before = await read(latestSeq);
    await write((trx) => recordLastUse(trx, 'tokens', new Map([[token.id, 5]])));
    expect(await read(latestSeq)).toBe(before);
  });

  it('is given in pieces of the size asked for', async () => {
    for (const path of ['a', 'b', 'c']) await newGroup(path);
    const first = await read((trx) => changesAfter(trx, 0, 2));
    const rest = await read((trx) => changesAfter(trx, first[1]?.seq ?? 0, 2));
    expect([first.length, rest.length]).toEqual([2, 1]);
  });

  it('keeps its newest changes when pruned, and counts on', async () => {
    for (const path of ['a', 'b', 'c', 'd']) await newGroup(path);
    const latest = await read(latestSeq);
    await write((trx) => pruneChanges(trx, 2));
    expect(await read(oldestSeq)).toBe(latest - 1);
    expect(await read(latestSeq)).toBe(latest);
    await write((trx) => trx.deleteFrom('changes').execute());
    await newGroup('e');
    expect(await read(latestSeq)).toBeGreaterThan(latest);
  });

  it('shows changes in the order of commits when writers overlap', async () => {
    const seen: number[] = [];
    let done = false;
    const reader = (async () => {
      for (let [last, finished] = [0, false]; !finished; ) {
        // The last look begins when all is written.
        finished = done;
        for (const { seq } of await read((trx) => changesAfter(trx, last, 1_000))) {
          seen.push(seq);
          last = seq;
        }
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    // Past Database.write, as a person with psql would: what then keeps the order is the trigger.
    const writer = (index: number) =>
      home.database.db.transaction().execute(async (trx) => {
        await insertGroup(trx, { path: `g${index}`, parent_id: null, managed_by: null });
        if (dialect === 'postgres') await sql`select pg_sleep(${(index % 4) / 200})`.execute(trx);
      });
    await Promise.all(Array.from({ length: 40 }, (_, index) => writer(index)));
    const all = await read((trx) => changesAfter(trx, 0, 1_000));
    done = true;
    await reader;
    expect(all).toHaveLength(40);
    expect(seen).toEqual(all.map(({ seq }) => seq));
  });
});

it('the change log of PostgreSQL is written also by a session without a search_path, such as a restore has', async () => {
  const home = await createTestDatabase('postgres');
  await home.database.db.transaction().execute(async (trx) => {
    await sql`set local search_path = ''`.execute(trx);
    await sql`insert into public.groups (path) values ('acme')`.execute(trx);
  });
  const changes = await home.database.read((trx) => changesAfter(trx, 0, 10));
  expect(changes).toMatchObject([{ subject: 'groups', row_id: 1 }]);
  await home.remove();
});
