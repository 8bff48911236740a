/** Sessions of people who are signed in, and when they were last seen. What is stored of a cookie is its hash. */
import type { Row, Trx } from './schema.ts';

export type NewSession = Omit<Row<'sessions'>, 'id'>;

/** Gives its id. */
export async function insertSession(trx: Trx, session: NewSession): Promise<number> {
  const { id } = await trx.insertInto('sessions').values(session).returning('id').executeTakeFirstOrThrow();
  return id;
}

/** A user's sessions with when they were last seen (`null`: not since the sign-in), newest first. */
export function sessionsOf(trx: Trx, userId: number): Promise<(Row<'sessions'> & { last_seen_at: number | null })[]> {
  return trx
    .selectFrom('sessions')
    .leftJoin('session_activity', 'session_activity.session_id', 'sessions.id')
    .selectAll('sessions')
    .select('session_activity.last_seen_at')
    .where('user_id', '=', userId)
    .orderBy('id', 'desc')
    .execute();
}

/** Gives the session that it was; `undefined`: there was none. */
export function removeSession(trx: Trx, id: number): Promise<Row<'sessions'> | undefined> {
  return trx.deleteFrom('sessions').where('id', '=', id).returningAll().executeTakeFirst();
}

export async function removeSessionByHash(trx: Trx, hash: string): Promise<void> {
  await trx.deleteFrom('sessions').where('hash', '=', hash).execute();
}

/** Signs the user out everywhere, but for the session `except`. Gives how many sessions ended. */
export async function removeSessionsOf(trx: Trx, userId: number, except: number | null = null): Promise<number> {
  let removal = trx.deleteFrom('sessions').where('user_id', '=', userId);
  if (except !== null) removal = removal.where('id', '!=', except);
  return Number((await removal.executeTakeFirstOrThrow()).numDeletedRows);
}

/** Ends all but the newest `keep` sessions of the user. */
export async function removeOldestSessions(trx: Trx, userId: number, keep: number): Promise<void> {
  const oldest = await trx
    .selectFrom('sessions')
    .select('id')
    .where('user_id', '=', userId)
    .orderBy('id', 'desc')
    .limit(1)
    .offset(keep)
    .executeTakeFirst();
  if (oldest !== undefined) {
    await trx.deleteFrom('sessions').where('user_id', '=', userId).where('id', '<=', oldest.id).execute();
  }
}

/** Those that were seen after `since`; 0: all that there are. */
export function seenAfter(trx: Trx, since: number): Promise<Row<'session_activity'>[]> {
  return trx.selectFrom('session_activity').selectAll().where('last_seen_at', '>', since).execute();
}
