/** Personal tokens, with which programs use the control API for a user. */
import type { Row, Trx } from './schema.ts';

export interface NewPersonalToken {
  readonly userId: number;
  readonly name: string;
  /** Lower-case hex SHA-256 of the text. */
  readonly hash: string;
  readonly scopes: readonly string[];
  /** Unix milliseconds, as all times here. */
  readonly createdAt: number;
  /** `null`: never. */
  readonly expiresAt: number | null;
}

export function insertPersonalToken(trx: Trx, token: NewPersonalToken): Promise<Row<'personal_tokens'>> {
  return trx
    .insertInto('personal_tokens')
    .values({
      user_id: token.userId,
      name: token.name,
      hash: token.hash,
      scopes: JSON.stringify(token.scopes),
      created_at: token.createdAt,
      expires_at: token.expiresAt,
      revoked_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Revoked and expired ones, too. */
export function findPersonalToken(trx: Trx, hash: string): Promise<Row<'personal_tokens'> | undefined> {
  return trx.selectFrom('personal_tokens').selectAll().where('hash', '=', hash).executeTakeFirst();
}

/** At most `limit` of the user's with ids after `id`, revoked ones too, each with its last use. */
export function personalTokensAfter(
  trx: Trx,
  userId: number,
  id: number,
  limit: number,
): Promise<(Row<'personal_tokens'> & { last_used_at: number | null })[]> {
  return trx
    .selectFrom('personal_tokens')
    .leftJoin('personal_token_usage', 'personal_token_usage.personal_token_id', 'personal_tokens.id')
    .selectAll('personal_tokens')
    .select('personal_token_usage.last_used_at')
    .where('user_id', '=', userId)
    .where('id', '>', id)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** For good. `undefined`: the user has no such token, or it was revoked before. */
export function revokePersonalToken(
  trx: Trx,
  userId: number,
  id: number,
  at: number,
): Promise<Row<'personal_tokens'> | undefined> {
  return trx
    .updateTable('personal_tokens')
    .set({ revoked_at: at })
    .where('id', '=', id)
    .where('user_id', '=', userId)
    .where('revoked_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}
