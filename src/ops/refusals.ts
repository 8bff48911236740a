/**
 * Refused operations and sign-ins on their way to the audit log: what is alike becomes one entry with a count, so that
 * whoever is refused a thousand times a second fills neither the memory nor the database.
 */
import { addressBlock } from '../access/throttle.ts';
import { recordCounted } from '../storage/audit.ts';
import type { Database } from '../storage/database.ts';
import { type AuditEvent, theInstance } from './audit.ts';
import { flushEvery } from './flush-every.ts';
import type { Log } from './log.ts';

/** Milliseconds in which like refusals become one entry. */
const INTERVAL = 5_000;
/** Entries in an interval; what is refused beyond them is counted together. */
const MOST = 1_000;

export interface Refusals {
  /** Of several alike the request id and address of the first one are kept. */
  note(event: AuditEvent): void;
  /** Writes what is still in memory and stops. */
  close(): Promise<void>;
}

interface Counted {
  readonly event: AuditEvent;
  /** Unix milliseconds, of the first. */
  readonly at: number;
  count: number;
}

/** What cannot be written is told to the log and forgotten. */
export function createRefusals(database: Pick<Database, 'write'>, log: Log): Refusals {
  let kinds = new Map<string, Counted>();

  function note(event: AuditEvent): void {
    const key = kinds.size < MOST || kinds.has(keyOf(event)) ? keyOf(event) : MORE;
    const known = kinds.get(key);
    if (known !== undefined) known.count++;
    else kinds.set(key, { event: key === MORE ? more : event, at: Date.now(), count: 1 });
  }

  async function flush(): Promise<void> {
    if (kinds.size === 0) return;
    const batch = [...kinds.values()];
    kinds = new Map();
    try {
      await database.write((trx) => recordCounted(trx, batch));
    } catch (error) {
      const refusals = batch.reduce((sum, { count }) => sum + count, 0);
      log.warn('refusals could not be written to the audit log', { refusals }, error);
    }
  }

  return { note, ...flushEvery(INTERVAL, flush) };
}

const MORE = 'more';
const nobody = { kind: 'system', id: null, name: '', address: null, requestId: null } as const;
/** Stands for all that were too many to be told apart. */
const more: AuditEvent = { actor: nobody, action: 'refused', object: theInstance, detail: { more: true } };

/** No key is {@link MORE}. The address does not tell refusals apart but for those of nobody known, of IPv6 its /64: one client has it all. */
function keyOf({ actor, action, object, detail }: AuditEvent): string {
  const address = actor.kind === 'anonymous' ? addressBlock(actor.address ?? '') : null;
  return JSON.stringify([actor.kind, actor.id, actor.name, address, action, object.kind, object.id, object.name, detail]);
}
