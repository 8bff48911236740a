/** When things were last used: tables of their own, so that writing them does not count as a change of the directory. */
import { type RawBuilder, sql } from 'kysely';
import { chunks } from './chunks.ts';
import type { Trx } from './schema.ts';

const tables = {
  tokens: { name: 'token_usage', id: 'token_id', at: 'last_used_at' },
  personal_tokens: { name: 'personal_token_usage', id: 'personal_token_id', at: 'last_used_at' },
  sessions: { name: 'session_activity', id: 'session_id', at: 'last_seen_at' },
} as const;

/** Notes uses (id → Unix milliseconds). The later time stays; what is gone meanwhile is passed over. */
export async function recordLastUse(trx: Trx, of: keyof typeof tables, uses: ReadonlyMap<number, number>): Promise<void> {
  const { name, id, at } = tables[of];
  const column = (text: string): RawBuilder<unknown> => sql.ref(text);
  for (const chunk of chunks(uses.keys())) {
    const known = await trx.selectFrom(of).select('id').where('id', 'in', chunk).execute();
    if (known.length === 0) continue;
    const rows = known.map((row) => sql`(${row.id}, ${uses.get(row.id) ?? 0})`);
    await sql`insert into ${sql.table(name)} (${column(id)}, ${column(at)}) values ${sql.join(rows)}
      on conflict (${column(id)}) do update set ${column(at)} = ${column(`excluded.${at}`)}
      where ${column(`excluded.${at}`)} > ${column(`${name}.${at}`)}`.execute(trx);
  }
}
