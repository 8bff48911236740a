/**
 * When sessions were last seen: noted in memory on the way of a request, exchanged with the other processes through the database
 * every 10 s. While the database is away each process goes by what it knows, so a session ends when it was idle here.
 */
import type { Log } from '../ops/log.ts';
import type { Database } from '../storage/database.ts';
import { recordLastUse } from '../storage/last-use.ts';
import { seenAfter } from '../storage/sessions.ts';
import type { SessionActivity } from './sessions.ts';

const INTERVAL = 10_000;
/** How far the clocks of processes, and what a batch took to be written, may be apart. */
const MARGIN = 60_000;
/** Every so many times all is read: what has ended is forgotten. */
const READ_ALL = 60;

export interface SharedSessionActivity extends SessionActivity {
  /** What the timer does: writes what was noted, reads what others did. Never rejects. */
  exchange(now?: number): Promise<void>;
  /** Writes what is still in memory and stops. */
  close(): Promise<void>;
}

/** Reads all that is known first; throws where it cannot. */
export async function createSessionActivity(database: Database, log: Log, now = Date.now()): Promise<SharedSessionActivity> {
  let seen = await readAll();
  let noted = new Map<number, number>();
  let readAt = now;
  let rounds = 0;

  async function readAll(): Promise<Map<number, number>> {
    const rows = await database.read((trx) => seenAfter(trx, 0));
    return new Map(rows.map((row) => [row.session_id, row.last_seen_at]));
  }

  /** The later time stays. */
  function learn(sessionId: number, at: number): void {
    if (at > (seen.get(sessionId) ?? 0)) seen.set(sessionId, at);
  }

  async function exchange(now = Date.now()): Promise<void> {
    const batch = noted;
    noted = new Map();
    try {
      if (batch.size > 0) await database.write((trx) => recordLastUse(trx, 'sessions', batch));
      if (++rounds % READ_ALL === 0) {
        seen = await readAll();
        for (const [id, at] of noted) learn(id, at);
      } else {
        for (const row of await database.read((trx) => seenAfter(trx, readAt - MARGIN))) learn(row.session_id, row.last_seen_at);
      }
      readAt = now;
    } catch (error) {
      // Written again, should it have been written: the later time stays.
      for (const [id, at] of batch) if (!noted.has(id)) noted.set(id, at);
      log.warn('the last use of sessions could not be exchanged', { sessions: batch.size }, error);
    }
  }

  // One at a time, however slow the database is.
  let exchanging = Promise.resolve();
  let waiting = false;
  const timer = setInterval(() => {
    if (waiting) return;
    waiting = true;
    exchanging = exchange().finally(() => {
      waiting = false;
    });
  }, INTERVAL);

  return {
    lastSeen: (sessionId) => seen.get(sessionId) ?? 0,
    note(sessionId, now) {
      learn(sessionId, now);
      noted.set(sessionId, now);
    },
    exchange,
    async close() {
      clearInterval(timer);
      await exchanging;
      if (noted.size > 0) await exchange();
    },
  };
}
