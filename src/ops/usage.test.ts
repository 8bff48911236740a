import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import type { Caller } from '../access/caller.ts';
import type { Group, Project, Target, Token } from '../directory/model.ts';
import { openDatabase } from '../storage/database.ts';
import { type UsageOf, usageOf } from '../storage/usage.ts';
import { createLog } from './log.ts';
import { trackUsage, type Use } from './usage.ts';

const group: Group = { id: 1, path: 'acme', parent: null, servers: [] };
const project: Project = { id: 1, path: 'acme/shop', group, servers: [] };
const environment = (id: number): Target => ({
  level: 'environment',
  environment: { id, name: 'e', slug: 'e', kubeNamespace: '', project, servers: [] },
});
const ofGroup: Target = { level: 'group', group };
const ofProject: Target = { level: 'project', project };
const opens = () => true;
const token = (id: number): Caller => ({ kind: 'token', key: `token ${id}`, opens, token: { id } as Token });
const user = (id: number): Caller => ({
  kind: 'user',
  key: `user ${id}`,
  opens,
  sessionId: null,
  scopes: null,
  user: { id, username: 'anna', admin: false, blocked: false },
});
const workload = (subject: string): Caller => ({ kind: 'workload', key: `workload ${subject}`, opens, issuer: 'ci', subject });
const use: Use = { refused: false, bytes: 100, upstreamMs: 1.25 };

describe.each(dialects)('usage on %s', (dialect) => {
  let home: TestDatabase;
  let lines: string[];
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    lines = [];
  });
  afterEach(async () => {
    vi.useRealTimers();
    await home.remove();
  });

  const log = createLog('warn', (line) => lines.push(line));
  const usage = (of: UsageOf, days = 1, now = Date.now()) => home.database.read((trx) => usageOf(trx, of, days, now));
  const total = async (of: UsageOf) => (await usage(of, 31)).total;
  const at = (time: number) => vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'], now: time });

  /** `expect.poll` would move the clock on while it waits. */
  const until = async (see: () => boolean | Promise<boolean>) => {
    for (let looks = 0; looks < 1_500 && !(await see()); looks++) await delay(10);
  };

  it('is counted by caller and by target', async () => {
    const tracker = trackUsage(home.database, log);
    for (let i = 0; i < 4; i++) tracker.note(token(1), environment(1), use);
    tracker.note(token(1), environment(2), { refused: true, bytes: 7, upstreamMs: 0 });
    tracker.note(token(2), environment(1), use);
    tracker.note(user(1), environment(1), use);
    // The same ids on other levels.
    tracker.note(token(1), ofProject, { ...use, bytes: 1_000 });
    tracker.note(user(1), ofGroup, use);
    await tracker.close();
    expect(await total({ callerKind: 'token', callerId: 1 })).toEqual({ requests: 6, refusals: 1, bytes: 1_407, upstreamMs: 6 });
    expect(await total({ callerKind: 'token', callerId: 2 })).toMatchObject({ requests: 1 });
    expect(await total({ callerKind: 'user', callerId: 1 })).toMatchObject({ requests: 2 });
    expect(await total({ level: 'environment', targetId: 1 })).toEqual({ requests: 6, refusals: 0, bytes: 600, upstreamMs: 7 });
    expect(await total({ level: 'environment', targetId: 2 })).toEqual({ requests: 1, refusals: 1, bytes: 7, upstreamMs: 0 });
    expect(await total({ level: 'project', targetId: 1 })).toMatchObject({ requests: 1, bytes: 1_000 });
    expect(await total({ level: 'group', targetId: 1 })).toMatchObject({ requests: 1 });
    expect(await total({ level: 'group', targetId: 2 })).toEqual({ requests: 0, refusals: 0, bytes: 0, upstreamMs: 0 });
  });

  it('of programs is counted together, whoever they say they are', async () => {
    const tracker = trackUsage(home.database, log);
    for (let i = 0; i < 50; i++) tracker.note(workload(`job ${i}`), environment(1), use);
    await tracker.close();
    expect(await total({ callerKind: 'workload', callerId: 0 })).toMatchObject({ requests: 50 });
    expect(await home.database.db.selectFrom('usage_days').selectAll().execute()).toHaveLength(1);
  });

  it('is told for each day in UTC, days without any as well', async () => {
    const lastMoment = Date.UTC(2026, 1, 28, 23, 59, 59, 999);
    at(lastMoment);
    const tracker = trackUsage(home.database, log);
    tracker.note(token(1), environment(1), use);
    tracker.note(token(1), environment(1), use);
    at(lastMoment + 1);
    tracker.note(token(1), environment(1), use);
    await tracker.close();
    const of = { callerKind: 'token', callerId: 1 } as const;
    const { days } = await usage(of, 3, Date.UTC(2026, 2, 2, 12));
    expect(days.map(({ day, requests }) => [day, requests])).toEqual([
      ['2026-02-28', 2],
      ['2026-03-01', 1],
      ['2026-03-02', 0],
    ]);
    const later = await usage(of, 2, Date.UTC(2026, 2, 2, 12));
    expect(later.total.requests).toBe(1);
  });

  it('of several processes adds up', async () => {
    const other = await openDatabase(home.settings);
    const trackers = [trackUsage(home.database, log), trackUsage(other, log)];
    for (const tracker of trackers) for (let i = 0; i < 10; i++) tracker.note(token(1), environment(1), use);
    await Promise.all(trackers.map((tracker) => tracker.close()));
    await other.close();
    const again = trackUsage(home.database, log);
    again.note(token(1), environment(1), use);
    await again.close();
    expect(await total({ callerKind: 'token', callerId: 1 })).toEqual({
      requests: 21,
      refusals: 0,
      bytes: 2_100,
      upstreamMs: 27,
    });
  });

  it('that could not be written is written with what comes later', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    let broken = true;
    const tracker = trackUsage(
      { write: (fn) => (broken ? Promise.reject(new Error('disk full')) : home.database.write(fn)) },
      log,
    );
    tracker.note(token(1), environment(1), use);
    tracker.note(token(2), environment(1), use);
    vi.advanceTimersByTime(10_000);
    await until(() => lines.length > 0);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'warn', counters: 2, error: 'disk full' });
    expect(await total({ level: 'environment', targetId: 1 })).toMatchObject({ requests: 0 });
    tracker.note(token(1), environment(1), { ...use, refused: true });
    tracker.note(token(3), environment(1), use);
    broken = false;
    vi.advanceTimersByTime(10_000);
    await until(async () => (await total({ level: 'environment', targetId: 1 })).requests > 0);
    expect(await total({ level: 'environment', targetId: 1 })).toMatchObject({ requests: 4 });
    expect(await total({ callerKind: 'token', callerId: 1 })).toEqual({ requests: 2, refusals: 1, bytes: 200, upstreamMs: 3 });
    await tracker.close();
    expect(await total({ level: 'environment', targetId: 1 })).toMatchObject({ requests: 4 });
  });

  it('of thousands of callers is written as of one', async () => {
    const tracker = trackUsage(home.database, log);
    for (let id = 1; id <= 2_500; id++) tracker.note(token(id), environment(1), use);
    await tracker.close();
    expect(await total({ level: 'environment', targetId: 1 })).toMatchObject({ requests: 2_500, bytes: 250_000 });
    expect(lines).toEqual([]);
  });
});
