import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createToken } from '../src/access/tokens.ts';
import { applyResources, type Change } from '../src/directory/apply.ts';
import { ResourceFileError } from '../src/directory/resource-file.ts';
import { type Keyring, openKeyring } from '../src/storage/crypto.ts';
import { allEnvironments } from '../src/storage/environments.ts';
import { allGroups } from '../src/storage/groups.ts';
import { allProjects } from '../src/storage/projects.ts';
import { allServers, insertServer, serverFromRow } from '../src/storage/servers.ts';
import { tester } from './support/actor.ts';
import { createTestDatabase, dialects, type TestDatabase } from './support/database.ts';
import { insertEnvironment, insertGroup, insertProject } from './support/rows.ts';

const shop = `
servers:
  - { name: shared, url: "http://10.0.0.9:9090" }
groups:
  - path: acme
    servers: [{ name: group, url: "http://10.0.0.1:9090" }]
projects:
  - path: acme/platform/shop
    environments:
      - name: production
        kube_namespace: shop-prod
        servers: [{ name: own, url: "http://10.0.0.2:9090" }]
      - name: review/login
    servers:
      - name: main
        url: http://127.0.0.1:9090
        auth: { basic: { username: u, password: { env: PASSWORD } } }
        headers: { X-Scope-OrgID: "{{ci_project_namespace}}" }
        enforce: { namespace: [b, a] }
        limits: { timeout: 30s }
`;

describe.each(dialects)('apply on %s', (dialect) => {
  let home: TestDatabase;
  let keyring: Keyring;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    keyring = openKeyring({ dataDir: home.settings.dataDir, secretKey: Buffer.alloc(32, 1) });
  });
  afterEach(() => home.remove());

  const apply = (
    text: string,
    more: { dryRun?: boolean; prune?: boolean; newKey?: boolean; env?: Record<string, string> } = {},
  ) => {
    const options = { fileName: 'r.yml', dryRun: false, prune: false, env: { PASSWORD: 'one' }, actor: tester, ...more };
    return applyResources(home.database, keyring, text, options);
  };

  /** Everything that `apply` may touch, without ids and sealed texts, which differ each time. */
  const contents = () =>
    home.database.read(async (trx) => ({
      groups: (await allGroups(trx)).map(({ path, managed_by }) => [path, managed_by]).sort(),
      projects: (await allProjects(trx)).map(({ path }) => path).sort(),
      environments: (await allEnvironments(trx)).map(({ name, kube_namespace }) => [name, kube_namespace]).sort(),
      servers: (await allServers(trx)).map((row) => [row.name, row.level, row.url, row.connection]).sort(),
    }));

  const named = (changes: readonly Change[], action: Change['action']): string[] => {
    const some = changes.filter((change) => change.action === action);
    return some.map(({ kind, name, owner }) => `${kind} ${owner === undefined ? '' : `${owner} `}${name}`).sort();
  };

  it('creates what the file names, and the groups that its paths imply', async () => {
    const { changes, counts } = await apply(shop);
    expect(named(changes, 'created')).toEqual([
      'environment acme/platform/shop:production',
      'environment acme/platform/shop:review/login',
      'group acme',
      'group acme/platform',
      'project acme/platform/shop',
      'server acme group',
      'server acme/platform/shop main',
      'server acme/platform/shop:production own',
      'server instance shared',
    ]);
    expect(counts).toEqual({ created: 9, changed: 0, unchanged: 0, removed: 0, kept: 0 });
    const { groups, servers, environments } = await contents();
    expect(groups).toEqual([
      ['acme', 'apply'],
      ['acme/platform', 'apply'],
    ]);
    expect(environments).toEqual([
      ['production', 'shop-prod'],
      ['review/login', ''],
    ]);
    expect(servers.map(([name, level]) => [name, level])).toEqual([
      ['group', 'group'],
      ['main', 'project'],
      ['own', 'environment'],
      ['shared', 'instance'],
    ]);
  });

  it('frees a server that somebody else set up just as the file has it', async () => {
    const file = 'servers: [{ name: shared, url: "http://10.0.0.9:9090" }]';
    await apply(file);
    const restricted = async () => (await home.database.read(allServers)).map((row) => row.restricted);
    await home.database.write((trx) => trx.updateTable('servers').set({ restricted: 1 }).execute());
    expect((await apply(file)).changes).toEqual([
      { action: 'changed', kind: 'server', name: 'shared', owner: 'instance', fields: ['restricted'] },
    ]);
    expect(await restricted()).toEqual([0]);
    expect((await apply(file)).counts.unchanged).toBe(1);
  });

  it('stores all that the file says of a server, its secrets encrypted', async () => {
    await apply(shop);
    const rows = await home.database.read(allServers);
    const main = rows.find(({ name }) => name === 'main');
    expect(JSON.stringify(rows)).not.toContain('"one"');
    expect(main && serverFromRow(main, keyring)).toMatchObject({
      url: 'http://127.0.0.1:9090',
      environmentScope: '*',
      enabled: true,
      enforce: { namespace: ['b', 'a'] },
      limits: { timeout: 30_000 },
      connection: {
        auth: { basic: { username: 'u', password: 'one' } },
        headers: { 'X-Scope-OrgID': '{{ci_project_namespace}}' },
      },
    });
  });

  it('changes nothing the second time, not even a sealed text', async () => {
    await apply(shop);
    const before = await contents();
    const { counts } = await apply(shop);
    expect(counts).toEqual({ created: 0, changed: 0, unchanged: 9, removed: 0, kept: 0 });
    expect(await contents()).toEqual(before);
  });

  it('changes what differs, and names the fields but no values', async () => {
    await apply(shop);
    const edited = shop
      .replace('kube_namespace: shop-prod', 'kube_namespace: shop')
      .replace('[b, a]', 'c')
      .replace('timeout: 30s', 'timeout: 1m')
      .replace('http://10.0.0.9:9090', 'http://10.0.0.8:9090');
    const { changes, counts } = await apply(edited, { env: { PASSWORD: 'two' } });
    expect(counts).toMatchObject({ created: 0, changed: 3, unchanged: 6, removed: 0 });
    expect(changes.filter(({ action }) => action === 'changed')).toEqual([
      { action: 'changed', kind: 'server', name: 'shared', owner: 'instance', fields: ['url'] },
      { action: 'changed', kind: 'server', name: 'main', owner: 'acme/platform/shop', fields: ['auth', 'enforce', 'limits'] },
      { action: 'changed', kind: 'environment', name: 'acme/platform/shop:production', fields: ['kube_namespace'] },
    ]);
    expect(JSON.stringify(changes)).not.toMatch(/one|two/);
    const rows = await home.database.read(allServers);
    const opened = rows.map((row) => serverFromRow(row, keyring));
    expect(opened.find(({ name }) => name === 'main')?.connection.auth).toEqual({ basic: { username: 'u', password: 'two' } });
    expect(opened.find(({ name }) => name === 'shared')?.url).toBe('http://10.0.0.8:9090');
  });

  it('refuses another secret key, unless told that the one before is lost: then it seals anew', async () => {
    await apply(shop);
    keyring = openKeyring({ dataDir: home.settings.dataDir, secretKey: Buffer.alloc(32, 2) });
    const before = await contents();
    for (const more of [{}, { dryRun: true }, { prune: true }]) await expect(apply(shop, more)).rejects.toThrow('secret_key');
    expect(await contents()).toEqual(before);
    const ofInstance = () =>
      home.database.read((trx) =>
        trx.selectFrom('audit_events').select(['action', 'detail']).where('object_kind', '=', 'instance').execute(),
      );
    expect(await ofInstance()).toEqual([]);
    await apply(shop, { newKey: true, dryRun: true });
    expect(await ofInstance()).toEqual([]);
    const { counts } = await apply(shop, { newKey: true });
    expect(counts).toMatchObject({ changed: 4, unchanged: 5 });
    expect(await ofInstance()).toEqual([{ action: 'changed', detail: '{"fields":["secret_key"]}' }]);
    const rows = await home.database.read(allServers);
    expect(rows.map((row) => serverFromRow(row, keyring).name).sort()).toEqual(['group', 'main', 'own', 'shared']);
  });

  it('says in a dry run exactly what it would do, and does nothing', async () => {
    const planned = await apply(shop, { dryRun: true });
    expect(await contents()).toEqual({ groups: [], projects: [], environments: [], servers: [] });
    const done = await apply(shop);
    expect(planned).toEqual({ ...done, dryRun: true });
    const before = await contents();
    const removal = await apply('projects: []', { dryRun: true, prune: true });
    expect(await contents()).toEqual(before);
    expect(await apply('projects: []', { prune: true })).toEqual({ ...removal, dryRun: false });
  });

  it('changes nothing at all when the file is bad in one place', async () => {
    await apply(shop);
    const before = await contents();
    const bad = `${shop.replace('10.0.0.9', '10.0.0.8')}      - { name: x, url: ftp://a }\n`;
    await expect(apply(bad, { prune: true })).rejects.toThrow(ResourceFileError);
    expect(await contents()).toEqual(before);
  });

  it('changes nothing when the file clashes with the directory, though the rest of it is good', async () => {
    await apply(shop);
    const before = await contents();
    const clashing = 'servers: [{ name: new, url: "http://a" }]\nprojects: [{ path: new/project }, { path: acme/platform }]';
    await expect(apply(clashing)).rejects.toThrow(ResourceFileError);
    expect(await contents()).toEqual(before);
  });

  it('names each clash with its place', async () => {
    await apply(shop);
    const clash = async (text: string): Promise<string[]> => {
      const error: unknown = await apply(text).catch((e: unknown) => e);
      if (!(error instanceof ResourceFileError)) throw new Error(`no clash: ${String(error)}`);
      return error.message.split('\n').slice(1);
    };
    expect(await clash('projects: [{ path: acme/platform }]')).toEqual([
      'r.yml:1:14: projects[0].path: there is a group acme/platform already',
    ]);
    expect(await clash('groups: [{ path: acme/platform/shop }]')).toEqual([
      'r.yml:1:12: groups[0].path: there is a project acme/platform/shop already',
    ]);
    expect(await clash('groups: [{ path: acme/platform/shop/below }]')).toEqual([
      'r.yml:1:12: groups[0].path: there is a project acme/platform/shop already',
    ]);
    expect(await clash('groups: [{ path: Acme }]')).toEqual([
      'r.yml:1:12: groups[0].path: "Acme" exists as "acme"; write it that way',
    ]);
    expect(await clash('projects: [{ path: acme/platform/shop, environments: [{ name: production- }] }]')).toEqual([
      'r.yml:1:57: projects[0].environments[0].name: the environment "production" has the same slug, production',
    ]);
  });

  it('leaves alone what the file does not name, unless told to prune', async () => {
    await apply(shop);
    const { counts } = await apply('servers: [{ name: other, url: "http://a" }]');
    expect(counts).toEqual({ created: 1, changed: 0, unchanged: 0, removed: 0, kept: 0 });
    expect((await contents()).projects).toEqual(['acme/platform/shop']);
  });

  it('prunes what an earlier apply made and the file no longer names, implied groups included', async () => {
    await apply(shop);
    const rest = 'projects: [{ path: acme/platform/shop, environments: [{ name: review/login }] }]';
    const { changes } = await apply(rest, { prune: true });
    expect(named(changes, 'removed')).toEqual([
      'environment acme/platform/shop:production',
      'server acme group',
      'server acme/platform/shop main',
      'server acme/platform/shop:production own',
      'server instance shared',
    ]);
    expect(named((await apply('groups: [{ path: acme }]', { prune: true })).changes, 'removed')).toEqual([
      'environment acme/platform/shop:review/login',
      'group acme/platform',
      'project acme/platform/shop',
    ]);
    expect(await contents()).toEqual({ groups: [['acme', 'apply']], projects: [], environments: [], servers: [] });
  });

  it('never prunes what was made by hand, nor what holds it', async () => {
    await apply(shop);
    await home.database.write(async (trx) => {
      const groups = await allGroups(trx);
      const inner = groups.find(({ path }) => path === 'acme/platform');
      if (inner === undefined) throw new Error('no group');
      const project = await insertProject(trx, { path: 'acme/platform/hand', group_id: inner.id, managed_by: null });
      await insertEnvironment(trx, { project_id: project.id, name: 'x', slug: 'x', kube_namespace: '', managed_by: null });
      await insertGroup(trx, { path: 'free', parent_id: null, managed_by: null });
      const production = (await allEnvironments(trx)).find(({ name }) => name === 'production');
      if (production === undefined) throw new Error('no environment');
      const server = {
        name: 'hand',
        url: 'http://a',
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
      await insertServer(trx, keyring, { level: 'environment', id: production.id }, server, null);
    });
    const { changes } = await apply('projects: []', { prune: true });
    const kept = changes.filter(({ action }) => action === 'kept').map(({ kind, name, reason }) => `${kind} ${name}: ${reason}`);
    expect(kept).toEqual([
      'environment acme/platform/shop:production: it holds the server "hand"',
      'project acme/platform/shop: it holds the environment "production"',
      expect.stringMatching(/^group acme\/platform: it holds the project acme\/platform\/(hand|shop)$/),
      'group acme: it holds the group acme/platform',
    ]);
    expect(await contents()).toMatchObject({
      groups: [
        ['acme', 'apply'],
        ['acme/platform', 'apply'],
        ['free', null],
      ],
      projects: ['acme/platform/hand', 'acme/platform/shop'],
      servers: [['hand', 'environment', 'http://a', expect.any(String)]],
    });
  });

  it('does not take over what was made by hand and the file names as well', async () => {
    await home.database.write((trx) => insertGroup(trx, { path: 'acme', parent_id: null, managed_by: null }));
    expect((await apply('groups: [{ path: acme }]')).counts).toMatchObject({ created: 0, unchanged: 1 });
    await apply('projects: []', { prune: true });
    expect((await contents()).groups).toEqual([['acme', null]]);
  });

  it('may turn a pruned project into a group of the same path', async () => {
    await apply('projects: [{ path: acme/shop }]');
    await apply('groups: [{ path: acme/shop }]', { prune: true });
    expect(await contents()).toMatchObject({
      groups: [
        ['acme', 'apply'],
        ['acme/shop', 'apply'],
      ],
      projects: [],
    });
  });

  it('takes the tokens of a pruned environment along', async () => {
    await apply(shop);
    await createToken(home.database, { level: 'environment', path: 'acme/platform/shop:production' }, { name: 'x' }, tester);
    await apply('projects: []', { prune: true });
    const left = await home.database.read((trx) => trx.selectFrom('tokens').selectAll().execute());
    expect(left).toEqual([]);
  });

  it('works for a file of thousands of environments, and finds the one that changed', { timeout: 120_000 }, async () => {
    const projects = Array.from({ length: 40 }, (_, p) => {
      const environments = Array.from({ length: 100 }, (_, e) => `{ name: env-${e}, kube_namespace: ns-${e} }`);
      return `  - { path: big/team${p % 7}/p${p}, environments: [${environments.join(', ')}] }`;
    });
    const big = `projects:\n${projects.join('\n')}\n`;
    expect((await apply(big)).counts).toMatchObject({ created: 4000 + 40 + 8 });
    const digest = async () =>
      createHash('sha256')
        .update(JSON.stringify(await contents()))
        .digest('hex');
    const before = await digest();
    expect((await apply(big)).counts).toMatchObject({ created: 0, changed: 0, unchanged: 4048 });
    expect(await digest()).toBe(before);
    const at = big.lastIndexOf('ns-99');
    const { changes } = await apply(`${big.slice(0, at)}other${big.slice(at + 5)}`);
    expect(named(changes, 'changed')).toEqual(['environment big/team4/p39:env-99']);
    expect((await apply('groups: [{ path: big }]', { prune: true })).counts).toMatchObject({ removed: 4047, unchanged: 1 });
  });

  it('run twice at the same moment, each time whole', async () => {
    const other = shop.replaceAll('production', 'staging');
    const results = await Promise.all([apply(shop), apply(other), apply(shop), apply(other)]);
    const created = results.reduce((sum, { counts }) => sum + counts.created, 0);
    expect(created).toBe(11);
    expect((await contents()).environments.map(([name]) => name)).toEqual(['production', 'review/login', 'staging']);
  });
});
