/**
 * Purges. Nothing is deleted anywhere: a subject's epoch is part of the policies that it concerns (`policy.ts`), so with a
 * new epoch they are others, and what was kept under them is out of reach, in the memory of every process and in the
 * shared tier alike.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Server, Target } from '../directory/model.ts';
import { type Actor, type AuditObject, targetObject, theInstance } from '../ops/audit.ts';
import { recordEvents } from '../storage/audit.ts';
import { serverObject } from '../storage/audit-objects.ts';
import type { Database } from '../storage/database.ts';
import { bumpPurge, forgetPurges } from '../storage/purges.ts';
import type { Trx } from '../storage/schema.ts';
import { serversByIds } from '../storage/servers.ts';

/** Epochs by the text of their subjects. A subject that was never purged has none. */
export type PurgeEpochs = ReadonlyMap<string, number>;

/** What is purged: everything; all of one server; what an endpoint and those that share answers with it are shown. */
export type PurgeSubject =
  | { readonly kind: 'all' }
  | { readonly kind: 'server'; readonly server: number }
  | { readonly kind: 'policy'; readonly server: number; readonly revision: string; readonly basis: string };

export const everything: PurgeSubject = { kind: 'all' };

export function serverSubject({ id }: Pick<Server, 'id'>): PurgeSubject {
  return { kind: 'server', server: id };
}

/** With the record's revision: under another one these answers are out of reach anyway, and the subject can be forgotten. */
export function policySubject({ id, revision }: Pick<Server, 'id' | 'revision'>, basis: string): PurgeSubject {
  return { kind: 'policy', server: id, revision, basis };
}

/** As it is stored. */
export function subjectText(subject: PurgeSubject): string {
  if (subject.kind === 'all') return 'all';
  if (subject.kind === 'server') return `server ${subject.server}`;
  return `policy ${subject.server} ${subject.revision} ${subject.basis}`;
}

/** Running processes look for changes four times a second. */
const KNOWN_EVERYWHERE = 500;

/**
 * Resolves when what is asked then is answered anew, in every process that reaches the database. `endpoint` is whose answers
 * the subject are, where it was found by an endpoint: the audit log names it.
 */
export async function purge(
  database: Pick<Database, 'write'>,
  subject: PurgeSubject,
  actor: Actor,
  endpoint: Target | null,
): Promise<void> {
  const { prefix, except } = covered(subject);
  await database.write(async (trx) => {
    const now = Date.now();
    await bumpPurge(trx, subjectText(subject), now);
    await forgetPurges(trx, prefix, except);
    await recordEvents(trx, [{ actor, action: 'purged', ...(await purged(trx, subject, endpoint)) }], now);
  });
  await delay(KNOWN_EVERYWHERE);
}

async function purged(
  trx: Trx,
  subject: PurgeSubject,
  endpoint: Target | null,
): Promise<{ object: AuditObject; detail?: { server: string } }> {
  if (subject.kind === 'all') return { object: theInstance };
  const [row] = await serversByIds(trx, [subject.server]);
  // Removed since it was found: its answers are out of reach in any case.
  const server = row === undefined ? { ...theInstance, name: `server ${subject.server}` } : await serverObject(trx, row);
  return endpoint === null ? { object: server } : { object: targetObject(endpoint), detail: { server: server.name } };
}

/**
 * The subjects that need not be remembered beside this one: what was kept under their epochs is out of reach by its own. So
 * they stay about as few as servers and policies are. The epoch of `all` is never forgotten and only grows, that of a
 * server goes only with it: no state of the epochs ever comes back.
 */
function covered(subject: PurgeSubject): { prefix: string; except: string } {
  if (subject.kind === 'all') return { prefix: '', except: 'all' };
  const policies = `policy ${subject.server} `;
  return subject.kind === 'server'
    ? { prefix: policies, except: subjectText(subject) }
    : { prefix: policies, except: `${policies}${subject.revision} ` };
}
