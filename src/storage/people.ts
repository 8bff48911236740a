/** What the snapshot reads of people. Writing them, and reading them for people, is in `users.ts`, `sessions.ts` and `members.ts`. */
import type { Membership, Session, User } from '../directory/people.ts';
import { inChunks } from './chunks.ts';
import type { Row, Trx } from './schema.ts';

const userColumns = ['id', 'username', 'admin', 'admin_by', 'state'] as const;
const sessionColumns = ['id', 'user_id', 'hash', 'created_at', 'expires_at'] as const;

export async function allUsers(trx: Trx): Promise<User[]> {
  return (await trx.selectFrom('users').select(userColumns).orderBy('id').execute()).map(userOf);
}

export async function usersByIds(trx: Trx, ids: Iterable<number>): Promise<User[]> {
  const rows = await inChunks(ids, (chunk) => trx.selectFrom('users').select(userColumns).where('id', 'in', chunk).execute());
  return rows.map(userOf);
}

export async function allSessions(trx: Trx): Promise<Session[]> {
  return (await trx.selectFrom('sessions').select(sessionColumns).orderBy('id').execute()).map(sessionOf);
}

export async function sessionsByIds(trx: Trx, ids: Iterable<number>): Promise<Session[]> {
  const rows = await inChunks(ids, (chunk) =>
    trx.selectFrom('sessions').select(sessionColumns).where('id', 'in', chunk).execute(),
  );
  return rows.map(sessionOf);
}

export async function allMemberships(trx: Trx): Promise<Membership[]> {
  return (await trx.selectFrom('memberships').selectAll().orderBy('id').execute()).map(membershipOf);
}

export async function membershipsByIds(trx: Trx, ids: Iterable<number>): Promise<Membership[]> {
  const rows = await inChunks(ids, (chunk) => trx.selectFrom('memberships').selectAll().where('id', 'in', chunk).execute());
  return rows.map(membershipOf);
}

/** Whatever else stands in the record: who is not known to be active is blocked. */
export function userOf(row: Pick<Row<'users'>, (typeof userColumns)[number]>): User {
  return { id: row.id, username: row.username, admin: row.admin === 1 || row.admin_by !== null, blocked: row.state !== 'active' };
}

function sessionOf(row: Pick<Row<'sessions'>, (typeof sessionColumns)[number]>): Session {
  return { id: row.id, userId: row.user_id, hash: row.hash, createdAt: row.created_at, expiresAt: row.expires_at };
}

function membershipOf(row: Row<'memberships'>): Membership {
  return { id: row.id, userId: row.user_id, groupId: row.group_id, projectId: row.project_id, role: row.role };
}
