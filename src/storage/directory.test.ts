import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { insertEnvironment, insertGroup, insertProject } from '../../test/support/rows.ts';
import * as environments from './environments.ts';
import * as groups from './groups.ts';
import * as projects from './projects.ts';
import type { Trx } from './schema.ts';

describe.each(dialects)('groups, projects and environments on %s', (dialect) => {
  let home: TestDatabase;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
  });
  afterEach(() => home.remove());

  const read = <T>(fn: (trx: Trx) => Promise<T>) => home.database.read(fn);
  const write = <T>(fn: (trx: Trx) => Promise<T>) => home.database.write(fn);
  const newGroup = (path: string, parentId: number | null = null) =>
    write((trx) => insertGroup(trx, { path, parent_id: parentId, managed_by: null }));
  const newProject = (path: string, groupId: number) =>
    write((trx) => insertProject(trx, { path, group_id: groupId, managed_by: null }));
  const newEnvironment = (projectId: number, name: string, slug = name) =>
    write((trx) => insertEnvironment(trx, { project_id: projectId, name, slug, kube_namespace: 'ns', managed_by: null }));

  it('are read as they were written, at once or by their ids', async () => {
    const group = await newGroup('acme');
    const inner = await newGroup('acme/platform', group.id);
    const project = await newProject('acme/platform/shop', inner.id);
    const environment = await newEnvironment(project.id, 'review/login', 'review-login-abc123');
    expect(inner).toEqual({ id: inner.id, path: 'acme/platform', parent_id: group.id, managed_by: null, description: '' });
    expect(project).toEqual({
      id: project.id,
      path: 'acme/platform/shop',
      group_id: inner.id,
      managed_by: null,
      description: '',
    });
    expect(environment).toEqual({
      id: environment.id,
      project_id: project.id,
      name: 'review/login',
      slug: 'review-login-abc123',
      kube_namespace: 'ns',
      managed_by: null,
    });
    expect(await read(groups.allGroups)).toEqual([group, inner]);
    expect(await read(projects.allProjects)).toEqual([project]);
    expect(await read(environments.allEnvironments)).toEqual([environment]);
    expect(await read((trx) => groups.groupsByIds(trx, [inner.id, 999]))).toEqual([inner]);
    expect(await read((trx) => projects.projectsByIds(trx, [project.id, 999]))).toEqual([project]);
    expect(await read((trx) => environments.environmentsByIds(trx, [environment.id, 999]))).toEqual([environment]);
  });

  it('are found by their paths in whatever case, and environments by project and exact name', async () => {
    const group = await newGroup('Acme');
    const project = await newProject('Acme/Shop', group.id);
    const environment = await newEnvironment(project.id, 'production');
    expect(await read((trx) => groups.findGroup(trx, 'aCME'))).toEqual(group);
    expect(await read((trx) => groups.findGroup(trx, 'acme/shop'))).toBeUndefined();
    expect(await read((trx) => projects.findProject(trx, 'acme/sHOP'))).toEqual(project);
    expect(await read((trx) => projects.findProject(trx, 'acme'))).toBeUndefined();
    expect(await read((trx) => environments.findEnvironment(trx, project.id, 'production'))).toEqual(environment);
    expect(await read((trx) => environments.findEnvironment(trx, project.id, 'Production'))).toBeUndefined();
    expect(await read((trx) => environments.findEnvironment(trx, project.id + 1, 'production'))).toBeUndefined();
  });

  it('are found, where no environment of the project has the name, by a slug', async () => {
    const project = await newProject('acme/shop', (await newGroup('acme')).id);
    const add = (name: string, slug: string) =>
      write((trx) => insertEnvironment(trx, { project_id: project.id, name, slug, kube_namespace: '', managed_by: null }));
    const [first, second] = [await add('a', 'b'), await add('b', 'c')];
    const find = (name: string, slug?: string) => read((trx) => environments.findEnvironment(trx, project.id, name, slug));
    expect([await find('a'), await find('b'), await find('c')]).toEqual([first, second, second]);
    expect([await find('d'), await find('d', 'b')]).toEqual([undefined, first]);
  });

  it('are changed one by one', async () => {
    const group = await newGroup('acme');
    const project = await newProject('acme/shop', group.id);
    const environment = await newEnvironment(project.id, 'production');
    await newEnvironment(project.id, 'staging');
    await write(async (trx) => {
      await environments.updateEnvironment(trx, environment.id, { kube_namespace: 'shop', managed_by: 'apply' });
    });
    const changed = await read(environments.allEnvironments);
    expect(changed.map((row) => [row.kube_namespace, row.managed_by])).toEqual([
      ['shop', 'apply'],
      ['ns', null],
    ]);
  });

  it('share one space of paths, in which case does not count', async () => {
    const group = await newGroup('acme');
    await newProject('acme/shop', group.id);
    await expect(newGroup('ACME')).rejects.toMatchObject({ code: 'conflict', message: 'There is a group acme already.' });
    await expect(newGroup('acme/Shop')).rejects.toThrow('There is a project acme/shop already.');
    await expect(newProject('Acme', group.id)).rejects.toThrow('There is a group acme already.');
    await expect(newProject('acme/SHOP', group.id)).rejects.toThrow('There is a project acme/shop already.');
  });

  it('cannot have the same path even for who writes to the tables directly', async () => {
    const group = await newGroup('acme');
    await newProject('acme/shop', group.id);
    const { db } = home.database;
    const again = db.insertInto('groups').values({ path: 'ACME', parent_id: null, managed_by: null }).execute();
    await expect(again).rejects.toThrow(/unique/i);
    const twice = db.insertInto('projects').values({ path: 'acme/SHOP', group_id: group.id, managed_by: null }).execute();
    await expect(twice).rejects.toThrow(/unique/i);
  });

  it('have one environment of a name and of a slug in a project, and others in another', async () => {
    const group = await newGroup('acme');
    const [one, two] = [await newProject('acme/one', group.id), await newProject('acme/two', group.id)];
    await newEnvironment(one.id, 'production');
    await expect(newEnvironment(one.id, 'production', 'other')).rejects.toThrow(/unique/i);
    await expect(newEnvironment(one.id, 'Production', 'production')).rejects.toThrow(/unique/i);
    await expect(newEnvironment(two.id, 'production')).resolves.toMatchObject({ project_id: two.id });
  });

  it('must lie in something that exists', async () => {
    await expect(newGroup('acme', 7)).rejects.toThrow(/foreign key/i);
    await expect(newProject('acme/shop', 7)).rejects.toThrow(/foreign key/i);
    await expect(newEnvironment(7, 'production')).rejects.toThrow(/foreign key/i);
  });

  it('go with what they lie in, and nothing else goes', async () => {
    const acme = await newGroup('acme');
    const inner = await newGroup('acme/inner', acme.id);
    const shop = await newProject('acme/inner/shop', inner.id);
    await newEnvironment(shop.id, 'production');
    const kept = await newGroup('kept');
    const project = await newProject('kept/shop', kept.id);
    const [production, staging] = [await newEnvironment(project.id, 'production'), await newEnvironment(project.id, 'staging')];
    await write((trx) => groups.deleteGroups(trx, [acme.id]));
    await write((trx) => environments.deleteEnvironments(trx, [staging.id]));
    expect(await read(groups.allGroups)).toEqual([kept]);
    expect(await read(projects.allProjects)).toEqual([project]);
    expect(await read(environments.allEnvironments)).toEqual([production]);
    await write((trx) => projects.deleteProjects(trx, [project.id]));
    expect(await read(projects.allProjects)).toEqual([]);
    expect(await read(environments.allEnvironments)).toEqual([]);
  });

  it('are written, read and deleted in any number at once', { timeout: 120_000 }, async () => {
    const group = await newGroup('acme');
    const paths = Array.from({ length: 2_500 }, (_, index) => `acme/p${index}`);
    const made = await write((trx) =>
      projects.insertProjects(
        trx,
        paths.map((path) => ({ path, group_id: group.id, managed_by: null })),
      ),
    );
    expect(made.map(({ path }) => path).sort()).toEqual(paths.sort());
    const ids = [...made.map(({ id }) => id), ...Array.from({ length: 70_000 }, (_, index) => 1_000_000 + index)];
    expect(await read((trx) => projects.projectsByIds(trx, ids))).toHaveLength(2_500);
    await write((trx) => projects.deleteProjects(trx, ids.slice(1)));
    expect(await read(projects.allProjects)).toEqual(made.slice(0, 1));
    await expect(write((trx) => groups.insertGroups(trx, []))).resolves.toEqual([]);
  });
});
