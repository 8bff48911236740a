/** Forgetting what has had its time. A little at a time: nobody is to wait long for the write lock. */
import type { Database } from './database.ts';
import type { Trx } from './schema.ts';
import { keptUsageDays, usageDay } from './usage.ts';

/** Rows that one transaction removes. */
const CHUNK = 2_000;
const DAY = 86_400_000;

/**
 * Removes audit events older than `retention` (milliseconds; 0: none), usage of more than 30 days ago, sessions and one-time
 * links that have expired, and what is known of failed sign-ins after a day. `now` in Unix milliseconds.
 */
export async function pruneOld(
  database: Pick<Database, 'write'>,
  { retention, now }: { retention: number; now: number },
): Promise<void> {
  if (retention > 0) await inPieces(database, (trx) => pruneEvents(trx, now - retention));
  await inPieces(database, (trx) => pruneUsage(trx, usageDay(now) - keptUsageDays));
  for (const table of ['sessions', 'one_time_links'] as const) {
    await inPieces(database, (trx) =>
      counted(
        trx
          .deleteFrom(table)
          .where('id', 'in', (eb) => eb.selectFrom(table).select('id').where('expires_at', '<=', now).limit(CHUNK)),
      ),
    );
  }
  await inPieces(database, (trx) =>
    counted(
      trx.deleteFrom('sign_in_failures').where('key', 'in', (eb) =>
        eb
          .selectFrom('sign_in_failures')
          .select('key')
          .where('last_at', '<', now - DAY)
          .limit(CHUNK),
      ),
    ),
  );
}

async function inPieces(database: Pick<Database, 'write'>, removeSome: (trx: Trx) => Promise<number>): Promise<void> {
  while ((await database.write(removeSome)) >= CHUNK);
}

/** Removes some of the events from before the time (Unix milliseconds), the oldest first; how many. */
function pruneEvents(trx: Trx, before: number): Promise<number> {
  const oldest = trx.selectFrom('audit_events').select('id').where('at', '<', before).orderBy('at').limit(CHUNK);
  return counted(trx.deleteFrom('audit_events').where('id', 'in', oldest));
}

function pruneUsage(trx: Trx, beforeDay: number): Promise<number> {
  const key = ['day', 'caller_kind', 'caller_id', 'level', 'target_id'] as const;
  const oldest = trx.selectFrom('usage_days').select(key).where('day', '<', beforeDay).orderBy('day').limit(CHUNK);
  return counted(trx.deleteFrom('usage_days').where(({ eb, refTuple }) => eb(refTuple(...key), 'in', oldest.$asTuple(...key))));
}

async function counted(query: { executeTakeFirstOrThrow(): Promise<{ numDeletedRows: bigint }> }): Promise<number> {
  return Number((await query.executeTakeFirstOrThrow()).numDeletedRows);
}
