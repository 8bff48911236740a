import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { insertEnvironment, insertGroup, insertProject } from '../../test/support/rows.ts';
import { openKeyring } from './crypto.ts';
import type { ServerOwner } from './owner.ts';
import type { Row, Trx } from './schema.ts';
import * as servers from './servers.ts';

const keyring = openKeyring({ dataDir: '/nowhere', secretKey: randomBytes(32) });

const plain: servers.ServerDefinition = {
  name: 'main',
  url: 'http://10.0.0.9:9090',
  environmentScope: '*',
  enabled: true,
  kind: null,
  enforce: {},
  limits: {},
  expose: [],
  cache: {},
  verify: 'server',
  connection: { auth: null, headers: {}, queryParams: {}, tls: {} },
};

const full: servers.ServerDefinition = {
  name: 'full',
  url: 'https://prometheus.example/prefix',
  environmentScope: 'review/*',
  enabled: false,
  kind: 'mimir',
  enforce: { namespace: ['{{kube_namespace}}', 'shared'] },
  limits: {
    timeout: 30_000,
    maxRange: 0,
    maxPoints: 11_000,
    maxResponse: 1,
    maxQueryBytes: 2,
    maxDepth: 3,
    concurrency: 4,
    rate: 0.5,
  },
  expose: ['targets', 'status/tsdb'],
  cache: { enabled: false, recentWindow: 0, maxAge: 3_600_000, instant: false, metadataTtl: 0 },
  verify: 'server',
  connection: {
    auth: { basic: { username: 'u', password: 's3cret' } },
    headers: { 'X-Scope-OrgID': 'h34der' },
    queryParams: { tenant: 'p4ram' },
    tls: { ca: 'CA', cert: 'CERT', key: 'k3y', serverName: 'name', insecureSkipVerify: true },
  },
};

describe.each(dialects)('servers on %s', (dialect) => {
  let home: TestDatabase;
  /** One owner of each level. */
  let owners: ServerOwner[];
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    owners = await write(async (trx) => {
      const group = await insertGroup(trx, { path: 'acme', parent_id: null, managed_by: null });
      const project = await insertProject(trx, { path: 'acme/shop', group_id: group.id, managed_by: null });
      const names = { name: 'production', slug: 'production', kube_namespace: '' };
      const environment = await insertEnvironment(trx, { project_id: project.id, ...names, managed_by: null });
      return [
        { level: 'instance' },
        { level: 'group', id: group.id },
        { level: 'project', id: project.id },
        { level: 'environment', id: environment.id },
      ];
    });
  });
  afterEach(() => home.remove());

  const instance: ServerOwner = { level: 'instance' };
  const read = <T>(fn: (trx: Trx) => Promise<T>) => home.database.read(fn);
  const write = <T>(fn: (trx: Trx) => Promise<T>) => home.database.write(fn);
  const insert = (owner: ServerOwner, server: servers.ServerDefinition) =>
    write((trx) => servers.insertServer(trx, keyring, owner, server, null));

  it.each([plain, full])('come back as they were declared ($name)', async (server) => {
    const row = await insert(instance, server);
    expect(servers.serverFromRow(row, keyring)).toEqual({
      ...server,
      id: row.id,
      level: 'instance',
      revision: servers.revisionOf(row),
      restricted: false,
    });
  });

  it('come back with a bearer token', async () => {
    const connection = { ...plain.connection, auth: { bearer: 't0ken' } };
    expect(servers.serverFromRow(await insert(instance, { ...plain, connection }), keyring).connection).toEqual(connection);
  });

  it('belong to exactly one owner of each level', async () => {
    const rows: Row<'servers'>[] = [];
    for (const owner of owners) rows.push(await insert(owner, plain));
    expect(await read(servers.allServers)).toEqual(rows);
    const columns = rows.map((row) => [row.level, row.group_id, row.project_id, row.environment_id]);
    const id = (index: number) => owners.map((owner) => ('id' in owner ? owner.id : null))[index];
    expect(columns).toEqual([
      ['instance', null, null, null],
      ['group', id(1), null, null],
      ['project', null, id(2), null],
      ['environment', null, null, id(3)],
    ]);
    expect(await read((trx) => servers.serversByIds(trx, [rows[1]?.id ?? 0, 999]))).toEqual([rows[1]]);
  });

  it('have one name each with the same owner', async () => {
    for (const owner of owners) {
      await insert(owner, plain);
      await expect(insert(owner, plain)).rejects.toThrow(/unique/i);
    }
  });

  it('must have the owner that their level names, and no other', async () => {
    const row = await insert(instance, plain);
    const [group, project] = [1, 1];
    const wrong: Partial<Row<'servers'>>[] = [
      { level: 'instance', group_id: group },
      { level: 'group' },
      { level: 'group', project_id: project },
      { level: 'group', group_id: group, project_id: project },
      { level: 'environment', project_id: project },
      { level: 'galaxy' },
      { enabled: 2 },
    ];
    for (const change of wrong) {
      const update = home.database.db.updateTable('servers').set(change).where('id', '=', row.id).execute();
      await expect(update, JSON.stringify(change)).rejects.toThrow(/check/i);
    }
  });

  it('are replaced and deleted one by one', async () => {
    const [one, two] = [await insert(instance, plain), await insert(instance, { ...plain, name: 'two' })];
    await write((trx) => servers.updateServer(trx, keyring, one.id, full, 'apply'));
    const [changed, other] = await read(servers.allServers);
    expect(changed && servers.serverFromRow(changed, keyring)).toEqual({
      ...full,
      id: one.id,
      level: 'instance',
      revision: expect.any(String),
      restricted: false,
    });
    expect(changed?.managed_by).toBe('apply');
    expect(other).toEqual(two);
    await write((trx) => servers.deleteServers(trx, [one.id]));
    expect(await read(servers.allServers)).toEqual([two]);
  });

  it('hold no readable secret in the database', async () => {
    await insert(instance, full);
    const stored = JSON.stringify(await read(servers.allServers));
    for (const secret of ['s3cret', 'h34der', 'p4ram', 'k3y']) expect(stored).not.toContain(secret);
  });
});

describe('a server whose record does not fit', () => {
  const sealed = (connection: unknown) => keyring.seal(JSON.stringify(connection), `server ${full.url}`);
  const row: Row<'servers'> = {
    id: 7,
    name: 'full',
    level: 'instance',
    group_id: null,
    project_id: null,
    environment_id: null,
    url: full.url,
    environment_scope: '*',
    enabled: 1,
    kind: null,
    enforce: '{}',
    limits: '{}',
    expose: '[]',
    cache: '{}',
    verify: 'server',
    connection: sealed(full.connection),
    managed_by: null,
    restricted: 0,
  };
  const failure = (change: Partial<Row<'servers'>>, keys = keyring): Error => {
    try {
      servers.serverFromRow({ ...row, ...change }, keys);
    } catch (error) {
      if (error instanceof Error) return error;
    }
    throw new Error('It was accepted.');
  };

  it('is read as it is otherwise', () => {
    expect(servers.serverFromRow(row, keyring).connection).toEqual(full.connection);
  });

  it('cannot send its credentials to another URL', () => {
    expect(failure({ url: 'https://attacker.example' }).message).toContain(
      '"full" (id 7) has credentials that cannot be decrypted',
    );
  });

  it('is refused with another key, saying what to do', () => {
    const other = openKeyring({ dataDir: '/nowhere', secretKey: randomBytes(32) });
    expect(failure({}, other).message).toMatch(/secret key is not the one.*Restore the key, or declare the server again/);
  });

  it.each([
    { connection: keyring.seal('s3cret but no JSON', `server ${full.url}`) },
    { connection: sealed({ ...full.connection, auth: 's3cret' }) },
    { connection: sealed({ ...full.connection, s3cret: 1 }) },
    { enforce: '{"namespace":"s3cret"}' },
    { enforce: 's3cret' },
    { limits: '{"s3cret":1}' },
    { expose: '["s3cret"]' },
    { cache: '{"mode":"s3cret"}' },
    { cache: '{"maxAge":"s3cret"}' },
    { kind: 's3cret' },
    { level: 's3cret' },
  ])('is refused without showing what it holds (%#)', (change) => {
    const error = failure(change);
    expect(error.message).toMatch(/^The server "full" \(id 7\) .* does not understand\.$|this version.*not understand/);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('s3cret');
    expect(error.cause).toBeUndefined();
  });
});
