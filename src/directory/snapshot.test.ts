import { beforeEach, describe, expect, it } from 'vitest';
import { Directory } from './snapshot.ts';

let directory: Directory;
beforeEach(() => {
  directory = new Directory();
  directory.putGroup({ id: 1, path: 'acme', parent_id: null });
  directory.putProject({ id: 1, path: 'acme/shop', group_id: 1 });
});

const environment = (id: number, slug: string, project_id = 1) =>
  directory.putEnvironment({ id, project_id, name: slug, slug, kube_namespace: '' });
/** Of the environment that is found by a slug. */
const idAt = (project: string, slug: string) => {
  const target = directory.environment(project, slug);
  return target?.level === 'environment' ? target.environment.id : null;
};

describe('names that are passed on in one patch lead to who has them now', () => {
  const orders = [
    [1, 2],
    [2, 1],
  ];

  it.each(orders)('slugs (%i before %i)', (...order) => {
    environment(1, 'a');
    environment(2, 'b');
    const slugs: Record<number, string> = { 1: 'b', 2: 'c' };
    for (const id of order) environment(id, slugs[id] ?? '');
    expect(['a', 'b', 'c'].map((slug) => idAt('acme/shop', slug))).toEqual([null, 1, 2]);
  });

  it.each(orders)('paths of projects, with the environments in them (%i before %i)', (...order) => {
    directory.putProject({ id: 2, path: 'acme/web', group_id: 1 });
    environment(1, 'production', 1);
    environment(2, 'production', 2);
    const paths: Record<number, string> = { 1: 'acme/web', 2: 'acme/new' };
    for (const id of order) directory.putProject({ id, path: paths[id] ?? '', group_id: 1 });
    const all = ['acme/shop', 'acme/web', 'acme/new'];
    expect(all.map((path) => idAt(path, 'production'))).toEqual([null, 1, 2]);
    expect(all.map((path) => directory.project(path))).toMatchObject([null, { project: { id: 1 } }, { project: { id: 2 } }]);
  });

  it.each(orders)('paths of groups, also when they change places (%i before %i)', (...order) => {
    directory.putGroup({ id: 2, path: 'other', parent_id: null });
    const paths: Record<number, string> = { 1: 'other', 2: 'acme' };
    for (const id of order) directory.putGroup({ id, path: paths[id] ?? '', parent_id: null });
    const found = ['other', 'acme'].map((path) => directory.group(path));
    expect(found).toMatchObject([{ group: { id: 1 } }, { group: { id: 2 } }]);
  });
});
