/** Roles of users on groups and projects. One user may have several on one thing, each from another source; the highest counts. */
import { sql } from 'kysely';
import type { Role } from '../access/roles.ts';
import { inChunks } from './chunks.ts';
import type { Row, Trx } from './schema.ts';

/** Where a role holds. */
export interface MemberOf {
  readonly level: 'group' | 'project';
  readonly id: number;
}

/** What people give and take by hand; sign-ins never touch it. */
export const MANUAL = 'manual';

/** The source of what a provider's rules give. */
export function oidcSource(provider: string): string {
  return `oidc:${provider}`;
}

/** A membership with its user and the path of the group or project. */
export interface Member extends Row<'memberships'> {
  readonly username: string;
  readonly name: string;
  readonly path: string;
}

/**
 * At most `limit` members of any of `on` (such as a group and all above it), in the order of the ids, with ids after `after`: a
 * user once for each of `on` and each source.
 */
export async function listMembers(trx: Trx, on: readonly MemberOf[], after: number, limit: number): Promise<Member[]> {
  const ids = (level: MemberOf['level']) => on.filter((each) => each.level === level).map(({ id }) => id);
  const groups = ids('group');
  const projects = ids('project');
  if (on.length === 0) return [];
  return members(trx)
    .where('memberships.id', '>', after)
    .where(({ or, eb }) =>
      or([
        ...(groups.length === 0 ? [] : [eb('memberships.group_id', 'in', groups)]),
        ...(projects.length === 0 ? [] : [eb('memberships.project_id', 'in', projects)]),
      ]),
    )
    .orderBy('memberships.id')
    .limit(limit)
    .execute();
}

/** Fails where there is none. */
export function memberWithId(trx: Trx, id: number): Promise<Member> {
  return members(trx).where('memberships.id', '=', id).executeTakeFirstOrThrow();
}

/** All of a user's, in the order of the ids. */
export function membersOfUser(trx: Trx, userId: number): Promise<Member[]> {
  return members(trx).where('memberships.user_id', '=', userId).orderBy('memberships.id').execute();
}

function members(trx: Trx) {
  return trx
    .selectFrom('memberships')
    .innerJoin('users', 'users.id', 'memberships.user_id')
    .leftJoin('groups', 'groups.id', 'memberships.group_id')
    .leftJoin('projects', 'projects.id', 'memberships.project_id')
    .selectAll('memberships')
    .select(['users.username', 'users.name', sql<string>`coalesce("groups".path, projects.path)`.as('path')]);
}

/** All roles of a user, from all sources, in the order of the ids. */
export function membershipsOf(trx: Trx, userId: number): Promise<Row<'memberships'>[]> {
  return trx.selectFrom('memberships').selectAll().where('user_id', '=', userId).orderBy('id').execute();
}

export function findMembership(trx: Trx, id: number): Promise<Row<'memberships'> | undefined> {
  return trx.selectFrom('memberships').selectAll().where('id', '=', id).executeTakeFirst();
}

/** The role that the user has there from this source. */
export function findMember(
  trx: Trx,
  on: MemberOf,
  userId: number,
  source: string = MANUAL,
): Promise<Row<'memberships'> | undefined> {
  return trx
    .selectFrom('memberships')
    .selectAll()
    .where(column(on), '=', on.id)
    .where('user_id', '=', userId)
    .where('source', '=', source)
    .executeTakeFirst();
}

/** A new membership. Fails where the user has one there from this source. `at` in Unix milliseconds. */
export function insertMember(
  trx: Trx,
  on: MemberOf,
  { userId, role, source = MANUAL, at }: { userId: number; role: Role; source?: string; at: number },
): Promise<Row<'memberships'>> {
  const where = { group_id: on.level === 'group' ? on.id : null, project_id: on.level === 'project' ? on.id : null };
  return trx
    .insertInto('memberships')
    .values({ user_id: userId, ...where, role, source, created_at: at })
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** The row as it is then; `undefined`: there is no such membership. */
export function updateMember(trx: Trx, id: number, role: Role): Promise<Row<'memberships'> | undefined> {
  return trx.updateTable('memberships').set({ role }).where('id', '=', id).returningAll().executeTakeFirst();
}

/** The rows that were there. */
export function deleteMembers(trx: Trx, ids: Iterable<number>): Promise<Row<'memberships'>[]> {
  return inChunks(ids, (chunk) => trx.deleteFrom('memberships').where('id', 'in', chunk).returningAll().execute());
}

/** Where a membership holds. */
export function memberOf(row: Pick<Row<'memberships'>, 'group_id' | 'project_id'>): MemberOf {
  if (row.group_id !== null) return { level: 'group', id: row.group_id };
  if (row.project_id !== null) return { level: 'project', id: row.project_id };
  throw new Error('a membership of nothing');
}

function column({ level }: MemberOf): 'group_id' | 'project_id' {
  return level === 'group' ? 'group_id' : 'project_id';
}
