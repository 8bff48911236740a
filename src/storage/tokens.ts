import { PromgateError } from '../errors.ts';
import { inChunks } from './chunks.ts';
import { ownerColumns, type TokenOwner } from './owner.ts';
import type { Row, Trx } from './schema.ts';

export interface NewTokenRow {
  readonly name: string;
  /** `null`: `token-<id>`. */
  readonly username: string | null;
  /** Lower-case hex SHA-256 of the secret. */
  readonly hash: string;
  /** CIDR notations; empty: from anywhere. */
  readonly allowedNetworks: readonly string[];
  /** Unix milliseconds, as all times here. */
  readonly createdAt: number;
  /** `null`: never. */
  readonly expiresAt: number | null;
}

/** Throws `bad_data` when the username belongs to another token that is not revoked, or looks like a default one. */
export async function insertToken(trx: Trx, owner: TokenOwner, token: NewTokenRow): Promise<Row<'tokens'>> {
  if (token.username !== null) await refuseTakenUsername(trx, token.username);
  const inserted = await trx
    .insertInto('tokens')
    .values({
      ...ownerColumns(owner),
      name: token.name,
      // The id is known only afterwards; until then something that nobody else has.
      username: token.username ?? token.hash,
      hash: token.hash,
      previous_hash: null,
      previous_expires_at: null,
      allowed_networks: JSON.stringify(token.allowedNetworks),
      created_at: token.createdAt,
      expires_at: token.expiresAt,
      revoked_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  if (token.username !== null) return inserted;
  const username = `token-${inserted.id}`;
  await trx.updateTable('tokens').set({ username }).where('id', '=', inserted.id).execute();
  return { ...inserted, username };
}

async function refuseTakenUsername(trx: Trx, username: string): Promise<void> {
  if (/^token-\d+$/.test(username)) {
    throw new PromgateError('bad_data', `The username ${username} is kept for the token of that number. Choose another one.`);
  }
  const taken = await trx
    .selectFrom('tokens')
    .select('id')
    .where('username', '=', username)
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
  if (taken !== undefined) throw new PromgateError('bad_data', `Another token has the username ${username}.`);
}

export function findToken(trx: Trx, id: number): Promise<Row<'tokens'> | undefined> {
  return trx.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst();
}

/**
 * Gives the token a new secret. The old one stays good until `previousExpiresAt`, or dies at once where that is `null`; the
 * one before the old one always dies. `undefined`: there is no such token, or it is revoked.
 */
export function rotateToken(
  trx: Trx,
  id: number,
  hash: string,
  previousExpiresAt: number | null,
): Promise<Row<'tokens'> | undefined> {
  return trx
    .updateTable('tokens')
    .set((eb) => ({
      hash,
      previous_hash: previousExpiresAt === null ? null : eb.ref('hash'),
      previous_expires_at: previousExpiresAt,
    }))
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

/** For good: nothing sets it back. `false`: there is no such token, or it was revoked before (and keeps that time). */
export async function revokeToken(trx: Trx, id: number, at: number): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('tokens')
    .set({ revoked_at: at })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .executeTakeFirstOrThrow();
  return numUpdatedRows > 0n;
}

/** At most `limit` tokens that are not revoked, expired ones among them, with ids after `id`, in the order of the ids. */
export function liveTokensAfter(trx: Trx, id: number, limit: number): Promise<Row<'tokens'>[]> {
  return trx
    .selectFrom('tokens')
    .selectAll()
    .where('id', '>', id)
    .where('revoked_at', 'is', null)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** As {@link liveTokensAfter}: revoked ones are left out. */
export function liveTokensByIds(trx: Trx, ids: Iterable<number>): Promise<Row<'tokens'>[]> {
  return inChunks(ids, (chunk) =>
    trx.selectFrom('tokens').selectAll().where('id', 'in', chunk).where('revoked_at', 'is', null).execute(),
  );
}
