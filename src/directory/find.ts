/** Finding one thing of the directory in the database by its name, as a person writes it. */
import { PromgateError } from '../errors.ts';
import { environmentsByIds, findEnvironment } from '../storage/environments.ts';
import { findGroup, groupsByIds } from '../storage/groups.ts';
import type { TokenOwner } from '../storage/owner.ts';
import { findProject, projectsByIds } from '../storage/projects.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { endpointPath, parseDirectoryName } from './paths.ts';

/** What a token can open, by name: an environment is `acme/shop:production`, by name or slug; groups and projects are paths. */
export interface TargetName {
  readonly level: 'group' | 'project' | 'environment';
  readonly path: string;
}

export interface FoundTarget {
  readonly owner: TokenOwner;
  /** As the directory spells it; an environment by its name. */
  readonly name: TargetName;
  /** The path of its endpoint below `external_url`, starting with `/` (contract §2). */
  readonly endpointPath: string;
}

/** Throws `not_found` in words that name what is missing. */
export async function findTarget(trx: Trx, { level, path }: TargetName): Promise<FoundTarget> {
  if (level === 'environment') return findEnvironmentTarget(trx, path);
  const row = level === 'group' ? await findGroup(trx, path) : await findProject(trx, path);
  if (row === undefined) throw new PromgateError('not_found', `There is no ${level} ${path}.`);
  return pathTarget(level, row);
}

/** What a row of `tokens` opens. */
export async function targetOf(
  trx: Trx,
  row: Pick<Row<'tokens'>, 'group_id' | 'project_id' | 'environment_id'>,
): Promise<FoundTarget> {
  if (row.group_id !== null) return pathTarget('group', only(await groupsByIds(trx, [row.group_id])));
  if (row.project_id !== null) return pathTarget('project', only(await projectsByIds(trx, [row.project_id])));
  const environment = only(await environmentsByIds(trx, row.environment_id === null ? [] : [row.environment_id]));
  return environmentTarget(only(await projectsByIds(trx, [environment.project_id])), environment);
}

async function findEnvironmentTarget(trx: Trx, text: string): Promise<FoundTarget> {
  const { path, environment } = parseDirectoryName(text);
  if (environment === null || environment === '') {
    throw new PromgateError('bad_data', `"${text}" is not an environment; write it as acme/shop:production.`);
  }
  const project = await findProject(trx, path);
  if (project === undefined) throw new PromgateError('not_found', `There is no project ${path}.`);
  const row = await findEnvironment(trx, project.id, environment);
  if (row === undefined) throw new PromgateError('not_found', `The project ${project.path} has no environment "${environment}".`);
  return environmentTarget(project, row);
}

function pathTarget(level: 'group' | 'project', { id, path }: { id: number; path: string }): FoundTarget {
  return { owner: { level, id }, name: { level, path }, endpointPath: endpointPath(level, path) };
}

function environmentTarget(project: Row<'projects'>, { id, name, slug }: Row<'environments'>): FoundTarget {
  return {
    owner: { level: 'environment', id },
    name: { level: 'environment', path: `${project.path}:${name}` },
    endpointPath: endpointPath('environment', project.path, slug),
  };
}

/** The row that a foreign key points to. */
function only<T>([row]: readonly T[]): T {
  if (row === undefined) throw new Error('a row is missing that another one points to');
  return row;
}
