/**
 * Things as the audit log names them, with the groups and the project whose owners may read of them. For what is to be removed,
 * ask before it is gone.
 */
import { sql } from 'kysely';
import type { AuditObject } from '../ops/audit.ts';
import type { Row, Trx } from './schema.ts';

/** The kinds that {@link objectOf} finds by their id. */
export type StoredKind = keyof typeof finders;

/** The thing with the id, which has to be there: throws an Error where it is not. */
export function objectOf(trx: Trx, kind: StoredKind, id: number): Promise<AuditObject> {
  return finders[kind](trx, id);
}

const finders = {
  group: async (trx: Trx, id: number) => groupObject(trx, await rowOf(trx, 'groups', id)),
  project: async (trx: Trx, id: number) => projectObject(trx, await rowOf(trx, 'projects', id)),
  environment: async (trx: Trx, id: number) => environmentObject(trx, await rowOf(trx, 'environments', id)),
  server: async (trx: Trx, id: number) => serverObject(trx, await rowOf(trx, 'servers', id)),
  token: async (trx: Trx, id: number) => tokenObject(trx, await rowOf(trx, 'tokens', id)),
  member: async (trx: Trx, id: number) => memberObject(trx, await rowOf(trx, 'memberships', id)),
  user: async (trx: Trx, id: number) => userObject(await rowOf(trx, 'users', id)),
  session: async (trx: Trx, id: number) => {
    const { user_id } = await rowOf(trx, 'sessions', id);
    return sessionObject(id, await rowOf(trx, 'users', user_id));
  },
  personal_token: async (trx: Trx, id: number) => {
    const token = await rowOf(trx, 'personal_tokens', id);
    return personalTokenObject(token, await rowOf(trx, 'users', token.user_id));
  },
  identity: async (trx: Trx, id: number) => {
    const identity = await rowOf(trx, 'identities', id);
    return identityObject(identity, await rowOf(trx, 'users', identity.user_id));
  },
};

/** `acme/platform` */
export async function groupObject(trx: Trx, { id, path }: Pick<Row<'groups'>, 'id' | 'path'>): Promise<AuditObject> {
  return { kind: 'group', id, name: path, groupIds: await withAncestors(trx, id), projectId: null };
}

/** `acme/shop` */
export async function projectObject(
  trx: Trx,
  { id, path, group_id }: Pick<Row<'projects'>, 'id' | 'path' | 'group_id'>,
): Promise<AuditObject> {
  return { kind: 'project', id, name: path, groupIds: await withAncestors(trx, group_id), projectId: id };
}

/** `acme/shop:production` */
export async function environmentObject(
  trx: Trx,
  { id, name, project_id }: Pick<Row<'environments'>, 'id' | 'name' | 'project_id'>,
): Promise<AuditObject> {
  const project = await objectOf(trx, 'project', project_id);
  return { ...project, kind: 'environment', id, name: `${project.name}:${name}` };
}

type Owned = Pick<Row<'tokens'>, 'id' | 'name' | 'group_id' | 'project_id' | 'environment_id'>;

/** `main@acme/shop`, `shared@instance` */
export function serverObject(trx: Trx, row: Owned): Promise<AuditObject> {
  return belonging(trx, 'server', row.id, row.name, row);
}

/** `grafana@acme/shop:production` */
export function tokenObject(trx: Trx, row: Owned): Promise<AuditObject> {
  return belonging(trx, 'token', row.id, row.name, row);
}

/** `anna@acme/shop` */
export async function memberObject(
  trx: Trx,
  row: Pick<Row<'memberships'>, 'id' | 'user_id' | 'group_id' | 'project_id'>,
): Promise<AuditObject> {
  const { username } = await rowOf(trx, 'users', row.user_id);
  return belonging(trx, 'member', row.id, username, { ...row, environment_id: null });
}

/** `anna`. Users belong to no group: administrators alone read of them. */
export function userObject({ id, username }: Pick<Row<'users'>, 'id' | 'username'>): AuditObject {
  return ofUser('user', id, username);
}

/** By its user's name. */
export function sessionObject(id: number, { username }: Pick<Row<'users'>, 'username'>): AuditObject {
  return ofUser('session', id, username);
}

/** `terraform@anna` */
export function personalTokenObject(
  { id, name }: Pick<Row<'personal_tokens'>, 'id' | 'name'>,
  { username }: Pick<Row<'users'>, 'username'>,
): AuditObject {
  return ofUser('personal_token', id, `${name}@${username}`);
}

/** `gitlab@anna` */
export function identityObject(
  { id, provider }: Pick<Row<'identities'>, 'id' | 'provider'>,
  { username }: Pick<Row<'users'>, 'username'>,
): AuditObject {
  return ofUser('identity', id, `${provider}@${username}`);
}

function ofUser(kind: AuditObject['kind'], id: number, name: string): AuditObject {
  return { kind, id, name, groupIds: [], projectId: null };
}

/** What belongs to a group, project or environment, or to the instance where all are `null`. */
async function belonging(
  trx: Trx,
  kind: AuditObject['kind'],
  id: number,
  name: string,
  { group_id, project_id, environment_id }: Pick<Row<'tokens'>, 'group_id' | 'project_id' | 'environment_id'>,
): Promise<AuditObject> {
  const owner =
    group_id !== null
      ? await objectOf(trx, 'group', group_id)
      : project_id !== null
        ? await objectOf(trx, 'project', project_id)
        : environment_id !== null
          ? await objectOf(trx, 'environment', environment_id)
          : { name: 'instance', groupIds: [], projectId: null };
  return { kind, id, name: `${name}@${owner.name}`, groupIds: owner.groupIds, projectId: owner.projectId };
}

/** The ids of the group and of all above it. */
async function withAncestors(trx: Trx, groupId: number): Promise<number[]> {
  const rows = await trx
    .withRecursive('above', (db) =>
      db
        .selectFrom('groups')
        .select(['id', 'parent_id'])
        .where('id', '=', groupId)
        // Without `all`: a circle, which nothing but a damaged database has, would never end.
        .union(
          db.selectFrom('groups').innerJoin('above', 'above.parent_id', 'groups.id').select(['groups.id', 'groups.parent_id']),
        ),
    )
    .selectFrom('above')
    .select('id')
    .execute();
  return rows.map(({ id }) => id);
}

type Named =
  | 'groups'
  | 'projects'
  | 'environments'
  | 'servers'
  | 'tokens'
  | 'memberships'
  | 'users'
  | 'sessions'
  | 'personal_tokens'
  | 'identities';

async function rowOf<Table extends Named>(trx: Trx, table: Table, id: number): Promise<Row<Table>> {
  const { rows } = await sql<Row<Table>>`select * from ${sql.table(table)} where id = ${id}`.execute(trx);
  const [row] = rows;
  if (row === undefined) throw new Error(`${table} has no row ${id}`);
  return row;
}
