import { CompiledQuery, type KyselyPlugin } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { insertGroup } from '../../test/support/rows.ts';
import { type Actor, type AuditEvent, type AuditObject, theInstance } from '../ops/audit.ts';
import { type AuditFilter, exportEvents, readEvents, recordEvents } from './audit.ts';

const anna: Actor = { kind: 'user', id: 7, name: 'anna', address: '10.0.0.1', requestId: 'r1' };
const shell: Actor = { kind: 'command_line', id: null, name: 'root', address: null, requestId: null };
const day = 86_400_000;

describe.each(dialects)('the audit log on %s', (dialect) => {
  let home: TestDatabase;
  /** Ids of groups with one and with two digits, of which one begins as another does. */
  let groups: number[];
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    groups = await home.database.write(async (trx) => {
      const ids: number[] = [];
      for (let i = 0; i < 12; i++) ids.push((await insertGroup(trx, { path: `g${i}`, parent_id: null, managed_by: null })).id);
      return ids;
    });
  });
  afterEach(() => home.remove());

  const record = (event: Partial<AuditEvent>, at = 0) =>
    home.database.write((trx) => recordEvents(trx, [{ actor: anna, action: 'created', object: theInstance, ...event }], at));
  const read = (filter: Partial<AuditFilter> & { before?: number; limit?: number } = {}) =>
    home.database.read((trx) => readEvents(trx, { visible: 'all', limit: 100, ...filter }));
  const names = async (filter: Parameters<typeof read>[0]) => (await read(filter)).map(({ object }) => object.name);
  const object = (name: string, more: Partial<AuditObject> = {}): AuditObject => ({
    ...theInstance,
    kind: 'project',
    name,
    ...more,
  });
  const exported = async (filter: AuditFilter, page?: number) => {
    const pages: number[][] = [];
    for await (const each of exportEvents(home.database, filter, page)) pages.push(each.map(({ id }) => id));
    return pages;
  };

  it('is told as it was written', async () => {
    const shop = object('acme/shop', { id: 3, groupIds: [1, 2], projectId: 3 });
    await record({ object: shop, action: 'changed', detail: { fields: ['url'] } }, Date.UTC(2026, 0, 31, 12, 0, 0, 7));
    await record({ actor: shell });
    expect(await read()).toEqual([
      {
        id: expect.any(Number),
        time: '1970-01-01T00:00:00.000Z',
        actor: { kind: 'command_line', id: null, name: 'root' },
        action: 'created',
        object: { kind: 'instance', id: null, name: 'instance' },
        address: null,
        request_id: null,
        count: 1,
        detail: {},
      },
      {
        id: expect.any(Number),
        time: '2026-01-31T12:00:00.007Z',
        actor: { kind: 'user', id: 7, name: 'anna' },
        action: 'changed',
        object: { kind: 'project', id: 3, name: 'acme/shop' },
        address: '10.0.0.1',
        request_id: 'r1',
        count: 1,
        detail: { fields: ['url'] },
      },
    ]);
  });

  it('goes back with the change that it is about', async () => {
    const failing = home.database.write(async (trx) => {
      await recordEvents(trx, [{ actor: anna, action: 'created', object: theInstance }], 1);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await read()).toEqual([]);
  });

  it('shows an owner what is in her groups and projects, and nothing else', async () => {
    const [one = 0, two = 0] = groups;
    const twelve = groups.at(-1) ?? 0;
    await record({ object: object('one', { groupIds: [one], projectId: 5 }) });
    await record({ object: object('two', { groupIds: [two, one], projectId: 55 }) });
    await record({ object: object('twelve', { groupIds: [twelve], projectId: 6 }) });
    await record({ object: object('nowhere') });
    const ofGroup = (groupId: number) => names({ visible: { groupId } });
    const ofProject = (projectId: number) => names({ visible: { projectId } });
    expect(await ofGroup(one)).toEqual(['two', 'one']);
    expect(await ofGroup(two)).toEqual(['two']);
    expect(await ofGroup(twelve)).toEqual(['twelve']);
    expect(await ofProject(5)).toEqual(['one']);
    expect(await ofProject(6)).toEqual(['twelve']);
    expect(await ofGroup(999)).toEqual([]);
    expect(await ofProject(999)).toEqual([]);
    expect(await names({ visible: { groupId: one }, before: (await read())[2]?.id ?? 0 })).toEqual(['one']);
    expect(await names({ visible: 'all' })).toHaveLength(4);
  });

  it('can be searched by object, actor, action and time', async () => {
    await record({ object: object('a', { id: 1 }), action: 'created' }, 10);
    await record({ object: object('b', { id: 2 }), action: 'changed', actor: shell }, 20);
    await record({ object: object('c', { id: 1, kind: 'group' }), action: 'removed', actor: { ...anna, id: 8 } }, 30);
    expect(await names({ object: { kind: 'project' } })).toEqual(['b', 'a']);
    expect(await names({ object: { kind: 'project', id: 1 } })).toEqual(['a']);
    expect(await names({ actor: { kind: 'user' } })).toEqual(['c', 'a']);
    expect(await names({ actor: { kind: 'user', id: 8 } })).toEqual(['c']);
    expect(await names({ action: 'changed' })).toEqual(['b']);
    expect(await names({ since: 20 })).toEqual(['c', 'b']);
    expect(await names({ until: 20 })).toEqual(['a']);
    expect(await names({ since: 20, until: 30 })).toEqual(['b']);
    expect(await names({ object: { kind: 'project' }, actor: { kind: 'command_line' }, action: 'created' })).toEqual([]);
  });

  it('is read from the newest on, page by page, whatever comes meanwhile', async () => {
    for (let i = 0; i < 5; i++) await record({ object: object(String(i)) });
    const first = await read({ limit: 2 });
    await record({ object: object('late') });
    expect(first.map((each) => each.object.name)).toEqual(['4', '3']);
    const before = first.at(-1)?.id ?? 0;
    expect(await names({ before, limit: 2 })).toEqual(['2', '1']);
    expect(await names({ before: before - 2, limit: 2 })).toEqual(['0']);
  });

  it('is exported from the oldest on, each entry once', async () => {
    for (let i = 0; i < 7; i++) await record({ action: i === 3 ? 'changed' : 'created' });
    const ids = (await read()).map(({ id }) => id).reverse();
    expect(await exported({ visible: 'all' }, 3)).toEqual([ids.slice(0, 3), ids.slice(3, 6), ids.slice(6)]);
    expect(await exported({ visible: 'all' })).toEqual([ids]);
    expect(await exported({ visible: 'all', action: 'changed' }, 3)).toEqual([[ids[3]]]);
    expect(await exported({ visible: { groupId: groups[0] ?? 0 } })).toEqual([]);
  });

  it('can be written and its entries removed while somebody exports it slowly, who gets what was there', async () => {
    for (let i = 0; i < 4; i++) await record({ object: object(String(i)) });
    const third = (await read())[1]?.id ?? 0;
    const pages = exportEvents(home.database, { visible: 'all' }, 2);
    const next = async () => (await pages.next()).value?.map(({ object: { name } }) => name);
    expect(await next()).toEqual(['0', '1']);
    await record({ object: object('late') }, day);
    await home.database.write((trx) => trx.deleteFrom('audit_events').where('id', '=', third).execute());
    expect([await next(), await next()]).toEqual([['3'], undefined]);
  });
});

it('the audit log of a group or project is read on SQLite along an index, however long that of others is', async () => {
  const home = await createTestDatabase('sqlite');
  try {
    for (const visible of [{ groupId: 1 }, { projectId: 1 }]) {
      const plan = await home.database.read(async (trx) => {
        const queries: CompiledQuery[] = [];
        const seen: KyselyPlugin = {
          transformQuery({ node, queryId }) {
            queries.push(trx.getExecutor().compileQuery(node, queryId));
            return node;
          },
          transformResult: async ({ result }) => result,
        };
        await readEvents(trx.withPlugin(seen), { visible, before: 9, limit: 5 });
        const [{ sql, parameters } = expect.fail('nothing was read')] = queries;
        const { rows } = await trx.executeQuery<{ detail: string }>(
          CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]),
        );
        return rows.map(({ detail }) => detail);
      });
      expect(plan[0]).toMatch(/^SEARCH audit_event(_group)?s .*INDEX/);
      expect(plan.join('\n')).not.toMatch(/SCAN|TEMP B-TREE/);
    }
  } finally {
    await home.remove();
  }
});
