/** What goes along with a thing that is removed, for the audit log. Ask before it is gone. */
import { sql } from 'kysely';
import { inChunks } from './chunks.ts';
import type { TokenOwner } from './owner.ts';
import type { Trx } from './schema.ts';

/** How many of each, such as `{ environments: 3, tokens: 5 }`; of what there is none is left out. Revoked tokens do not count. */
export type Held = Readonly<Record<string, number>>;

/** All that lies below a group, project or environment, at any depth. */
export async function heldBy(trx: Trx, { level, id }: TokenOwner): Promise<Held> {
  // A union without `all` ends in any case.
  const { rows } = await sql<Record<string, number>>`
    with recursive
      g (id) as (
        select id from "groups" where id = ${level === 'group' ? id : 0}
        union select "groups".id from "groups" join g on "groups".parent_id = g.id
      ),
      p (id) as (
        select id from projects where id = ${level === 'project' ? id : 0} or group_id in (select id from g)
      ),
      e (id) as (
        select id from environments where id = ${level === 'environment' ? id : 0} or project_id in (select id from p)
      )
    select
      (select count(*) from g) as "groups",
      (select count(*) from p) as projects,
      (select count(*) from e) as environments,
      (select count(*) from servers where ${inTree}) as servers,
      (select count(*) from tokens where revoked_at is null and (${inTree})) as tokens,
      (select count(*) from memberships where group_id in (select id from g) or project_id in (select id from p)) as members
  `.execute(trx);
  const { [`${level}s`]: self = 0, ...others } = rows[0] ?? {};
  return withoutNone({ [`${level}s`]: self - 1, ...others });
}

const inTree = sql`group_id in (select id from g) or project_id in (select id from p) or environment_id in (select id from e)`;

/** Tokens and members of these things themselves, by id; not of what lies below them. What holds none is left out. */
export async function heldDirectly(trx: Trx, level: TokenOwner['level'], ids: readonly number[]): Promise<Map<number, Held>> {
  const held = new Map<number, Record<string, number>>();
  const count = async (
    kind: string,
    query: (chunk: number[]) => Promise<{ id: number | null; count: number | bigint | string }[]>,
  ) => {
    for (const { id, count } of await inChunks(ids, query)) {
      if (id !== null) held.set(id, { ...held.get(id), [kind]: Number(count) });
    }
  };
  const column = `${level}_id` as const;
  await count('tokens', (chunk) =>
    trx
      .selectFrom('tokens')
      .select([`${column} as id`, (eb) => eb.fn.countAll().as('count')])
      .where(column, 'in', chunk)
      .where('revoked_at', 'is', null)
      .groupBy(column)
      .execute(),
  );
  if (column === 'environment_id') return held;
  await count('members', (chunk) =>
    trx
      .selectFrom('memberships')
      .select([`${column} as id`, (eb) => eb.fn.countAll().as('count')])
      .where(column, 'in', chunk)
      .groupBy(column)
      .execute(),
  );
  return held;
}

function withoutNone(counts: Record<string, number>): Held {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}
