/** The audit log's rows: written with what they are about, read and exported page by page. */
import { sql } from 'kysely';
import type { Actor, AuditAction, AuditEvent, AuditObject } from '../ops/audit.ts';
import { chunks } from './chunks.ts';
import type { Database } from './database.ts';
import type { Row, Trx } from './schema.ts';

/** Writes events as part of the transaction that they are about. `at` in Unix milliseconds. */
export function recordEvents(trx: Trx, events: readonly AuditEvent[], at: number): Promise<void> {
  return recordCounted(
    trx,
    events.map((event) => ({ event, at, count: 1 })),
  );
}

/** Writes events that each stand for `count` alike. */
export async function recordCounted(
  trx: Trx,
  counted: readonly { readonly event: AuditEvent; readonly at: number; readonly count: number }[],
): Promise<void> {
  const rows = counted.map(({ event: { actor, action, object, detail = {} }, at, count }) => ({
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
  for (const chunk of chunks(rows)) {
    const written = await trx.insertInto('audit_events').values(chunk).returning(['id', 'group_ids']).execute();
    const groups = written.flatMap(({ id, group_ids }) =>
      group_ids.split(',').flatMap((each) => (each === '' ? [] : [{ group_id: Number(each), event_id: id }])),
    );
    for (const part of chunks(groups)) await trx.insertInto('audit_event_groups').values(part).execute();
  }
}

/** As it is told: JSON, in the API and in exports. */
export interface AuditEntry {
  readonly id: number;
  /** RFC 3339 in UTC, with milliseconds. */
  readonly time: string;
  readonly actor: { readonly kind: Actor['kind']; readonly id: number | null; readonly name: string };
  readonly action: AuditAction;
  readonly object: { readonly kind: AuditObject['kind']; readonly id: number | null; readonly name: string };
  readonly address: string | null;
  readonly request_id: string | null;
  /** How many alike it stands for. */
  readonly count: number;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Whose events may be seen: all, or those of a group and what lies in it, or of a project and what lies in it. */
export type Visible = 'all' | { readonly groupId: number } | { readonly projectId: number };

export interface AuditFilter {
  readonly visible: Visible;
  /** Without `id`: all of the kind. */
  readonly object?: { readonly kind: AuditObject['kind']; readonly id?: number };
  /** Without `id`: all of the kind. */
  readonly actor?: { readonly kind: Actor['kind']; readonly id?: number };
  readonly action?: AuditAction;
  /** Unix milliseconds, included. */
  readonly since?: number;
  /** Unix milliseconds, not included. */
  readonly until?: number;
}

/** At most `limit` events, newest first; with `before` those older than the event of that id. */
export async function readEvents(trx: Trx, filter: AuditFilter & { before?: number; limit: number }): Promise<AuditEntry[]> {
  const { before, limit } = filter;
  const id = idOf(filter);
  const fitting = matching(trx, filter).orderBy(id, 'desc').limit(limit);
  return (await (before === undefined ? fitting : fitting.where(id, '<', before)).execute()).map(entryOf);
}

const EXPORT_PAGE = 500;

/**
 * All events that fit, oldest first, in pages. Each is read in a transaction of its own, so that whoever takes the pages slowly
 * holds up nothing. What is written after the start is not in it.
 */
export async function* exportEvents(
  database: Pick<Database, 'read'>,
  filter: AuditFilter,
  page: number = EXPORT_PAGE,
): AsyncGenerator<AuditEntry[], void, undefined> {
  const newest = await database.read((trx) => readEvents(trx, { ...filter, limit: 1 }));
  const last = newest[0]?.id ?? 0;
  const id = idOf(filter);
  for (let after = 0; after < last; ) {
    const from = after;
    const rows = await database.read((trx) =>
      matching(trx, filter).where(id, '>', from).where(id, '<=', last).orderBy(id).limit(page).execute(),
    );
    if (rows.length === 0) return;
    yield rows.map(entryOf);
    after = rows.at(-1)?.id ?? last;
  }
}

/** An event's id, where the index that leads to it has it: in its order nothing is gone through in vain. */
function idOf({ visible }: AuditFilter) {
  return visible !== 'all' && 'groupId' in visible ? sql<number>`audit_event_groups.event_id` : sql<number>`audit_events.id`;
}

function matching(trx: Trx, { visible, object, actor, action, since, until }: AuditFilter) {
  let query = trx.selectFrom('audit_events').selectAll('audit_events');
  if (visible !== 'all') {
    query =
      'projectId' in visible
        ? query.where('project_id', '=', visible.projectId)
        : query.innerJoin('audit_event_groups', 'event_id', 'audit_events.id').where('group_id', '=', visible.groupId);
  }
  if (object !== undefined) query = query.where('object_kind', '=', object.kind);
  if (object?.id !== undefined) query = query.where('object_id', '=', object.id);
  if (actor !== undefined) query = query.where('actor_kind', '=', actor.kind);
  if (actor?.id !== undefined) query = query.where('actor_id', '=', actor.id);
  if (action !== undefined) query = query.where('action', '=', action);
  if (since !== undefined) query = query.where('at', '>=', since);
  if (until !== undefined) query = query.where('at', '<', until);
  return query;
}

function entryOf(row: Row<'audit_events'>): AuditEntry {
  return {
    id: row.id,
    time: new Date(row.at).toISOString(),
    actor: { kind: row.actor_kind as Actor['kind'], id: row.actor_id, name: row.actor_name },
    action: row.action as AuditAction,
    object: { kind: row.object_kind as AuditObject['kind'], id: row.object_id, name: row.object_name },
    address: row.address,
    request_id: row.request_id,
    count: row.count,
    detail: JSON.parse(row.detail),
  };
}
