/**
 * Usage accounting: what each caller asked of each endpoint on each day. Counted in memory on the way of a question, added to
 * the database in batches.
 */
import type { Caller } from '../access/caller.ts';
import type { Target } from '../directory/model.ts';
import type { Database } from '../storage/database.ts';
import type { Row } from '../storage/schema.ts';
import { addUsage, usageDay } from '../storage/usage.ts';
import { flushEvery } from './flush-every.ts';
import type { Log } from './log.ts';

const INTERVAL = 10_000;

/** Of one request. */
export interface Use {
  /** Answered with a client's error before a server was asked. */
  readonly refused: boolean;
  /** Of the answer's body, as sent. */
  readonly bytes: number;
  readonly upstreamMs: number;
}

export interface UsageTracker {
  /** Costs a few look-ups; needs no `this`. */
  readonly note: (caller: Caller, target: Target, use: Use) => void;
  /** Writes what is still in memory and stops. */
  close(): Promise<void>;
}

/** All on one day: by the caller's key, then by the target's. */
interface Day {
  readonly day: number;
  readonly callers: Map<string, Map<number, Row<'usage_days'>>>;
}

/** A batch that cannot be written is added to the next one; it never holds up an answer. */
export function trackUsage(database: Pick<Database, 'write'>, log: Log): UsageTracker {
  let days = new Map<number, Day>();
  let today: Day = { day: Number.NaN, callers: new Map() };

  function note(caller: Caller, target: Target, use: Use): void {
    const day = usageDay(Date.now());
    if (today.day !== day) today = dayOf(day);
    // Programs are counted together: there is no end to their subjects.
    const counters = countersOf(today, caller.kind === 'workload' ? caller.kind : caller.key);
    const key = targetKey(target);
    let row = counters.get(key);
    if (row === undefined) {
      row = newRow(day, caller, target);
      counters.set(key, row);
    }
    row.requests += 1;
    if (use.refused) row.refusals += 1;
    row.bytes += use.bytes;
    row.upstream_ms += use.upstreamMs;
  }

  function dayOf(day: number): Day {
    let found = days.get(day);
    if (found === undefined) {
      found = { day, callers: new Map() };
      days.set(day, found);
    }
    return found;
  }

  async function flush(): Promise<void> {
    if (days.size === 0) return;
    const batch = days;
    days = new Map();
    today = { day: Number.NaN, callers: new Map() };
    const rows = [...batch.values()].flatMap(({ callers }) =>
      [...callers.values()].flatMap((counters) => [...counters.values()]),
    );
    try {
      const whole = rows.map((row) => ({ ...row, upstream_ms: Math.round(row.upstream_ms) }));
      await database.write((trx) => addUsage(trx, whole));
    } catch (error) {
      for (const { day, callers } of batch.values()) for (const [key, counters] of callers) putBack(dayOf(day), key, counters);
      log.warn('the usage of endpoints could not be written', { counters: rows.length }, error);
    }
  }

  return { note, ...flushEvery(INTERVAL, flush) };
}

function countersOf({ callers }: Day, key: string): Map<number, Row<'usage_days'>> {
  let counters = callers.get(key);
  if (counters === undefined) {
    counters = new Map();
    callers.set(key, counters);
  }
  return counters;
}

function putBack(day: Day, caller: string, counters: ReadonlyMap<number, Row<'usage_days'>>): void {
  const present = countersOf(day, caller);
  for (const [key, row] of counters) {
    const known = present.get(key);
    if (known === undefined) {
      present.set(key, row);
      continue;
    }
    known.requests += row.requests;
    known.refusals += row.refusals;
    known.bytes += row.bytes;
    known.upstream_ms += row.upstream_ms;
  }
}

/** A number for each target: no text is made on the way of a question. */
function targetKey(target: Target): number {
  if (target.level === 'environment') return target.environment.id * 3;
  return target.level === 'project' ? target.project.id * 3 + 1 : target.group.id * 3 + 2;
}

function newRow(day: number, caller: Caller, target: Target): Row<'usage_days'> {
  return {
    day,
    caller_kind: caller.kind,
    caller_id: caller.kind === 'token' ? caller.token.id : caller.kind === 'user' ? caller.user.id : 0,
    level: target.level,
    target_id:
      target.level === 'environment' ? target.environment.id : target.level === 'project' ? target.project.id : target.group.id,
    requests: 0,
    refusals: 0,
    bytes: 0,
    upstream_ms: 0,
  };
}
