import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tester } from '../../test/support/actor.ts';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { listTokens } from '../access/token-list.ts';
import { hashToken } from '../access/token-text.ts';
import { createToken, type IssuedToken, revokeToken } from '../access/tokens.ts';
import { createLog } from '../ops/log.ts';
import { latestSeq } from '../storage/changes.ts';
import { openKeyring } from '../storage/crypto.ts';
import { openDatabase } from '../storage/database.ts';
import { recordLastUse } from '../storage/last-use.ts';
import { applyResources } from './apply.ts';
import { type Watch, watchDirectory } from './watch.ts';

/** Changes come within a second; a busy machine may take longer. */
const patient = { timeout: 20_000 };
const keyring = openKeyring({ dataDir: '/nowhere', secretKey: Buffer.alloc(32, 1) });

describe.each(dialects)('watching the directory on %s', (dialect) => {
  let home: TestDatabase;
  let watch: Watch;
  let logs: string[];
  const opened: Watch[] = [];
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    logs = [];
    await apply('projects: [{ path: acme/shop, environments: [{ name: production }, { name: staging }] }]');
    watch = await open();
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
    await home.remove();
  });

  const open = async (): Promise<Watch> => {
    const log = createLog('info', (line) => logs.push(line));
    const made = await watchDirectory(home.database, keyring, log, () => undefined);
    opened.push(made);
    return made;
  };
  const apply = (text: string) =>
    applyResources(home.database, keyring, text, { fileName: 'r.yml', dryRun: false, prune: false, env: {}, actor: tester });
  const token = (path = 'acme/shop:production') =>
    createToken(home.database, { level: path.includes(':') ? 'environment' : 'project', path }, { name: 'x' }, tester);
  const knows = ({ token }: IssuedToken, by = watch) => by.current().tokenByHash(hashToken(token)) !== undefined;
  const hasProject = (path: string) => watch.current().project(path) !== null;
  const leftOut = () =>
    logs
      .map((line) => JSON.parse(line))
      .filter(({ msg }) => msg === 'a record of the directory is left out')
      .map(({ subject, id }) => `${subject} ${id}`);

  it('reads everything anew when the database was put back to an earlier state', async () => {
    const kept = await token();
    const seq = await home.database.read(latestSeq);
    await apply('projects: [{ path: acme/later }]');
    const later = await token();
    await revokeToken(home.database, kept.id, tester);
    await expect.poll(() => [hasProject('acme/later'), knows(later), knows(kept)], patient).toEqual([true, true, false]);
    // As a restore does: rows and log are those of before.
    await home.database.write(async (trx) => {
      await trx.deleteFrom('projects').where('path', '=', 'acme/later').execute();
      await trx.deleteFrom('tokens').where('id', '=', later.id).execute();
      await trx.updateTable('tokens').set({ revoked_at: null }).where('id', '=', kept.id).execute();
      await trx.deleteFrom('changes').where('seq', '>', seq).execute();
    });
    await expect.poll(() => [hasProject('acme/later'), knows(later), knows(kept)], patient).toEqual([false, false, true]);
    const next = await token();
    await expect.poll(() => knows(next), patient).toBe(true);
  });

  it('closes tokens whose networks cannot be read, and goes on with the others', async () => {
    const unreadable = ['10.0.0.0/8', '"10.0.0.0/8"', '{}', 'null', '[7]', '["10.0.0.0/8","home"]'];
    const bad: IssuedToken[] = [];
    for (const _ of unreadable) bad.push(await token());
    const good = await token();
    await expect.poll(() => [...bad, good].every((each) => knows(each)), patient).toBe(true);
    for (const [index, { id }] of bad.entries()) {
      const change = { allowed_networks: unreadable[index] ?? '' };
      await home.database.db.updateTable('tokens').set(change).where('id', '=', id).execute();
    }
    const next = await token();
    await expect.poll(() => knows(next), patient).toBe(true);
    const restarted = await open();
    for (const by of [watch, restarted]) {
      expect([good, next, ...bad].map((each) => knows(each, by))).toEqual([true, true, ...bad.map(() => false)]);
    }
    expect(new Set(leftOut())).toEqual(new Set(bad.map(({ id }) => `tokens ${id}`)));
    const listed = (await listTokens(home.database, null)).map(({ state }) => state);
    expect(listed).toEqual([...bad.map(() => 'unreadable'), 'active', 'active']);
  });

  it('closes what refers to something that does not exist, and goes on with the rest', async () => {
    const [inner, outer] = [await token(), await token('acme/shop')];
    await apply('projects: [{ path: acme/other }]');
    const other = await token('acme/other');
    await expect.poll(() => [knows(inner), knows(outer), knows(other)], patient).toEqual([true, true, true]);
    await withoutForeignKeys("delete from projects where path = 'acme/shop'");
    const next = await token('acme/other');
    await expect.poll(() => knows(next), patient).toBe(true);
    const openIn = (by: Watch) => [knows(inner, by), knows(outer, by), knows(other, by)];
    expect(openIn(watch)).toEqual([false, false, true]);
    expect(watch.current().environment('acme/shop', 'production')).toBeNull();
    const restarted = await open();
    expect(openIn(restarted)).toEqual([false, false, true]);
    expect(restarted.current().environment('acme/shop', 'production')).toBeNull();
    expect(leftOut()).toEqual(['environments 1', 'environments 2', 'tokens 1', 'tokens 2']);
  });

  /** As a person does it in SQLite's own shell. */
  async function withoutForeignKeys(statement: string): Promise<void> {
    if (dialect === 'sqlite') {
      const shell = new DatabaseSync(join(home.settings.dataDir, 'promgate.db'), { enableForeignKeyConstraints: false });
      shell.exec(statement);
      shell.close();
      return;
    }
    for (const table of ['environments', 'servers', 'tokens']) {
      await sql.raw(`alter table ${table} drop constraint ${table}_project_id_fkey`).execute(home.database.db);
    }
    await sql.raw(statement).execute(home.database.db);
  }
});

describe('on SQLite, while another process holds the lock of writers and a write waits for it', () => {
  it('a reader is answered, and a change from before is known', async () => {
    const home = await createTestDatabase('sqlite');
    const resources = 'projects: [{ path: acme/shop }]';
    await applyResources(home.database, keyring, resources, {
      fileName: 'r',
      dryRun: false,
      prune: false,
      env: {},
      actor: tester,
    });
    const { id, token } = await createToken(home.database, { level: 'project', path: 'acme/shop' }, { name: 'x' }, tester);
    const watch = await watchDirectory(home.database, keyring, createLog('error'), () => undefined);
    const other = await openDatabase(home.settings);
    const shell = new DatabaseSync(join(home.settings.dataDir, 'promgate.db'));
    await revokeToken(other, id, tester);
    shell.exec('begin immediate');
    let written = false;
    const waiting = home.database
      .write((trx) => recordLastUse(trx, 'tokens', new Map([[id, 7]])))
      .then(() => {
        written = true;
      });
    await home.database.read(latestSeq);
    await latestSeq(home.database.db);
    // The write gives up after five seconds.
    await expect.poll(() => watch.current().tokenByHash(hashToken(token)), { timeout: 4_000, interval: 20 }).toBeUndefined();
    expect(written).toBe(false);
    shell.exec('rollback');
    await waiting;
    expect(written).toBe(true);
    shell.close();
    await other.close();
    await watch.close();
    await home.remove();
  });
});
