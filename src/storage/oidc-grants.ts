/** What users have from OpenID providers: roles, being an administrator, sessions. */
import type { Trx } from './schema.ts';

/** Somebody who has something from a provider. */
export interface Granted {
  readonly userId: number;
  /** The provider's name. */
  readonly provider: string;
}

const PREFIX = 'oidc:';

/**
 * Who has something from a provider and no account there: because it is none of `providers`, or none with the issuer that it has
 * now. Each user once for each such provider.
 */
export async function grantedWithoutAccount(
  trx: Trx,
  providers: readonly { readonly name: string; readonly issuer: string }[],
): Promise<Granted[]> {
  const memberships = await trx
    .selectFrom('memberships')
    .select(['user_id', 'source'])
    .where('source', 'like', `${PREFIX}%`)
    .distinct()
    .execute();
  const users = await trx.selectFrom('users').select(['id', 'admin_by']).where('admin_by', 'is not', null).execute();
  const sessions = await trx
    .selectFrom('sessions')
    .select(['user_id', 'provider'])
    .where('provider', 'is not', null)
    .distinct()
    .execute();
  const identities = await trx.selectFrom('identities').select(['user_id', 'issuer']).execute();
  const issuers = new Map(providers.map(({ name, issuer }) => [name, issuer]));
  const accounts = new Set(identities.map(({ user_id, issuer }) => `${user_id} ${issuer}`));
  const granted = [
    ...memberships.map(({ user_id, source }) => ({ userId: user_id, provider: source.slice(PREFIX.length) })),
    ...users.map(({ id, admin_by }) => ({ userId: id, provider: admin_by ?? '' })),
    ...sessions.map(({ user_id, provider }) => ({ userId: user_id, provider: provider ?? '' })),
  ];
  const stranded = granted.filter(({ userId, provider }) => {
    const issuer = issuers.get(provider);
    return issuer === undefined || !accounts.has(`${userId} ${issuer}`);
  });
  return [...new Map(stranded.map((each) => [`${each.userId} ${each.provider}`, each])).values()];
}

/** Gives how many sessions ended. */
export async function endSessionsBy(trx: Trx, { userId, provider }: Granted): Promise<number> {
  const { numDeletedRows } = await trx
    .deleteFrom('sessions')
    .where('user_id', '=', userId)
    .where('provider', '=', provider)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}
