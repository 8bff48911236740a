import { execFile } from 'node:child_process';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createToken, createTokenIn, revokeToken, rotateToken } from '../src/access/tokens.ts';
import { applyResources } from '../src/directory/apply.ts';
import { findTarget } from '../src/directory/find.ts';
import { type AuditEntry, readEvents } from '../src/storage/audit.ts';
import { heldBy } from '../src/storage/audit-removal.ts';
import { openKeyring } from '../src/storage/crypto.ts';
import { findGroup } from '../src/storage/groups.ts';
import { tester } from './support/actor.ts';
import { createTestDatabase, dialects, type TestDatabase } from './support/database.ts';

const run = promisify(execFile);
const program = join(import.meta.dirname, '../bin/promgate');
const production = { level: 'environment', path: 'acme/platform/shop:production' } as const;

const shop = `
servers: [{ name: shared, url: "http://10.0.0.9:9090" }]
groups:
  - { path: acme, servers: [{ name: main, url: "http://10.0.0.1:9090" }] }
projects:
  - path: acme/platform/shop
    environments:
      - { name: production, kube_namespace: shop, servers: [{ name: own, url: "http://10.0.0.2:9090" }] }
      - { name: staging }
`;

describe.each(dialects)('the audit log on %s', (dialect) => {
  let home: TestDatabase;
  const keyring = openKeyring({ dataDir: '/nowhere', secretKey: Buffer.alloc(32, 1) });
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
  });
  afterEach(() => home.remove());

  const apply = (text: string, more: { dryRun?: boolean; prune?: boolean } = {}) => {
    const options = { fileName: 'r.yml', dryRun: false, prune: false, env: {}, actor: tester, ...more };
    return applyResources(home.database, keyring, text, options);
  };
  /** Oldest first. */
  const events = async () => (await home.database.read((trx) => readEvents(trx, { visible: 'all', limit: 1_000 }))).reverse();
  const forget = () => home.database.db.deleteFrom('audit_events').execute();
  const told = ({ action, object, detail }: AuditEntry) => [action, object.kind, object.name, detail];
  const rowsOf = () => home.database.db.selectFrom('audit_events').selectAll().orderBy('id').execute();

  it('has one entry for each thing that apply makes', async () => {
    await apply(shop);
    const all = await events();
    expect(all.map(told).sort()).toEqual(
      [
        ['created', 'server', 'shared@instance', {}],
        ['created', 'group', 'acme', {}],
        ['created', 'group', 'acme/platform', {}],
        ['created', 'server', 'main@acme', {}],
        ['created', 'project', 'acme/platform/shop', {}],
        ['created', 'environment', 'acme/platform/shop:production', {}],
        ['created', 'environment', 'acme/platform/shop:staging', {}],
        ['created', 'server', 'own@acme/platform/shop:production', {}],
      ].sort(),
    );
    expect(new Set(all.map(({ actor }) => actor.name))).toEqual(new Set(['tester']));
  });

  it('has for what apply makes the ids, groups and project that the directory has', async () => {
    await apply(shop);
    const ids = async (table: 'groups' | 'projects' | 'environments' | 'servers') => {
      const rows: { id: number; path?: string; name?: string }[] = await home.database.db.selectFrom(table).selectAll().execute();
      return new Map(rows.map(({ id, path, name }) => [path ?? name, id]));
    };
    const [groups, projects, environments, servers] = [
      await ids('groups'),
      await ids('projects'),
      await ids('environments'),
      await ids('servers'),
    ];
    const [acme, platform, project] = [groups.get('acme'), groups.get('acme/platform'), projects.get('acme/platform/shop')];
    const where = { group_ids: `,${acme},${platform},`, project_id: project };
    const expected = {
      acme: { object_id: acme, group_ids: `,${acme},`, project_id: null },
      'acme/platform': { object_id: platform, group_ids: where.group_ids, project_id: null },
      'acme/platform/shop': { object_id: project, ...where },
      'acme/platform/shop:production': { object_id: environments.get('production'), ...where },
      'acme/platform/shop:staging': { object_id: environments.get('staging'), ...where },
      'own@acme/platform/shop:production': { object_id: servers.get('own'), ...where },
      'main@acme': { object_id: servers.get('main'), group_ids: `,${acme},`, project_id: null },
      'shared@instance': { object_id: servers.get('shared'), group_ids: '', project_id: null },
    };
    const rows = await rowsOf();
    expect(
      Object.fromEntries(
        rows.map(({ object_name, object_id, group_ids, project_id }) => [object_name, { object_id, group_ids, project_id }]),
      ),
    ).toEqual(expected);
  });

  it('has nothing of what apply left as it was, and of a dry run nothing at all', async () => {
    await apply(shop, { dryRun: true });
    expect(await events()).toEqual([]);
    await apply(shop);
    await forget();
    await apply(shop);
    await apply('projects: []', { prune: true, dryRun: true });
    expect(await events()).toEqual([]);
  });

  it('has what apply changed with the names of its fields and none of their values', async () => {
    await apply(shop);
    await forget();
    const changed = shop
      .replace('kube_namespace: shop,', 'kube_namespace: other,')
      .replace('url: "http://10.0.0.1:9090"', 'url: "http://10.0.0.8:9090", auth: { bearer: very-secret }');
    await apply(changed);
    expect((await events()).map(told)).toEqual([
      ['changed', 'server', 'main@acme', { fields: ['url', 'auth'] }],
      ['changed', 'environment', 'acme/platform/shop:production', { fields: ['kube_namespace'] }],
    ]);
    expect(JSON.stringify(await rowsOf())).not.toContain('very-secret');
  });

  it('has what apply removed with how many tokens and members went along', async () => {
    await apply(shop);
    for (const name of ['a', 'b', 'c']) {
      const { id } = await createToken(home.database, production, { name }, tester);
      if (name === 'c') await revokeToken(home.database, id, tester);
    }
    await createToken(home.database, { level: 'group', path: 'acme' }, { name: 'd' }, tester);
    const { id: groupId } = await home.database.db
      .selectFrom('groups')
      .select('id')
      .where('path', '=', 'acme')
      .executeTakeFirstOrThrow();
    await forget();
    await apply('projects: [{ path: other/acme }]', { prune: true });
    const removed = (await events()).filter(({ action }) => action === 'removed');
    expect(removed.map(told).sort()).toEqual(
      [
        ['removed', 'server', 'shared@instance', {}],
        ['removed', 'server', 'main@acme', {}],
        ['removed', 'server', 'own@acme/platform/shop:production', {}],
        ['removed', 'environment', 'acme/platform/shop:production', { with: { tokens: 2 } }],
        ['removed', 'environment', 'acme/platform/shop:staging', {}],
        ['removed', 'project', 'acme/platform/shop', {}],
        ['removed', 'group', 'acme/platform', {}],
        ['removed', 'group', 'acme', { with: { tokens: 1 } }],
      ].sort(),
    );
    // Those who owned it can no more be asked for; whoever owned something above it can.
    const environment = (await rowsOf()).find(({ object_name }) => object_name === 'acme/platform/shop:production');
    expect(environment?.group_ids).toContain(`,${groupId},`);
  });

  it('does not take a new project for the removed one of the same path', async () => {
    await apply(shop);
    const before = await home.database.db.selectFrom('projects').select('id').executeTakeFirstOrThrow();
    await forget();
    await apply('projects: [{ path: acme/platform/shop/cart }]', { prune: true });
    const rows = await rowsOf();
    const group = rows.find(({ action, object_kind }) => action === 'created' && object_kind === 'group');
    expect(group).toMatchObject({ object_name: 'acme/platform/shop', project_id: null });
    expect(group?.group_ids.split(',')).toContain(String(group?.object_id));
    const removed = rows.find(({ action, object_kind }) => action === 'removed' && object_kind === 'project');
    expect(removed?.project_id).toBe(before.id);
  });

  it('has nothing of what apply could not finish', async () => {
    await apply(shop);
    await forget();
    await expect(apply('projects: [{ path: acme/new }, { path: ACME/other }]')).rejects.toThrow();
    expect(await events()).toEqual([]);
  });

  it('has who made, rotated and revoked a token, and never its text', async () => {
    await apply(shop);
    await forget();
    const now = Date.UTC(2026, 0, 31);
    const fields = { name: 'grafana', expiresAt: now + 86_400_000, allowedNetworks: ['10.0.0.0/8'] };
    const first = await createToken(home.database, production, fields, tester, now);
    const second = await rotateToken(home.database, first.id, 60_000, tester, now);
    await revokeToken(home.database, first.id, tester, now);
    await revokeToken(home.database, first.id, tester, now);
    const all = await events();
    const name = 'grafana@acme/platform/shop:production';
    expect(all.map(told)).toEqual([
      [
        'created',
        'token',
        name,
        { username: first.username, expires_at: '2026-02-01T00:00:00.000Z', allowed_networks: ['10.0.0.0/8'] },
      ],
      ['rotated', 'token', name, { previous_until: '2026-01-31T00:01:00.000Z' }],
      ['revoked', 'token', name, {}],
    ]);
    expect(all.map(({ time, object }) => [time, object.id])).toEqual(all.map(() => ['2026-01-31T00:00:00.000Z', first.id]));
    const text = JSON.stringify(await rowsOf());
    for (const { token } of [first, second]) expect(text).not.toContain(token);
  });

  it('has nothing of tokens that could not be made, rotated or revoked', async () => {
    await apply(shop);
    await forget();
    await expect(createToken(home.database, production, { name: '' }, tester)).rejects.toThrow();
    await expect(rotateToken(home.database, 999, 0, tester)).rejects.toThrow();
    await expect(revokeToken(home.database, 999, tester)).rejects.toThrow();
    const undone = home.database.write(async (trx) => {
      await createTokenIn(trx, await findTarget(trx, production), { name: 'x' }, tester, Date.now());
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    expect(await events()).toEqual([]);
  });

  it('can tell what goes along with a group, a project or an environment', async () => {
    await apply(shop);
    await apply('projects: [{ path: other/shop, environments: [{ name: a }] }]');
    const { id } = await createToken(home.database, production, { name: 'a' }, tester);
    await createToken(home.database, { level: 'group', path: 'acme' }, { name: 'b' }, tester);
    await revokeToken(home.database, id, tester);
    const held = (level: 'project' | 'environment', path: string) =>
      home.database.read(async (trx) => heldBy(trx, (await findTarget(trx, { level, path })).owner));
    const acme = await home.database.read(async (trx) =>
      heldBy(trx, { level: 'group', id: (await findGroup(trx, 'acme'))?.id ?? 0 }),
    );
    expect(acme).toEqual({ groups: 1, projects: 1, environments: 2, servers: 2, tokens: 1 });
    expect(await held('project', 'acme/platform/shop')).toEqual({ environments: 2, servers: 1 });
    expect(await held('environment', production.path)).toEqual({ servers: 1 });
    expect(await held('environment', 'other/shop:a')).toEqual({});
  });

  it('names the user of the operating system who works on the command line', { timeout: 120_000 }, async () => {
    await apply(shop);
    await forget();
    const { dataDir, databaseUrl } = home.settings;
    const env = { PATH: process.env.PATH, PROMGATE_DATA_DIR: dataDir, PROMGATE_DATABASE_URL: databaseUrl };
    await run(program, ['token', 'create', '--environment', production.path, '--name', 'cli'], { cwd: dataDir, env });
    expect(await events()).toMatchObject([
      {
        actor: { kind: 'command_line', id: null, name: userInfo().username },
        action: 'created',
        object: { kind: 'token', name: `cli@${production.path}` },
        address: null,
        request_id: null,
      },
    ]);
  });
});
