/** What a person has a role on: the groups and projects of the memberships, and all below them. */
import { sql } from 'kysely';
import { higher, type Role } from '../access/roles.ts';
import { endpointPath } from '../directory/paths.ts';
import type { Trx } from './schema.ts';

export interface VisibleThing {
  readonly kind: 'group' | 'project' | 'environment';
  /** As on the command line. */
  readonly name: string;
  /** The highest of the roles that reach it. */
  readonly role: Role | 'admin';
  /** Below `external_url`. */
  readonly endpointPath: string;
}

/** At most `limit`: groups first, then each project with its environments, in the order of their paths. */
export async function visibleThings(
  trx: Trx,
  user: { readonly id: number; readonly admin: boolean },
  limit: number,
): Promise<{ things: VisibleThing[]; more: boolean }> {
  const grants = await grantsOf(trx, user.id);
  const roleOn = (path: string): Role | 'admin' => {
    if (user.admin) return 'admin';
    let role: Role | null = null;
    for (const grant of grants) {
      if (path === grant.path || (grant.onGroup && path.startsWith(`${grant.path}/`))) role = higher(role, grant.role);
    }
    return role ?? 'guest';
  };
  const groups = await reachedGroups(trx, user, limit + 1);
  const projects = await reachedProjects(trx, user, limit + 1);
  const environments = await environmentsIn(trx, projects, limit + 1);
  const things: VisibleThing[] = groups.map(({ path }) => {
    return { kind: 'group', name: path, role: roleOn(path), endpointPath: endpointPath('group', path) };
  });
  for (const { id, path } of projects) {
    const role = roleOn(path);
    things.push({ kind: 'project', name: path, role, endpointPath: endpointPath('project', path) });
    for (const { name, slug } of environments.get(id) ?? []) {
      const endpoint = endpointPath('environment', path, slug);
      things.push({ kind: 'environment', name: `${path}:${name}`, role, endpointPath: endpoint });
    }
  }
  return { things: things.slice(0, limit), more: things.length > limit };
}

interface Grant {
  readonly path: string;
  readonly onGroup: boolean;
  readonly role: Role;
}

async function grantsOf(trx: Trx, userId: number): Promise<Grant[]> {
  const rows = await trx
    .selectFrom('memberships')
    .leftJoin('groups', 'groups.id', 'memberships.group_id')
    .leftJoin('projects', 'projects.id', 'memberships.project_id')
    .select(['memberships.role', 'groups.path as group_path', 'projects.path as project_path'])
    .where('user_id', '=', userId)
    .execute();
  return rows.map(({ role, group_path, project_path }) => {
    return { path: group_path ?? project_path ?? '', onGroup: group_path !== null, role };
  });
}

type Viewer = { readonly id: number; readonly admin: boolean };

/** The groups of the user's memberships and all below them, as a query of their ids. Indexes lead down, so others cost nothing. */
function reachedIds(userId: number) {
  return sql<number>`(
    with recursive reached (id) as (
      select group_id from memberships where user_id = ${userId} and group_id is not null
      union
      select child.id from "groups" child join reached on child.parent_id = reached.id
    )
    select id from reached
  )`;
}

function reachedGroups(trx: Trx, { id, admin }: Viewer, limit: number): Promise<{ path: string }[]> {
  const all = trx.selectFrom('groups').select('path').orderBy('path').limit(limit);
  return (admin ? all : all.where('id', 'in', reachedIds(id))).execute();
}

function reachedProjects(trx: Trx, { id, admin }: Viewer, limit: number): Promise<{ id: number; path: string }[]> {
  const all = trx.selectFrom('projects').select(['id', 'path']).orderBy('path').limit(limit);
  if (admin) return all.execute();
  const own = trx.selectFrom('memberships').select('project_id').where('user_id', '=', id).where('project_id', 'is not', null);
  return all
    .where((eb) => eb.or([eb('group_id', 'in', reachedIds(id)), eb('id', 'in', own.$castTo<{ project_id: number }>())]))
    .execute();
}

/** By project; those of the first projects first. */
async function environmentsIn(trx: Trx, projects: readonly { id: number }[], limit: number) {
  if (projects.length === 0) return new Map<number, { name: string; slug: string }[]>();
  const rows = await trx
    .selectFrom('environments')
    .innerJoin('projects', 'projects.id', 'environments.project_id')
    .select(['project_id', 'environments.name', 'slug'])
    .where(
      'project_id',
      'in',
      projects.map(({ id }) => id),
    )
    .orderBy('projects.path')
    .orderBy('environments.name')
    .limit(limit)
    .execute();
  return Map.groupBy(rows, ({ project_id }) => project_id);
}
