import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { theInstance } from '../ops/audit.ts';
import { recordCounted } from './audit.ts';
import type { Database } from './database.ts';
import { pruneOld } from './prune.ts';
import type { Schema } from './schema.ts';
import { addUsage, usageDay } from './usage.ts';

const day = 86_400_000;
const now = Date.UTC(2026, 5, 15, 12);
const actor = { kind: 'system', id: null, name: '', address: null, requestId: null } as const;

describe.each(dialects)('what has had its time on %s', (dialect) => {
  let home: TestDatabase;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
  });
  afterEach(() => home.remove());

  const events = (times: number[]) =>
    home.database.write((trx) =>
      recordCounted(
        trx,
        times.map((at) => ({ event: { actor, action: 'changed', object: theInstance }, at, count: 1 })),
      ),
    );
  const eventTimes = async () =>
    (await home.database.db.selectFrom('audit_events').select('at').orderBy('at').execute()).map(({ at }) => at);
  const prune = (retention: number, database: Pick<Database, 'write'> = home.database) => pruneOld(database, { retention, now });
  const insert = (table: keyof Schema, rows: object[]) =>
    home.database.db
      .insertInto(table)
      .values(rows as never)
      .execute();
  const left = async (table: 'sessions' | 'one_time_links' | 'sign_in_failures') => {
    const rows: { hash?: string; key?: string }[] = await home.database.db.selectFrom(table).selectAll().execute();
    return rows.map(({ hash, key }) => hash ?? key).sort();
  };

  it('leaves the audit log, and nothing younger does', async () => {
    await events([now - 10 * day - 1, now - 10 * day, now - 1]);
    await prune(10 * day);
    expect(await eventTimes()).toEqual([now - 10 * day, now - 1]);
  });

  it('stays in the audit log where it is kept for ever', async () => {
    await events([0, now]);
    await prune(0);
    expect(await eventTimes()).toEqual([0, now]);
  });

  it('is removed in several transactions where it is much', async () => {
    await events(Array.from({ length: 4_500 }, (_, i) => i).concat(now));
    let writes = 0;
    let most = 0;
    const before = { count: 4_501 };
    const counting: Pick<Database, 'write'> = {
      async write(fn) {
        const result = await home.database.write(fn);
        const count = (await eventTimes()).length;
        if (count < before.count) writes++;
        most = Math.max(most, before.count - count);
        before.count = count;
        return result;
      },
    };
    await prune(day, counting);
    expect(await eventTimes()).toEqual([now]);
    expect([writes, most]).toEqual([3, 2_000]);
  });

  it('is usage after 30 days', async () => {
    const today = usageDay(now);
    const of = { caller_kind: 'token', level: 'environment', requests: 1, refusals: 0, bytes: 0, upstream_ms: 0 } as const;
    const rows = [today - 31, today - 30, today].flatMap((each) =>
      [1, 2].map((id) => ({ ...of, day: each, caller_id: id, target_id: id })),
    );
    await home.database.write((trx) => addUsage(trx, rows));
    await prune(0);
    const kept = await home.database.db.selectFrom('usage_days').select('day').orderBy('day').execute();
    expect(kept.map((row) => row.day)).toEqual([today - 30, today - 30, today, today]);
  });

  it('are sessions and one-time links that have expired', async () => {
    await insert('users', [{ username: 'anna', name: '', admin: 0, state: 'active', created_at: 1 }]);
    const { id } = await home.database.db.selectFrom('users').select('id').executeTakeFirstOrThrow();
    const session = { user_id: id, created_at: 1, address: '', user_agent: '' };
    const expiries = { gone: now - 1, ends: now, stays: now + 1 };
    for (const [hash, expires_at] of Object.entries(expiries)) {
      await insert('sessions', [{ ...session, hash, expires_at }]);
      await insert('one_time_links', [{ user_id: null, created_at: 1, hash, expires_at }]);
    }
    await prune(0);
    expect([await left('sessions'), await left('one_time_links')]).toEqual([['stays'], ['stays']]);
  });

  it('is what is known of failed sign-ins after a day', async () => {
    const failure = { failures: 3, first_at: 0 };
    await insert('sign_in_failures', [
      { ...failure, key: 'old', last_at: now - day - 1 },
      { ...failure, key: 'young', last_at: now - day },
    ]);
    await prune(0);
    expect(await left('sign_in_failures')).toEqual(['young']);
  });
});
