import type { Target } from './model.ts';
import { parseDirectoryName } from './paths.ts';
import { environmentSlug } from './slug.ts';
import type { Directory } from './snapshot.ts';

/** An environment (`acme/shop:production`, by name, slug or id), a project or a group, as a person writes it; `null`: there is none. */
export function namedTarget(directory: Directory, name: string): Target | null {
  const { path, environment } = parseDirectoryName(name);
  if (environment === null) return directory.project(path) ?? directory.group(path);
  return directory.environment(path, environmentSlug(environment)) ?? directory.environment(path, environment);
}
