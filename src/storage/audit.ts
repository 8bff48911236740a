import type { AuditEvent } from '../ops/audit.ts';
import { chunks } from './chunks.ts';
import type { Trx } from './schema.ts';

/** Writes events as part of the transaction that they are about. `at` in Unix milliseconds. */
export async function recordEvents(trx: Trx, events: readonly AuditEvent[], at: number, count = 1): Promise<void> {
  const rows = events.map(({ actor, action, object, detail = {} }) => ({
    at,
    actor_kind: actor.kind,
    actor_id: actor.id,
    actor_name: actor.name,
    action,
    object_kind: object.kind,
    object_id: object.id,
    object_name: object.name,
    group_ids: object.groupIds.length === 0 ? '' : `,${object.groupIds.join(',')},`,
    project_id: object.projectId,
    address: actor.address,
    request_id: actor.requestId,
    count,
    detail: JSON.stringify(detail),
  }));
  for (const chunk of chunks(rows)) await trx.insertInto('audit_events').values(chunk).execute();
}
