import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { insertEnvironment, insertGroup, insertProject } from '../../test/support/rows.ts';
import { recordLastUse } from './last-use.ts';
import type { TokenOwner } from './owner.ts';
import type { Row, Trx } from './schema.ts';
import * as tokens from './tokens.ts';

const defaults = { name: 'grafana', username: null, allowedNetworks: [], createdAt: 1_000, expiresAt: null };

describe.each(dialects)('tokens on %s', (dialect) => {
  let home: TestDatabase;
  let group: TokenOwner;
  let project: TokenOwner;
  let environment: TokenOwner;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    await write(async (trx) => {
      group = { level: 'group', id: (await insertGroup(trx, { path: 'acme', parent_id: null, managed_by: null })).id };
      const shop = await insertProject(trx, { path: 'acme/shop', group_id: group.id, managed_by: null });
      project = { level: 'project', id: shop.id };
      const names = { name: 'production', slug: 'production', kube_namespace: '' };
      environment = {
        level: 'environment',
        id: (await insertEnvironment(trx, { project_id: shop.id, ...names, managed_by: null })).id,
      };
    });
  });
  afterEach(() => home.remove());

  const read = <T>(fn: (trx: Trx) => Promise<T>) => home.database.read(fn);
  const write = <T>(fn: (trx: Trx) => Promise<T>) => home.database.write(fn);
  const insert = (hash: string, change: Partial<tokens.NewTokenRow> = {}, owner = environment) =>
    write((trx) => tokens.insertToken(trx, owner, { ...defaults, hash, ...change }));
  const find = (id: number) => read((trx) => tokens.findToken(trx, id));
  const lastUses = async () =>
    (await read((trx) => trx.selectFrom('token_usage').selectAll().orderBy('token_id').execute())).map((row) => [
      row.token_id,
      row.last_used_at,
    ]);
  const rotate = (id: number, hash: string, until: number | null) => write((trx) => tokens.rotateToken(trx, id, hash, until));
  const revoke = (id: number, at: number) => write((trx) => tokens.revokeToken(trx, id, at));
  const record = (uses: [number, number][]) => write((trx) => recordLastUse(trx, 'tokens', new Map(uses)));

  it('come back as they were made', async () => {
    const networks = ['10.0.0.0/8', '::1/128'];
    const token = await insert('h1', { username: 'kiosk', allowedNetworks: networks, expiresAt: 9_999_999_999_999 });
    const expected: Row<'tokens'> = {
      id: token.id,
      name: 'grafana',
      username: 'kiosk',
      group_id: null,
      project_id: null,
      environment_id: environment.id,
      hash: 'h1',
      previous_hash: null,
      previous_expires_at: null,
      allowed_networks: '["10.0.0.0/8","::1/128"]',
      created_at: 1_000,
      expires_at: 9_999_999_999_999,
      revoked_at: null,
    };
    expect(token).toEqual(expected);
    expect(await find(token.id)).toEqual(expected);
    expect(await find(token.id + 1)).toBeUndefined();
    expect(await read((trx) => tokens.liveTokensAfter(trx, 0, 10))).toEqual([expected]);
    expect(await read((trx) => tokens.liveTokensByIds(trx, [token.id, 999]))).toEqual([expected]);
  });

  it('belong to a group, a project or an environment', async () => {
    const made = [await insert('h1', {}, group), await insert('h2', {}, project), await insert('h3', {}, environment)];
    expect(made.map((row) => [row.group_id, row.project_id, row.environment_id])).toEqual([
      [group.id, null, null],
      [null, project.id, null],
      [null, null, environment.id],
    ]);
  });

  it('have a username from their number unless one is chosen', async () => {
    const token = await insert('h1');
    expect(token.username).toBe(`token-${token.id}`);
    expect(await find(token.id)).toEqual(token);
  });

  it('do not share a username, until the one that has it is revoked', async () => {
    const token = await insert('h1', { username: 'kiosk' });
    await expect(insert('h2', { username: 'kiosk' })).rejects.toMatchObject({
      code: 'bad_data',
      message: 'Another token has the username kiosk.',
    });
    const other = await insert('h3', { username: 'other' });
    const direct = home.database.db.updateTable('tokens').set({ username: 'kiosk' }).where('id', '=', other.id).execute();
    await expect(direct).rejects.toThrow(/unique/i);
    await revoke(token.id, 5);
    expect(await insert('h4', { username: 'kiosk' })).toMatchObject({ username: 'kiosk' });
  });

  it('do not take a username that another token may get from its number', async () => {
    await expect(insert('h1', { username: 'token-99' })).rejects.toMatchObject({ code: 'bad_data' });
  });

  it('do not share a secret', async () => {
    await insert('h1');
    await expect(insert('h1')).rejects.toThrow(/unique/i);
  });

  it('must have exactly one owner', async () => {
    const { id } = await insert('h1');
    const set = (change: Partial<Row<'tokens'>>) =>
      home.database.db.updateTable('tokens').set(change).where('id', '=', id).execute();
    await expect(set({ environment_id: null })).rejects.toThrow(/check/i);
    await expect(set({ group_id: group.id })).rejects.toThrow(/check/i);
  });

  it('when rotated have a new secret and keep the last one for the time given', async () => {
    const { id } = await insert('h1');
    expect(await rotate(id, 'h2', 500)).toMatchObject({ id, hash: 'h2', previous_hash: 'h1', previous_expires_at: 500 });
    expect(await rotate(id, 'h3', 900)).toMatchObject({ hash: 'h3', previous_hash: 'h2', previous_expires_at: 900 });
    expect(await find(id)).toMatchObject({ hash: 'h3', previous_hash: 'h2', previous_expires_at: 900 });
  });

  it('when rotated without grace lose every secret they had', async () => {
    const { id } = await insert('h1');
    await rotate(id, 'h2', 500);
    expect(await rotate(id, 'h3', null)).toMatchObject({ hash: 'h3', previous_hash: null, previous_expires_at: null });
  });

  it('once revoked stay revoked', async () => {
    const [token, other] = [await insert('h1'), await insert('h2')];
    expect(await revoke(token.id, 5)).toBe(true);
    expect(await revoke(token.id, 6)).toBe(false);
    expect(await revoke(999, 6)).toBe(false);
    expect(await rotate(token.id, 'h3', 900)).toBeUndefined();
    expect(await find(token.id)).toEqual({ ...token, revoked_at: 5 });
    expect(await read((trx) => tokens.liveTokensAfter(trx, 0, 10))).toEqual([other]);
    expect(await read((trx) => tokens.liveTokensByIds(trx, [token.id, other.id]))).toEqual([other]);
  });

  it('are rotated and revoked one by one', async () => {
    const [one, two] = [await insert('h1'), await insert('h2')];
    await rotate(one.id, 'h3', 900);
    await revoke(one.id, 5);
    expect(await find(two.id)).toEqual(two);
  });

  it('show the latest of their uses, whatever the order they are recorded in', async () => {
    const [one, two] = [await insert('h1'), await insert('h2')];
    await record([
      [one.id, 2_000_000_000_000],
      [two.id, 20],
    ]);
    await record([
      [one.id, 1_000_000_000_000],
      [two.id, 30],
    ]);
    expect(await lastUses()).toEqual([
      [one.id, 2_000_000_000_000],
      [two.id, 30],
    ]);
  });

  it('record the uses of those that exist when others are gone', async () => {
    const { id } = await insert('h1');
    const gone = Array.from({ length: 2_500 }, (_, index): [number, number] => [id + 1 + index, 7]);
    await record([...gone, [id, 7]]);
    expect(await lastUses()).toEqual([[id, 7]]);
    await record([]);
  });

  it('go with their owner, and so do their uses', async () => {
    const { id } = await insert('h1');
    await record([[id, 7]]);
    await write((trx) => trx.deleteFrom('environments').execute());
    expect(await find(id)).toBeUndefined();
    expect(await lastUses()).toEqual([]);
  });
});
