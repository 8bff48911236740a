/** When tokens were last used: noted in memory on the way of a question, written to the database in batches. */
import { flushEvery } from '../ops/flush-every.ts';
import type { Log } from '../ops/log.ts';
import type { Database } from '../storage/database.ts';
import { recordLastUse } from '../storage/last-use.ts';

const INTERVAL = 10_000;

export interface LastUsed {
  note(tokenId: number, now: number): void;
  /** Writes what is still in memory and stops. */
  close(): Promise<void>;
}

/** A batch that cannot be written is tried again with the next one; it never holds up an answer. */
export function trackLastUsed(database: Database, log: Log, of: 'tokens' | 'personal_tokens'): LastUsed {
  let uses = new Map<number, number>();

  async function flush(): Promise<void> {
    if (uses.size === 0) return;
    const batch = uses;
    uses = new Map();
    try {
      await database.write((trx) => recordLastUse(trx, of, batch));
    } catch (error) {
      for (const [id, at] of batch) if (!uses.has(id)) uses.set(id, at);
      log.warn(`the last use of ${of.replace('_', ' ')} could not be written`, { tokens: batch.size }, error);
    }
  }

  return { note: (tokenId, now) => uses.set(tokenId, now), ...flushEvery(INTERVAL, flush) };
}
