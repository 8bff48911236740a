import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { commandLineActor } from '../ops/audit.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { sessionsOf } from '../storage/sessions.ts';
import { blockAccount, createAccount, findAccount } from './accounts.ts';
import { createOneTimeLink, findLinkHolder, LINK_LIFETIME, setupLink, useOneTimeLink } from './one-time-links.ts';
import type { Passwords } from './passwords.ts';
import { startSession } from './sessions.ts';

const start = 1_800_000_000_000;
const password = 'correct horse battery';
const root = commandLineActor('root');
let hashed = 0;
/** What is tested here is not the hash. */
const passwords: Passwords = {
  hash: async (text) => {
    hashed++;
    return `hash of ${text}`;
  },
  verify: () => Promise.reject(new Error('not here')),
};
const gone = { code: 'not_found', message: expect.stringContaining('not good any more') };

describe.each(dialects)('a one-time link, on %s', (dialect) => {
  let home: TestDatabase;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
  });
  afterEach(() => home.remove());

  const write = <T>(fn: (trx: Trx) => Promise<T>) => home.database.write(fn);
  const link = (userId: number | null, now = start) => write((trx) => createOneTimeLink(trx, userId, { now }));
  const use = (text: string, form: { username?: string; name?: string; password: string }, now = start) =>
    useOneTimeLink(
      { database: home.database, passwords },
      text,
      form,
      { address: '192.0.2.1', requestId: 'r1', now },
      async (_trx, user) => user,
    );
  const account = (username: string, admin = false) =>
    write((trx) => createAccount(trx, { username, admin, passwordHash: null }, root, start));
  const users = () => home.database.db.selectFrom('users').selectAll().orderBy('id').execute();
  const actions = async (): Promise<Row<'audit_events'>[]> =>
    home.database.db.selectFrom('audit_events').selectAll().orderBy('id').execute();

  it('makes the first administrator', async () => {
    const user = await use(await link(null), { username: 'ada', name: ' Ada Lovelace ', password });
    expect(await users()).toEqual([user]);
    expect(user).toMatchObject({
      username: 'ada',
      name: 'Ada Lovelace',
      admin: 1,
      state: 'active',
      password_hash: `hash of ${password}`,
    });
    expect(await actions()).toMatchObject([
      { action: 'created', actor_kind: 'user', actor_id: user.id, object_name: 'ada', address: '192.0.2.1', request_id: 'r1' },
    ]);
  });

  it('works once, also when it is used twice at the same moment', async () => {
    const text = await link(null);
    const uses = await Promise.allSettled(['ada', 'bob', 'carol'].map((username) => use(text, { username, password })));
    expect(uses.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(await users()).toHaveLength(1);
    await expect(use(text, { username: 'dora', password })).rejects.toMatchObject(gone);
    const dora = await account('dora');
    const own = await link(dora.id);
    const changes = await Promise.allSettled([1, 2, 3].map((n) => use(own, { password: `${password} ${n}` })));
    expect(changes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('for the first administrator is worth nothing once there is one, even where that one is blocked', async () => {
    const [one, two] = [await link(null), await link(null)];
    await use(one, { username: 'ada', password });
    await expect(use(two, { username: 'bob', password })).rejects.toMatchObject(gone);
    const late = await link(null);
    await write(async (trx) => blockAccount(trx, await findAccount(trx, 'ada'), root, start));
    await expect(use(late, { username: 'bob', password })).rejects.toMatchObject(gone);
    await write((trx) => trx.updateTable('users').set({ admin: 0, admin_by: 'gitlab' }).execute());
    await expect(use(late, { username: 'bob', password })).rejects.toMatchObject(gone);
  });

  it('is good for a day', async () => {
    const text = await link(null);
    await expect(use(text, { username: 'ada', password }, start + LINK_LIFETIME)).rejects.toMatchObject(gone);
    await use(text, { username: 'ada', password }, start + LINK_LIFETIME - 1);
  });

  it('sets a user’s password, whatever else is filled in, and ends the sessions', async () => {
    const [ada, bob] = [await account('ada'), await account('bob')];
    for (const user of [ada, bob]) {
      const origin = { address: '', userAgent: '', provider: null, previousCookie: null };
      await write((trx) => startSession(trx, user, origin, { lifetime: 1000, now: start }));
    }
    const user = await use(await link(ada.id), { username: 'bob', name: 'Bob', password });
    expect(user.username).toBe('ada');
    const [first, second] = await users();
    expect(first).toEqual({ ...ada, password_hash: `hash of ${password}` });
    expect(second).toEqual(bob);
    expect(await home.database.read((trx) => sessionsOf(trx, ada.id))).toEqual([]);
    expect(await home.database.read((trx) => sessionsOf(trx, bob.id))).toHaveLength(1);
    expect((await actions()).at(-1)).toMatchObject({ action: 'password_changed', actor_name: 'ada', object_name: 'ada' });
  });

  it('dies by a newer one of its user, and when the user is blocked', async () => {
    const [ada, bob] = [await account('ada'), await account('bob')];
    const [old, others] = [await link(ada.id), await link(bob.id)];
    const text = await link(ada.id);
    await expect(use(old, { password })).rejects.toMatchObject(gone);
    await write((trx) => blockAccount(trx, bob, root, start));
    await expect(use(others, { password })).rejects.toMatchObject(gone);
    // Nor does one that is made for somebody blocked open anything.
    await expect(use(await link(bob.id), { password })).rejects.toMatchObject(gone);
    await use(text, { password });
  });

  it('is not used up by what cannot be', async () => {
    await account('taken');
    const text = await link(null);
    const attempts: [{ username: string; password: string }, string][] = [
      [{ username: '4711', password }, 'bad_data'],
      [{ username: '', password }, 'bad_data'],
      [{ username: 'ada', password: 'short' }, 'bad_data'],
      [{ username: 'ada-lovelace', password: 'Ada-Lovelace' }, 'bad_data'],
      [{ username: 'TAKEN', password }, 'conflict'],
    ];
    for (const [form, code] of attempts) await expect(use(text, form)).rejects.toMatchObject({ code });
    await use(text, { username: 'ada', password });
  });

  it('that is none costs no work', async () => {
    hashed = 0;
    for (const text of ['', 'x', 'A'.repeat(43), '%', (await link(null)).toLowerCase()]) {
      await expect(use(text, { username: 'ada', password })).rejects.toMatchObject(gone);
    }
    expect(hashed).toBe(0);
  });

  it('is in the database as its hash alone', async () => {
    const text = await link(null);
    expect(text).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const rows = await home.database.db.selectFrom('one_time_links').selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(text);
    expect(rows[0]?.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(await home.database.read((trx) => findLinkHolder(trx, rows[0]?.hash ?? '', start))).toBeNull();
  });

  it('is given out at the start as long as there is no administrator', async () => {
    const url = await setupLink(home.database, 'https://ops.example/promgate', start);
    const [, text = ''] = /^https:\/\/ops\.example\/promgate\/-\/setup\?token=([A-Za-z0-9_-]{43})$/.exec(url ?? '') ?? [];
    await account('bob');
    // Another process starts; the first link still works.
    expect(await setupLink(home.database, 'https://ops.example', start)).not.toBeNull();
    expect(await actions()).toMatchObject([
      { action: 'one_time_link_created', actor_kind: 'system', object_kind: 'instance' },
      { action: 'created' },
      { action: 'one_time_link_created' },
    ]);
    await use(text, { username: 'ada', password });
    expect(await setupLink(home.database, 'https://ops.example', start)).toBeNull();
  });
});
