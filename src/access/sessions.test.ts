import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import { People } from '../directory/people.ts';
import { createLog } from '../ops/log.ts';
import { openDatabase } from '../storage/database.ts';
import { recordLastUse } from '../storage/last-use.ts';
import { allSessions, allUsers } from '../storage/people.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { removeSession, removeSessionsOf, sessionsOf } from '../storage/sessions.ts';
import { insertUser, updateUser } from '../storage/users.ts';
import { createSessionActivity, type SharedSessionActivity } from './session-activity.ts';
import { sessionCookie } from './session-cookie.ts';
import { identifySession, sessionEnd, startSession } from './sessions.ts';

const start = 1_800_000_000_000;
const minute = 60_000;
const limits = { idle: 30 * minute, lifetime: 600 * minute };
const cookie = sessionCookie('http://localhost');
const origin = { address: '192.0.2.1', userAgent: 'Firefox', provider: null, previousCookie: null };
const lines: string[] = [];
const log = createLog('warn', (line) => lines.push(line));

describe.each(dialects)('a session, with %s', (dialect) => {
  let home: TestDatabase;
  let user: Row<'users'>;
  let activity: SharedSessionActivity;
  beforeEach(async () => {
    // What is exchanged, and when, the tests say.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    home = await createTestDatabase(dialect);
    user = await write((trx) =>
      insertUser(trx, { username: 'ada', name: 'Ada', email: null, admin: false, passwordHash: null, createdAt: start }),
    );
    activity = await createSessionActivity(home.database, log, start);
  });
  afterEach(async () => {
    await activity.close();
    await home.remove();
    vi.useRealTimers();
  });

  const write = <T>(fn: (trx: Trx) => Promise<T>) => home.database.write(fn);
  const begin = (now = start, change: Partial<typeof origin> | { previousCookie: string } = {}) =>
    write((trx) => startSession(trx, user, { ...origin, ...change }, { lifetime: limits.lifetime, now }));
  const snapshot = () =>
    home.database.read(async (trx) => {
      const people = new People();
      for (const each of await allUsers(trx)) people.putUser(each);
      for (const each of await allSessions(trx)) people.putSession(each);
      return people;
    });
  const whoHas = async (value: string, now: number, { by = activity, now: set = limits } = {}) =>
    identifySession(`promgate_session=${value}`, cookie, await snapshot(), by, set, now)?.user.username ?? null;

  it('is its user’s for whoever has the cookie, of which the database has the hash alone', async () => {
    const { cookie: value, id } = await begin();
    expect(value).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(await whoHas(value, start)).toBe('ada');
    expect(await whoHas((await begin()).cookie, start)).toBe('ada');
    expect(await whoHas('A'.repeat(43), start)).toBeNull();
    const rows = await home.database.db.selectFrom('sessions').selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(value);
    expect(rows.find((row) => row.id === id)?.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('ends when it was not used for the idle time', async () => {
    const { cookie: value } = await begin();
    expect(await whoHas(value, start + limits.idle - 1)).toBe('ada');
    // That was a use.
    expect(await whoHas(value, start + 2 * limits.idle - 2)).toBe('ada');
    expect(await whoHas(value, start + 3 * limits.idle - 2)).toBeNull();
    expect(await whoHas(value, start + 3 * limits.idle + minute)).toBeNull();
  });

  it('ends after its lifetime, however much it is used', async () => {
    const { cookie: value } = await begin();
    for (let now = start; now < start + limits.lifetime; now += limits.idle / 2) expect(await whoHas(value, now)).toBe('ada');
    expect(await whoHas(value, start + limits.lifetime - 1)).toBe('ada');
    expect(await whoHas(value, start + limits.lifetime)).toBeNull();
  });

  it('goes by the settings as they are now where those are shorter', async () => {
    const { cookie: value } = await begin();
    expect(await whoHas(value, start + 5 * minute, { now: { idle: 5 * minute, lifetime: 600 * minute } })).toBeNull();
    expect(await whoHas(value, start + 5 * minute, { now: { idle: 600 * minute, lifetime: 5 * minute } })).toBeNull();
    expect(await whoHas(value, start + 5 * minute)).toBe('ada');
    // A longer lifetime is for sessions that begin then.
    const session = { createdAt: start, expiresAt: start + limits.lifetime };
    expect(sessionEnd(session, start + 599 * minute, { idle: limits.idle, lifetime: 10 * limits.lifetime })).toBe(
      start + limits.lifetime,
    );
  });

  it('is nobody’s once its user is blocked', async () => {
    const { cookie: value } = await begin();
    await write((trx) => updateUser(trx, user.id, { state: 'blocked' }));
    expect(await whoHas(value, start)).toBeNull();
  });

  it('ends when another one starts with its cookie', async () => {
    const { cookie: before } = await begin();
    const { cookie: other } = await begin();
    const { cookie: after } = await begin(start, { previousCookie: before });
    expect(after).not.toBe(before);
    expect([await whoHas(before, start), await whoHas(other, start), await whoHas(after, start)]).toEqual([null, 'ada', 'ada']);
  });

  it('ends with all others of the user, or but for one', async () => {
    const [one, two, three] = [await begin(), await begin(), await begin()];
    expect(await write((trx) => removeSession(trx, one.id))).toMatchObject({ id: one.id });
    expect(await write((trx) => removeSession(trx, one.id))).toBeUndefined();
    expect(await write((trx) => removeSessionsOf(trx, user.id, three.id))).toBe(1);
    expect([await whoHas(two.cookie, start), await whoHas(three.cookie, start)]).toEqual([null, 'ada']);
    expect(await write((trx) => removeSessionsOf(trx, user.id))).toBe(1);
    expect(await whoHas(three.cookie, start)).toBeNull();
  });

  it('is the oldest to end where a user has more than a hundred', async () => {
    const first = await begin();
    const second = await begin();
    for (let i = 0; i < 99; i++) await begin();
    expect([await whoHas(first.cookie, start), await whoHas(second.cookie, start)]).toEqual([null, 'ada']);
  });

  it('keeps of the browser’s name what is harmless', async () => {
    await begin(start, { userAgent: `Ü\r\nX${'y'.repeat(300)}` });
    const [row] = await home.database.read((trx) => sessionsOf(trx, user.id));
    expect(row).toMatchObject({ address: '192.0.2.1', user_agent: `???X${'y'.repeat(251)}`, last_seen_at: null });
  });

  it('that is used at one process goes on at the others, once they have exchanged it', async () => {
    const { cookie: value, id } = await begin();
    const otherDatabase = await openDatabase(home.settings);
    const other = await createSessionActivity(otherDatabase, log, start);
    try {
      const now = start + 29 * minute;
      expect(await whoHas(value, now)).toBe('ada');
      const later = now + 29 * minute;
      expect(await whoHas(value, later, { by: other })).toBeNull();
      await activity.exchange(now);
      await other.exchange(later);
      expect(await whoHas(value, later, { by: other })).toBe('ada');
      // And one that starts later knows it at once.
      await other.exchange(later);
      const third = await createSessionActivity(otherDatabase, log, later);
      expect(third.lastSeen(id)).toBe(later);
      await third.close();
    } finally {
      await other.close();
      await otherDatabase.close();
    }
  });

  it('that has ended is no trouble for what was noted of it', async () => {
    const [one, two] = [await begin(), await begin()];
    activity.note(one.id, start + minute);
    activity.note(two.id, start + minute);
    await write((trx) => removeSession(trx, one.id));
    await activity.exchange(start + minute);
    expect(await home.database.read((trx) => sessionsOf(trx, user.id))).toMatchObject([
      { id: two.id, last_seen_at: start + minute },
    ]);
  });

  it('has the latest of the times at which it was seen', async () => {
    const { id } = await begin();
    await write((trx) => recordLastUse(trx, 'sessions', new Map([[id, start + 9]])));
    await write((trx) => recordLastUse(trx, 'sessions', new Map([[id, start + 5]])));
    expect(await home.database.read((trx) => sessionsOf(trx, user.id))).toMatchObject([{ last_seen_at: start + 9 }]);
  });

  it('goes on as this process knows it while the database is away, which is told once back', async () => {
    const { cookie: value, id } = await begin();
    const once = await begin();
    let away = true;
    const flaky = {
      ...home.database,
      write: ((fn) => (away ? Promise.reject(new Error('away')) : home.database.write(fn))) as typeof home.database.write,
    };
    const own = await createSessionActivity(flaky, log, start);
    try {
      const now = start + 20 * minute;
      expect(await whoHas(value, now, { by: own })).toBe('ada');
      own.note(once.id, now);
      await own.exchange(now);
      expect(lines.at(-1)).toContain('could not be exchanged');
      expect(await whoHas(value, now + 29 * minute, { by: own })).toBe('ada');
      expect(await whoHas(value, now + 60 * minute, { by: own })).toBeNull();
      away = false;
      await own.exchange(now + 60 * minute);
      expect(await home.database.read((trx) => sessionsOf(trx, user.id))).toMatchObject([
        { id: once.id, last_seen_at: now },
        { id, last_seen_at: now + 29 * minute },
      ]);
    } finally {
      await own.close();
    }
  });
});
