/** What callers asked of endpoints, by day in UTC. */
import { chunks } from './chunks.ts';
import type { Row, Trx } from './schema.ts';

/** Days before today of which usage is kept. */
export const keptUsageDays = 30;

/** Days since 1970-01-01, in UTC, of a time in Unix milliseconds. */
export function usageDay(at: number): number {
  return Math.floor(at / 86_400_000);
}

/** Adds to what is there of the same day, caller and target. No two rows may be of the same. */
export async function addUsage(trx: Trx, rows: readonly Row<'usage_days'>[]): Promise<void> {
  for (const chunk of chunks(rows)) {
    await trx
      .insertInto('usage_days')
      .values(chunk)
      .onConflict((conflict) =>
        conflict.columns(['day', 'caller_kind', 'caller_id', 'level', 'target_id']).doUpdateSet((eb) => ({
          requests: eb('usage_days.requests', '+', eb.ref('excluded.requests')),
          refusals: eb('usage_days.refusals', '+', eb.ref('excluded.refusals')),
          bytes: eb('usage_days.bytes', '+', eb.ref('excluded.bytes')),
          upstream_ms: eb('usage_days.upstream_ms', '+', eb.ref('excluded.upstream_ms')),
        })),
      )
      .execute();
  }
}

/** Of a caller, whatever it asked; or of a target itself, whoever asked it (not of what lies below it). */
export type UsageOf =
  | { readonly callerKind: Row<'usage_days'>['caller_kind']; readonly callerId: number }
  | { readonly level: Row<'usage_days'>['level']; readonly targetId: number };

export interface Counts {
  readonly requests: number;
  /** Answered with a client's error before a server was asked. */
  readonly refusals: number;
  /** Of the answers' bodies, as sent. */
  readonly bytes: number;
  /** Milliseconds that servers took to begin their answers. */
  readonly upstreamMs: number;
}

export interface Usage {
  /** Oldest first, each of the days asked for; `day` as in `2026-01-31`. */
  readonly days: readonly (Counts & { readonly day: string })[];
  readonly total: Counts;
}

/** Of the last `days` days, today (in UTC) included; there are at most 31. */
export async function usageOf(trx: Trx, of: UsageOf, days: number, now: number = Date.now()): Promise<Usage> {
  const today = usageDay(now);
  const first = today - Math.min(days, keptUsageDays + 1) + 1;
  const sums = trx
    .selectFrom('usage_days')
    .select((eb) => [
      'day',
      eb.fn.sum('requests').as('requests'),
      eb.fn.sum('refusals').as('refusals'),
      eb.fn.sum('bytes').as('bytes'),
      eb.fn.sum('upstream_ms').as('upstream_ms'),
    ])
    .where('day', '>=', first)
    .where('day', '<=', today)
    .groupBy('day');
  const rows = await ('level' in of
    ? sums.where('level', '=', of.level).where('target_id', '=', of.targetId)
    : sums.where('caller_kind', '=', of.callerKind).where('caller_id', '=', of.callerId)
  ).execute();
  const byDay = new Map(
    // A sum in PostgreSQL is of another type, which the driver gives as a text.
    rows.map((row) => [
      row.day,
      {
        requests: Number(row.requests),
        refusals: Number(row.refusals),
        bytes: Number(row.bytes),
        upstreamMs: Number(row.upstream_ms),
      },
    ]),
  );
  const each = Array.from({ length: today - first + 1 }, (_, index) => first + index);
  return {
    days: each.map((day) => ({ day: new Date(day * 86_400_000).toISOString().slice(0, 10), ...(byDay.get(day) ?? nothing) })),
    total: [...byDay.values()].reduce(plus, nothing),
  };
}

const nothing: Counts = { requests: 0, refusals: 0, bytes: 0, upstreamMs: 0 };

function plus(a: Counts, b: Counts): Counts {
  return {
    requests: a.requests + b.requests,
    refusals: a.refusals + b.refusals,
    bytes: a.bytes + b.bytes,
    upstreamMs: a.upstreamMs + b.upstreamMs,
  };
}
