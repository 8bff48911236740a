import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tester } from '../../test/support/actor.ts';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { applyResources } from '../directory/apply.ts';
import { namedTarget } from '../directory/named.ts';
import { type Watch, watchDirectory } from '../directory/watch.ts';
import { createLog } from '../ops/log.ts';
import { openKeyring } from '../storage/crypto.ts';
import { allPurges } from '../storage/purges.ts';
import { bind } from '../upstream/binding.ts';
import { everything, type PurgeSubject, purge, serverSubject } from './purge.ts';
import { endpointSubject, namedServerSubject } from './purge-names.ts';

const soon = { timeout: 20_000 };

const keyring = openKeyring({ dataDir: '/nowhere', secretKey: Buffer.alloc(32, 1) });
const rules = {
  limits: {
    timeout: 1,
    maxRange: 0,
    maxPoints: 1,
    maxDepth: 1,
    maxResponse: 1,
    maxQueryBytes: 1,
    tokenConcurrency: 0,
    tokenRate: 0,
    environmentConcurrency: 0,
    environmentRate: 0,
  },
  cache: { recentWindow: 0, maxAge: 1, instant: true, metadataTtl: 0 },
};

const own = (url: string, more = '') => `
servers: [{ name: shared, url: "http://10.0.0.8" }]
projects:
  - path: acme/shop
    environments: [{ name: a, kube_namespace: a }, { name: b, kube_namespace: b }, { name: c }, { name: d }]
    servers:
      - { name: main, url: "${url}", environment_scope: a, enforce: { namespace: "{{kube_namespace}}" } }
      - { name: all, url: "http://10.0.0.9" ${more}}
  - { path: acme/other, environments: [{ name: a }] }
`;
const names = ['acme/shop:a', 'acme/shop:b', 'acme/shop:c', 'acme/shop:d', 'acme/other:a'];

describe.each(dialects)('a purge on %s', { timeout: 90_000 }, (dialect) => {
  let home: TestDatabase;
  let watches: Watch[];
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    await apply(own('http://10.0.0.1'));
    // Two processes on one database.
    watches = [await open(), await open()];
  });
  afterEach(async () => {
    for (const each of watches) await each.close();
    await home.remove();
  });

  const open = () => watchDirectory(home.database, keyring, createLog('error'), () => undefined);
  const apply = (text: string) =>
    applyResources(home.database, keyring, text, { fileName: 'r', dryRun: false, prune: false, env: {}, actor: tester });
  const directory = (by = watches[0]) => {
    if (by === undefined) throw new Error('nobody watches');
    return by.current();
  };
  const targetAt = (name: string, by?: Watch) => {
    const target = namedTarget(directory(by), name);
    const server = target && directory(by).server(target);
    if (target === null || server === null) throw new Error(`nothing at ${name}`);
    return { target, server };
  };
  const policies = (by?: Watch) =>
    names.map((name) => {
      const { target, server } = targetAt(name, by);
      return bind(target, server, rules, directory(by).purges).policy;
    });
  const subjects = async () => (await home.database.read(allPurges)).map(({ subject }) => subject).sort();
  const endpoint = (name: string) => endpointSubject(directory(), targetAt(name).target).subject;

  /** Which policies are others once this is done, and known everywhere. */
  async function renewed(work: () => Promise<unknown>): Promise<string[]> {
    const before = policies();
    const generation = directory().generation;
    await work();
    await expect.poll(() => directory().generation, soon).toBeGreaterThan(generation);
    const after = policies();
    await expect.poll(() => watches.map((watch) => policies(watch)), soon).toEqual([after, after]);
    // So does a process that starts later.
    const late = await open();
    expect(policies(late)).toEqual(after);
    await late.close();
    return names.filter((_, index) => before[index] !== after[index]);
  }
  const purged = (subject: PurgeSubject) => renewed(() => purge(home.database, subject, tester, null));

  it('of everything renews all', async () => {
    expect(await purged(everything)).toEqual(names);
    expect(await purged(everything)).toEqual(names);
  });

  it('of a server renews what it answers', async () => {
    expect(await purged(serverSubject(targetAt('acme/shop:a').server))).toEqual(['acme/shop:a']);
    expect(await purged(namedServerSubject(directory(), 'all', undefined).subject)).toEqual(names.slice(1, 4));
    expect(await purged(namedServerSubject(directory(), 'shared', 'instance').subject)).toEqual(['acme/other:a']);
  });

  it('of an endpoint renews it and those that share answers with it', async () => {
    expect(await purged(endpoint('acme/shop:a'))).toEqual(['acme/shop:a']);
    expect(await purged(endpoint('acme/shop:b'))).toEqual(names.slice(1, 4));
    expect(await purged(endpoint('acme/shop:c'))).toEqual(names.slice(1, 4));
    // The same as through the project's own endpoint: nothing confines it either.
    expect(await purged(endpoint('acme/shop'))).toEqual(names.slice(1, 4));
  });

  it('is in the audit log, on what it was asked for', async () => {
    const { target, server } = targetAt('acme/shop:b');
    await purge(home.database, everything, tester, null);
    await purge(home.database, serverSubject(server), tester, null);
    await purge(home.database, endpoint('acme/shop:b'), tester, target);
    const rows = await home.database.read((trx) =>
      trx.selectFrom('audit_events').selectAll().where('action', '=', 'purged').orderBy('id').execute(),
    );
    expect(rows.map((row) => [row.actor_name, row.object_kind, row.object_id, row.object_name, row.detail])).toEqual([
      ['tester', 'instance', null, 'instance', '{}'],
      ['tester', 'server', server.id, 'all@acme/shop', '{}'],
      ['tester', 'environment', expect.any(Number), 'acme/shop:b', '{"server":"all@acme/shop"}'],
    ]);
    const [, ofServer, ofEnvironment] = rows;
    expect(ofServer?.project_id).toEqual(expect.any(Number));
    expect([ofEnvironment?.project_id, ofEnvironment?.group_ids]).toEqual([ofServer?.project_id, ofServer?.group_ids]);
  });

  it('is not needed after a change of the server’s record, whatever it is; applying the same again renews nothing', async () => {
    expect(await renewed(() => apply(own('http://10.0.0.2')))).toEqual(['acme/shop:a']);
    let more = '';
    for (const key of ['limits: { timeout: 1s }', 'cache: { max_age: 1h }', 'auth: { bearer: x }', 'kind: prometheus']) {
      more += `, ${key}`;
      expect(await renewed(() => apply(own('http://10.0.0.2', more))), key).toEqual(names.slice(1, 4));
    }
    const before = policies();
    await apply(own('http://10.0.0.2', more));
    expect(await purged(serverSubject(targetAt('acme/shop:a').server))).toEqual(['acme/shop:a']);
    expect(policies().slice(1)).toEqual(before.slice(1));
  });

  it('of more than before is the only one that is remembered, and nothing that was purged comes back', async () => {
    const { server } = targetAt('acme/shop:b');
    const seen = [...policies()];
    const step = async (work: () => Promise<unknown>) => {
      await renewed(work);
      seen.push(...policies());
    };
    await step(() => purge(home.database, endpoint('acme/shop:a'), tester, null));
    await step(() => purge(home.database, endpoint('acme/shop:b'), tester, null));
    const [a, b] = await subjects();
    expect([a?.split(' ')[0], b?.split(' ')[0]]).toEqual(['policy', 'policy']);
    await step(() => purge(home.database, serverSubject(server), tester, null));
    expect((await subjects()).map((subject) => subject.split(' ', 2).join(' '))).toEqual([
      expect.stringMatching(/^policy /),
      `server ${server.id}`,
    ]);
    await step(() => purge(home.database, endpoint('acme/shop:b'), tester, null));
    await step(() => apply(own('http://10.0.0.1', ', auth: { bearer: x }')));
    await step(() => purge(home.database, endpoint('acme/shop:b'), tester, null));
    // The one under the record of before is forgotten.
    expect(await subjects()).toHaveLength(3);
    await step(() => purge(home.database, everything, tester, null));
    expect(await subjects()).toEqual(['all']);
    // A policy that was there, went and came again would be seen twice with another one between.
    for (const index of names.keys()) {
      const history = seen.filter((_, i) => i % names.length === index);
      const runs = history.filter((policy, i) => policy !== history[i - 1]);
      expect(new Set(runs).size).toBe(runs.length);
    }
  });
});

describe('the names of servers', () => {
  it('that several have must be told apart, and those that none has are not found', async () => {
    const home = await createTestDatabase('sqlite');
    const server = 'servers: [{ name: main, url: "http://10.0.0.1" }]';
    const text = `
${server}
groups: [{ path: acme, ${server} }]
projects: [{ path: acme/shop, ${server}, environments: [{ name: a, ${server} }] }]
`;
    await applyResources(home.database, keyring, text, { fileName: 'r', dryRun: false, prune: false, env: {}, actor: tester });
    const watch = await watchDirectory(home.database, keyring, createLog('error'), () => undefined);
    const find = (name: string, of?: string) => namedServerSubject(watch.current(), name, of);
    const owners = ['instance', 'acme', 'acme/shop', 'acme/shop:a'];
    const ids = owners.map((of) => find('main', of).subject);
    expect(new Set(ids.map((subject) => JSON.stringify(subject))).size).toBe(4);
    const all = owners.join(', ');
    expect(() => find('main')).toThrow(`Several servers are called "main". Say which one it is of: ${all}.`);
    expect(() => find('main', 'acme/web')).toThrow(`There is no server "main" of acme/web. Say which one it is of: ${all}.`);
    expect(() => find('other')).toThrow(/^There is no server "other"\.$/);
    await watch.close();
    await home.remove();
  });
});
