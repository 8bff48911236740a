/** What the parts of a request name: the object in the database, with the groups and the project whose roles count for it. */
import { sql } from 'kysely';
import { higher, isAtLeast, type Role } from '../access/roles.ts';
import { parseDirectoryName } from '../directory/paths.ts';
import { type AuditObject, theInstance } from '../ops/audit.ts';
import { environmentObject, groupObject, objectOf, projectObject, type StoredKind } from '../storage/audit-objects.ts';
import { inChunks } from '../storage/chunks.ts';
import { findEnvironment } from '../storage/environments.ts';
import { findGroup } from '../storage/groups.ts';
import { findProject } from '../storage/projects.ts';
import type { Trx } from '../storage/schema.ts';
import { findUserByName } from '../storage/users.ts';

/** By id, or by name where the kind has one: groups, projects, environments and users. `null`: there is none. */
export async function findObject(trx: Trx, kind: StoredKind, text: string): Promise<AuditObject | null> {
  if (text.includes('\0')) return null;
  if (/^[1-9]\d{0,15}$/.test(text)) return byId(trx, kind, Number(text));
  if (kind === 'user') {
    const user = await findUserByName(trx, text);
    return user === undefined ? null : objectOf(trx, 'user', user.id);
  }
  if (kind !== 'group' && kind !== 'project' && kind !== 'environment') return null;
  const named = await findNamed(trx, text);
  return named?.kind === kind ? named : null;
}

/** The instance, a group, a project or an environment by its name as on the command line; an environment by its slug, too. */
export async function findNamed(trx: Trx, name: string): Promise<AuditObject | null> {
  // PostgreSQL takes no such text, not even to look for it.
  if (name.includes('\0')) return null;
  if (name === 'instance') return theInstance;
  const { path, environment } = parseDirectoryName(name);
  const project = await findProject(trx, path);
  if (environment !== null) {
    if (project === undefined) return null;
    const row = await findEnvironment(trx, project.id, environment);
    return row === undefined ? null : environmentObject(trx, row);
  }
  if (project !== undefined) return projectObject(trx, project);
  const group = await findGroup(trx, path);
  return group === undefined ? null : groupObject(trx, group);
}

async function byId(trx: Trx, kind: StoredKind, id: number): Promise<AuditObject | null> {
  const table = tables[kind];
  const row = await trx.selectFrom(table).select('id').where('id', '=', id).executeTakeFirst();
  return row === undefined ? null : objectOf(trx, kind, id);
}

const tables = {
  group: 'groups',
  project: 'projects',
  environment: 'environments',
  server: 'servers',
  token: 'tokens',
  member: 'memberships',
  user: 'users',
  session: 'sessions',
  personal_token: 'personal_tokens',
  identity: 'identities',
} as const satisfies Record<StoredKind, string>;

/** The user's highest role on what the object lies in. */
export async function roleOn(trx: Trx, userId: number, { groupIds, projectId }: AuditObject): Promise<Role | null> {
  const memberships = await trx
    .selectFrom('memberships')
    .select(['group_id', 'project_id', 'role'])
    .where('user_id', '=', userId)
    .execute();
  let role: Role | null = null;
  for (const membership of memberships) {
    const reaches = membership.group_id === null ? membership.project_id === projectId : groupIds.includes(membership.group_id);
    if (reaches) role = higher(role, membership.role);
  }
  return role;
}

/** Ids of the groups and projects that the user has at least this role on, through membership of a group above, too. */
export async function reachOf(trx: Trx, userId: number, least: Role): Promise<{ groupIds: number[]; projectIds: number[] }> {
  const memberships = (
    await trx.selectFrom('memberships').select(['group_id', 'project_id', 'role']).where('user_id', '=', userId).execute()
  ).filter(({ role }) => isAtLeast(role, least));
  const roots = [...new Set(memberships.flatMap(({ group_id }) => (group_id === null ? [] : [group_id])))];
  const own = memberships.flatMap(({ project_id }) => (project_id === null ? [] : [project_id]));
  const groupIds = await groupsBelow(trx, roots);
  const projectIds = [...own, ...(await idsIn(trx, 'projects', 'group_id', groupIds))];
  return { groupIds, projectIds: [...new Set(projectIds)] };
}

/** The ids of the groups and of all below them. */
async function groupsBelow(trx: Trx, roots: readonly number[]): Promise<number[]> {
  if (roots.length === 0) return [];
  const rows = await trx
    .withRecursive('reached', (db) =>
      db
        .selectFrom('groups')
        .select('id')
        .where('id', 'in', roots)
        .union(db.selectFrom('groups').innerJoin('reached', 'reached.id', 'groups.parent_id').select('groups.id')),
    )
    .selectFrom('reached')
    .select('id')
    .execute();
  return rows.map(({ id }) => id);
}

async function idsIn(
  trx: Trx,
  table: 'projects' | 'environments' | 'servers' | 'tokens',
  column: string,
  ids: readonly number[],
): Promise<number[]> {
  const rows = await inChunks(ids, (chunk) => trx.selectFrom(table).select('id').where(sql.ref(column), 'in', chunk).execute());
  return rows.map(({ id }) => id);
}
