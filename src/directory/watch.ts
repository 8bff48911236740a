/**
 * Keeps the snapshot up to date with what any process writes to the database, within a second. Every 250 ms it asks the
 * change log for its end, one indexed look-up, alike on SQLite and PostgreSQL. docs/decisions says why it polls.
 */
import type { Log } from '../ops/log.ts';
import { changesAfter, latestSeq, oldestSeq } from '../storage/changes.ts';
import type { Keyring } from '../storage/crypto.ts';
import type { Database } from '../storage/database.ts';
import { loadDirectory, patchDirectory } from './load.ts';
import type { Directory } from './snapshot.ts';

const INTERVAL = 250;
/** More changes than this at once are cheaper read whole. */
const MOST_PATCHED = 5_000;
/** Without a successful look for this long, a revoked token might still be open here. */
const STALE_AFTER = 5_000;

export interface Watch {
  /** The directory as of the last look; another object after it was loaded anew. */
  current(): Directory;
  /** Whether changes arrive. */
  fresh(): boolean;
  /** Looks at once: what was committed before the call is known when it resolves, unless the database does not answer. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

/** Loads the directory and watches for changes; `onChange` is called after each one. Throws when the first load fails. */
export async function watchDirectory(
  database: Database,
  keyring: Keyring,
  log: Log,
  onChange: (directory: Directory) => void,
): Promise<Watch> {
  let { directory, seq } = await database.read((trx) => loadDirectory(trx, keyring, log));
  let lastLook = performance.now();
  let failing = false;
  let closed = false;
  let timer: NodeJS.Timeout;
  let looking: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    const latest = await latestSeq(database.db);
    if (latest !== seq) {
      await database.read(async (trx) => {
        const changes = await changesAfter(trx, seq, MOST_PATCHED + 1);
        const last = changes.at(-1);
        if (latest < seq || last === undefined) {
          // The log ends before what is known: another state of the database was put in its place, all may be different.
          log.warn('the change log went back, as after a restore: the directory is read anew');
          ({ directory, seq } = await loadDirectory(trx, keyring, log));
        } else if (changes.length > MOST_PATCHED || (await oldestSeq(trx)) > seq + 1) {
          ({ directory, seq } = await loadDirectory(trx, keyring, log));
        } else {
          await patchDirectory(trx, directory, changes, keyring, log);
          seq = last.seq;
        }
      });
      onChange(directory);
    }
    lastLook = performance.now();
  }

  async function tick(): Promise<void> {
    try {
      await look();
      if (failing) log.info('the database answers again: changes of the directory arrive');
      failing = false;
    } catch (error) {
      if (!failing) log.error('changes of the directory cannot be read; what is known stays in force', {}, error);
      failing = true;
    }
  }

  /** One look at a time. */
  function next(): Promise<void> {
    looking = looking.then(() => (closed ? undefined : tick()));
    return looking;
  }

  function schedule(): void {
    timer = setTimeout(() => {
      void next().then(() => {
        if (!closed) schedule();
      });
    }, INTERVAL);
  }

  schedule();
  onChange(directory);
  return {
    current: () => directory,
    fresh: () => performance.now() - lastLook < STALE_AFTER,
    refresh: next,
    async close() {
      closed = true;
      clearTimeout(timer);
      await looking;
    },
  };
}
