/** What `apply` does, as events for the audit log: collected on the way, written at its end. */
import type { Actor, AuditEvent, AuditObject } from '../ops/audit.ts';
import { heldDirectly } from '../storage/audit-removal.ts';
import type { Trx } from '../storage/schema.ts';
import type { Change } from './apply-changes.ts';
import type { ApplyState } from './apply-state.ts';
import type { Removals } from './apply-writer.ts';
import { ancestorPaths } from './paths.ts';

export interface ApplyAudit {
  /** A group or project there is now, for the events of what lies in it. */
  know(kind: 'group' | 'project', path: string, id: number): void;
  /** `id` of the thing that was changed. What was left as it was is passed over. */
  note(change: Change, id: number): void;
  /** Looks at what the things hold that are to be removed. To be called before they are. */
  removing(trx: Trx, removals: Removals): Promise<void>;
  events(actor: Actor): AuditEvent[];
}

interface Place {
  readonly groupIds: readonly number[];
  readonly projectId: number | null;
}

const ofInstance: Place = { groupIds: [], projectId: null };

/** `state` is what there is before anything was done. */
export function createApplyAudit(state: ApplyState): ApplyAudit {
  const ids = {
    group: new Map([...state.groups].map(([path, { id }]) => [path, id])),
    project: new Map([...state.projects].map(([path, { id }]) => [path, id])),
  };
  const places = new Map<string, Place>();
  const noted: Pick<AuditEvent & { action: 'created' | 'changed' | 'removed' }, 'action' | 'object' | 'detail'>[] = [];
  const held = new Map<string, Readonly<Record<string, number>>>();

  /** Where something lies that belongs to `name`: an environment, project, group or the instance. */
  function placeOf(name: string): Place {
    if (name === 'instance') return ofInstance;
    const path = (name.split(':', 1)[0] ?? '').toLowerCase();
    let place = places.get(path);
    if (place === undefined) {
      const groupIds = [...ancestorPaths(path), path].flatMap((each) => ids.group.get(each) ?? []);
      place = { groupIds, projectId: ids.project.get(path) ?? null };
      places.set(path, place);
    }
    return place;
  }

  return {
    know(kind, path, id) {
      ids[kind].set(path.toLowerCase(), id);
    },
    note({ action, kind, name, owner, fields }, id) {
      if (action === 'unchanged' || action === 'kept') return;
      const place = placeOf(owner ?? name);
      const object: AuditObject = { kind, id, name: owner === undefined ? name : `${name}@${owner}`, ...place };
      noted.push({ action, object, ...(fields === undefined ? {} : { detail: { fields } }) });
      if (action !== 'removed' || (kind !== 'group' && kind !== 'project')) return;
      // The file may make something else of that path.
      ids[kind].delete(name.toLowerCase());
      places.delete(name.toLowerCase());
    },
    async removing(trx, removals) {
      for (const level of ['environment', 'project', 'group'] as const) {
        for (const [id, counts] of await heldDirectly(trx, level, removals[`${level}s`])) held.set(`${level} ${id}`, counts);
      }
    },
    events: (actor) =>
      noted.map((event) => {
        const along = event.action === 'removed' ? held.get(`${event.object.kind} ${event.object.id}`) : undefined;
        return { actor, ...event, ...(along === undefined ? {} : { detail: { with: along } }) };
      }),
  };
}
