/** Where a resource file, right in itself, clashes with what the directory holds already. */
import type { ApplyState } from './apply-state.ts';
import { ancestorPaths } from './paths.ts';
import type { RawProblem } from './resource-checks.ts';
import type { ResourceFile } from './resource-file.ts';

/** Every clash, with the path in the file. */
export function conflicts(resources: ResourceFile, state: ApplyState): RawProblem[] {
  const problems: RawProblem[] = [];
  /** Each group is looked at once, however many paths imply it. */
  const seen = new Set<string>();
  const asGroups = (paths: readonly string[], at: readonly PropertyKey[]): void => {
    for (const path of paths) {
      if (seen.has(path)) continue;
      seen.add(path);
      const other = state.projects.get(path.toLowerCase());
      if (other !== undefined) problems.push({ path: at, message: `there is a project ${other.path} already` });
      spelling(state.groups.get(path.toLowerCase()), path, at);
    }
  };
  const spelling = (row: { path: string } | undefined, path: string, at: readonly PropertyKey[]): void => {
    if (row === undefined || row.path === path) return;
    problems.push({ path: at, message: `"${path}" exists as "${row.path}"; write it that way` });
  };

  for (const [index, { path }] of resources.groups.entries()) {
    asGroups([...ancestorPaths(path), path], ['groups', index, 'path']);
  }
  for (const [index, { path, environments }] of resources.projects.entries()) {
    const at = ['projects', index, 'path'];
    asGroups(ancestorPaths(path), at);
    const group = state.groups.get(path.toLowerCase());
    if (group !== undefined) problems.push({ path: at, message: `there is a group ${group.path} already` });
    const row = state.projects.get(path.toLowerCase());
    spelling(row, path, at);
    const own = row === undefined ? undefined : state.environments.get(row.id);
    if (own === undefined) continue;
    const slugs = new Map([...own.values()].map((environment) => [environment.slug, environment.name]));
    for (const [position, { name, slug }] of environments.entries()) {
      const other = slugs.get(slug);
      if (other === undefined || other === name) continue;
      const message = `the environment "${other}" has the same slug, ${slug}`;
      problems.push({ path: ['projects', index, 'environments', position, 'name'], message });
    }
  }
  return problems;
}
