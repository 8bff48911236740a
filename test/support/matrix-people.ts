/** The people of a world of the permission matrix, with all that is theirs. */
import { randomBytes } from 'node:crypto';
import { csrfToken } from '../../src/access/csrf.ts';
import type { Scope } from '../../src/access/permissions.ts';
import { hashSessionCookie } from '../../src/access/session-cookie.ts';
import { hashToken, newPersonalTokenText } from '../../src/access/token-text.ts';
import type { Row, Trx } from '../../src/storage/schema.ts';
import { type Place, placesOf, type Standing } from './matrix-places.ts';

export interface Person {
  readonly id: number;
  readonly username: string;
  /** Value of the session's cookie. */
  readonly cookie: string;
  readonly csrf: string;
  /** Another session of theirs. */
  readonly otherSession: number;
  readonly personalToken: number;
  readonly identity: number;
  /** Of a role on a group that nothing else is in. */
  readonly spare: number;
  /** Texts of personal tokens with one scope each. */
  readonly byScope: ReadonlyMap<Scope, string>;
}

export interface People {
  readonly people: ReadonlyMap<string, Person>;
  /** Has roles that nothing depends on; and none at all. */
  readonly crew: string;
  readonly newcomer: string;
  readonly crewId: number;
  /** Of the crew. */
  readonly memberships: Partial<Readonly<Record<Place, number>>>;
}

export interface PeopleMoulds {
  readonly passwordHash: string;
  readonly csrfKey: Buffer;
  /** Of the OpenID provider `main`. */
  readonly issuer: string;
}

/** Exactly one of the three is set; none for the instance. */
export interface Owner {
  readonly group_id: number | null;
  readonly project_id: number | null;
  readonly environment_id: number | null;
}

export interface NewPeople {
  /** Begins all names. */
  readonly world: string;
  readonly who: readonly Standing[];
  /** Of the personal tokens that each of them has. */
  readonly scopes: readonly Scope[];
  readonly owners: ReadonlyMap<Place, Owner>;
  /** Id of a group that nothing else is in. */
  readonly spareGroup: number;
}

export async function insertPeople(
  trx: Trx,
  { world, who, scopes, owners, spareGroup }: NewPeople,
  { passwordHash, csrfKey, issuer }: PeopleMoulds,
): Promise<People> {
  const now = Date.now();
  const [crew, newcomer] = [`${world}-crew`, `${world}-newcomer`];
  const users = await insertUsers(
    trx,
    [...who.map(({ admin }, index) => ({ username: `${world}-${index}`, admin })), { username: crew }, { username: newcomer }],
    passwordHash,
  );
  const idOf = (username: string) => users.find((each) => each.username === username)?.id ?? 0;
  const crewId = idOf(crew);
  const ids = who.map((_, index) => idOf(`${world}-${index}`));

  const crewPlaces = [...placesOf.group, ...placesOf.project];
  const on = (place: Place) => {
    const { group_id = null, project_id = null } = owners.get(place) ?? {};
    return { group_id, project_id };
  };
  const given = { source: 'manual', created_at: now };
  const guest = { ...given, role: 'guest' } as const;
  const memberships = await trx
    .insertInto('memberships')
    .values([
      ...crewPlaces.map((place) => ({ ...guest, ...on(place), user_id: crewId })),
      ...ids.map((user_id) => ({ ...guest, group_id: spareGroup, project_id: null, user_id })),
      ...who.flatMap(({ role, at }, index) =>
        role === null || at === null ? [] : [{ ...given, ...on(at), user_id: ids[index] ?? 0, role }],
      ),
    ])
    .returningAll()
    .execute();
  const membershipOn = (userId: number, { group_id, project_id }: Pick<Owner, 'group_id' | 'project_id'>) =>
    memberships.find((each) => each.user_id === userId && each.group_id === group_id && each.project_id === project_id)?.id ?? 0;

  const identities = await trx
    .insertInto('identities')
    .values(
      ids.map((user_id) => {
        return { user_id, provider: 'main', issuer, subject: `${user_id}`, created_at: now, last_sign_in_at: null };
      }),
    )
    .returning(['id', 'user_id'])
    .execute();

  const cookies = ids.map(() => [newCookie(), newCookie()] as const);
  const sessions = await trx
    .insertInto('sessions')
    .values(cookies.flatMap((both, index) => both.map((value) => sessionRow(ids[index] ?? 0, value, now))))
    .returning(['id', 'hash'])
    .execute();

  const texts = ids.map(() => new Map(scopes.map((scope) => [scope, newPersonalTokenText()])));
  const personalTokens = await trx
    .insertInto('personal_tokens')
    .values(
      texts.flatMap((own, index) =>
        [...own, ['spare', newPersonalTokenText()] as const].map(([name, text]) => ({
          user_id: ids[index] ?? 0,
          name,
          hash: hashToken(text),
          scopes: JSON.stringify([name]),
          created_at: now,
          expires_at: null,
          revoked_at: null,
        })),
      ),
    )
    .returning(['id', 'user_id', 'name'])
    .execute();

  const people = who.map(({ name }, index): [string, Person] => {
    const [id = 0, [cookie = '', other = ''] = [], byScope = new Map()] = [ids[index], cookies[index], texts[index]];
    const person = {
      id,
      username: `${world}-${index}`,
      cookie,
      csrf: csrfToken(csrfKey, { hash: hashSessionCookie(cookie) }),
      otherSession: sessions.find(({ hash }) => hash === hashSessionCookie(other))?.id ?? 0,
      personalToken: personalTokens.find((each) => each.user_id === id && each.name === 'spare')?.id ?? 0,
      identity: identities.find(({ user_id }) => user_id === id)?.id ?? 0,
      spare: membershipOn(id, { group_id: spareGroup, project_id: null }),
      byScope,
    };
    return [name, person];
  });
  return {
    people: new Map(people),
    crew,
    newcomer,
    crewId,
    memberships: Object.fromEntries(crewPlaces.map((place) => [place, membershipOn(crewId, on(place))])),
  };
}

function insertUsers(
  trx: Trx,
  users: readonly { username: string; admin?: boolean }[],
  password_hash: string,
): Promise<Pick<Row<'users'>, 'id' | 'username'>[]> {
  return trx
    .insertInto('users')
    .values(
      users.map(({ username, admin = false }) => ({
        username,
        name: username,
        email: null,
        admin: admin ? 1 : 0,
        admin_by: null,
        state: 'active' as const,
        password_hash,
        created_at: Date.now(),
        last_sign_in_at: null,
      })),
    )
    .returning(['id', 'username'])
    .execute();
}

function newCookie(): string {
  return randomBytes(32).toString('base64url');
}

function sessionRow(user_id: number, cookie: string, now: number): Omit<Row<'sessions'>, 'id'> {
  const where = { address: '127.0.0.1', user_agent: 'matrix', provider: null };
  return { user_id, hash: hashSessionCookie(cookie), created_at: now, expires_at: now + 3_600_000, ...where };
}
