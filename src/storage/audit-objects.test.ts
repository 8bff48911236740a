import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { insertEnvironment, insertGroup, insertProject } from '../../test/support/rows.ts';
import { objectOf, type StoredKind } from './audit-objects.ts';
import type { Schema, Trx } from './schema.ts';

describe.each(dialects)('things in the audit log on %s', (dialect) => {
  let home: TestDatabase;
  let acme: number;
  let platform: number;
  let shop: number;
  let production: number;
  let anna: number;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    await home.database.write(async (trx) => {
      const managed_by = null;
      // Others before them, so that no two ids are the same by chance.
      for (const path of ['a', 'b', 'c']) await insertGroup(trx, { path, parent_id: null, managed_by });
      acme = (await insertGroup(trx, { path: 'acme', parent_id: null, managed_by })).id;
      platform = (await insertGroup(trx, { path: 'acme/platform', parent_id: acme, managed_by })).id;
      await insertGroup(trx, { path: 'acme/other', parent_id: acme, managed_by });
      await insertProject(trx, { path: 'acme/other/shop', group_id: acme, managed_by });
      shop = (await insertProject(trx, { path: 'acme/platform/shop', group_id: platform, managed_by })).id;
      const environment = { project_id: shop, name: 'review/1', slug: 'review-1', kube_namespace: '', managed_by };
      production = (await insertEnvironment(trx, environment)).id;
      anna = await insert(trx, 'users', {
        username: 'anna',
        name: 'Anna',
        admin: 0,
        state: 'active',
        created_at: 1,
      });
    });
  });
  afterEach(() => home.remove());

  const object = (kind: StoredKind, id: number) => home.database.read((trx) => objectOf(trx, kind, id));
  const add = (table: keyof Schema, row: object) => home.database.write((trx) => insert(trx, table, row));
  const server = {
    url: 'u',
    environment_scope: '*',
    enabled: 1,
    enforce: '',
    limits: '',
    expose: '',
    cache: '',
    verify: '',
    connection: '',
  };
  const token = { username: 'x', hash: 'h', allowed_networks: '[]', created_at: 1 };

  it('are told with every group above them, and no other', async () => {
    expect(await object('group', acme)).toEqual({ kind: 'group', id: acme, name: 'acme', groupIds: [acme], projectId: null });
    const nested = await object('group', platform);
    expect(nested).toMatchObject({ name: 'acme/platform', projectId: null });
    expect(nested.groupIds.toSorted()).toEqual([acme, platform]);
  });

  it('are told with their project', async () => {
    const project = await object('project', shop);
    expect(project).toMatchObject({ kind: 'project', id: shop, name: 'acme/platform/shop', projectId: shop });
    expect(project.groupIds.toSorted()).toEqual([acme, platform]);
    expect(await object('environment', production)).toEqual({
      ...project,
      kind: 'environment',
      id: production,
      name: 'acme/platform/shop:review/1',
    });
  });

  it('are named with what they belong to', async () => {
    const inEnvironment = await add('servers', { ...server, name: 'own', level: 'environment', environment_id: production });
    const ofInstance = await add('servers', { ...server, name: 'shared', level: 'instance' });
    const ofGroup = await add('tokens', { ...token, name: 'grafana', group_id: acme });
    const ofProject = await add('memberships', {
      user_id: anna,
      project_id: shop,
      role: 'owner',
      source: 'manual',
      created_at: 1,
    });
    const { groupIds, projectId } = await object('project', shop);
    const where = { groupIds, projectId };
    expect(await object('server', inEnvironment)).toEqual({
      kind: 'server',
      id: inEnvironment,
      name: 'own@acme/platform/shop:review/1',
      ...where,
    });
    expect(await object('server', ofInstance)).toEqual({
      kind: 'server',
      id: ofInstance,
      name: 'shared@instance',
      groupIds: [],
      projectId: null,
    });
    expect(await object('token', ofGroup)).toEqual({
      kind: 'token',
      id: ofGroup,
      name: 'grafana@acme',
      groupIds: [acme],
      projectId: null,
    });
    expect(await object('member', ofProject)).toEqual({
      kind: 'member',
      id: ofProject,
      name: 'anna@acme/platform/shop',
      ...where,
    });
  });

  it('of users are in no group', async () => {
    const session = await add('sessions', {
      user_id: anna,
      hash: 's',
      created_at: 1,
      expires_at: 2,
      address: '',
      user_agent: '',
    });
    const personal = await add('personal_tokens', { user_id: anna, name: 'terraform', hash: 'p', scopes: '[]', created_at: 1 });
    const identity = await add('identities', { user_id: anna, provider: 'gitlab', issuer: 'i', subject: 's', created_at: 1 });
    const nowhere = { groupIds: [], projectId: null };
    expect(await object('user', anna)).toEqual({ kind: 'user', id: anna, name: 'anna', ...nowhere });
    expect(await object('session', session)).toEqual({ kind: 'session', id: session, name: 'anna', ...nowhere });
    expect(await object('personal_token', personal)).toEqual({
      kind: 'personal_token',
      id: personal,
      name: 'terraform@anna',
      ...nowhere,
    });
    expect(await object('identity', identity)).toEqual({ kind: 'identity', id: identity, name: 'gitlab@anna', ...nowhere });
  });

  it('have to be there', async () => {
    await expect(object('server', 999)).rejects.toThrow('servers has no row 999');
  });
});

/** A row with the columns given, the others `null`; its id. */
async function insert(trx: Trx, table: keyof Schema, row: object): Promise<number> {
  const { id } = await trx
    .insertInto(table)
    .values(row as never)
    .returning('id' as never)
    .executeTakeFirstOrThrow();
  return id as number;
}
