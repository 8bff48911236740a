/** The tokens there are, for people. */
import { findTarget, type TargetName } from '../directory/find.ts';
import type { Database } from '../storage/database.ts';
import type { TokenOwner } from '../storage/owner.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { parseNetworks } from './networks.ts';

/** A token without its secret. Times are Unix milliseconds. */
export interface TokenEntry {
  readonly id: number;
  readonly name: string;
  readonly username: string;
  readonly target: TargetName;
  /** `unreadable`: its record was changed by something else than Promgate; it opens nothing. */
  readonly state: 'active' | 'expired' | 'revoked' | 'unreadable';
  readonly allowedNetworks: readonly string[];
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  /** Until when the secret before the last rotation stays good; `null` where it is not. */
  readonly previousUntil: number | null;
  readonly lastUsedAt: number | null;
}

/** All tokens, or those that belong to exactly this target, by id. Throws `not_found` where there is no such target. */
export function listTokens(database: Database, target: TargetName | null, now: number = Date.now()): Promise<TokenEntry[]> {
  return database.read(async (trx) => {
    const owner = target === null ? null : (await findTarget(trx, target)).owner;
    const all = namedTokens(trx);
    const rows = await (owner === null ? all : all.where(`tokens.${owner.level}_id`, '=', owner.id)).execute();
    return rows.map((row) => entryOf(row, now));
  });
}

/** At most `limit` tokens that belong to exactly this owner, with ids after `id`, in the order of the ids. */
export async function tokenEntriesAfter(
  trx: Trx,
  owner: TokenOwner,
  { after, limit, revoked, now }: { after: number; limit: number; revoked: boolean; now: number },
): Promise<TokenEntry[]> {
  const own = namedTokens(trx).where(`tokens.${owner.level}_id`, '=', owner.id).where('tokens.id', '>', after).limit(limit);
  const rows = await (revoked ? own : own.where('tokens.revoked_at', 'is', null)).execute();
  return rows.map((row) => entryOf(row, now));
}

export async function tokenEntry(trx: Trx, id: number, now: number): Promise<TokenEntry | undefined> {
  const row = await namedTokens(trx).where('tokens.id', '=', id).executeTakeFirst();
  return row && entryOf(row, now);
}

type NamedToken = Row<'tokens'> & Names & { readonly last_used_at: number | null };

function entryOf(row: NamedToken, now: number): TokenEntry {
  const networks = networksOf(row.allowed_networks);
  const live = row.expires_at !== null && row.expires_at <= now ? 'expired' : 'active';
  return {
    id: row.id,
    name: row.name,
    username: row.username,
    target: targetOf(row),
    state: row.revoked_at !== null ? 'revoked' : networks === null ? 'unreadable' : live,
    allowedNetworks: networks ?? [],
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    previousUntil: row.previous_expires_at !== null && row.previous_expires_at > now ? row.previous_expires_at : null,
    lastUsedAt: row.last_used_at,
  };
}

function namedTokens(trx: Trx) {
  return trx
    .selectFrom('tokens')
    .leftJoin('token_usage', 'token_usage.token_id', 'tokens.id')
    .leftJoin('environments', 'environments.id', 'tokens.environment_id')
    .leftJoin('projects', (join) =>
      join.on('projects.id', '=', (eb) => eb.fn.coalesce('tokens.project_id', 'environments.project_id')),
    )
    .leftJoin('groups', 'groups.id', 'tokens.group_id')
    .selectAll('tokens')
    .select([
      'token_usage.last_used_at',
      'environments.name as environment_name',
      'projects.path as project_path',
      'groups.path as group_path',
    ])
    .orderBy('tokens.id');
}

interface Names {
  readonly group_path: string | null;
  readonly project_path: string | null;
  readonly environment_name: string | null;
}

function targetOf({ group_path, project_path, environment_name }: Names): TargetName {
  if (group_path !== null) return { level: 'group', path: group_path };
  if (environment_name !== null) return { level: 'environment', path: `${project_path}:${environment_name}` };
  return { level: 'project', path: project_path ?? '' };
}

function networksOf(json: string): string[] | null {
  try {
    return parseNetworks(json);
  } catch {
    return null;
  }
}
