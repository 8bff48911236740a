/** What `apply --prune` removes: all that an earlier apply made and the file no longer names. */
import type { Row } from '../storage/schema.ts';
import type { ApplyAudit } from './apply-audit.ts';
import type { Change, Kind } from './apply-changes.ts';
import { type ApplyState, ownerKey } from './apply-state.ts';
import { type ApplyWriter, madeByApply, type Removals } from './apply-writer.ts';
import type { ResourceFile, ServerSpec } from './resource-file.ts';

/** The names in a resource file, with the groups that its paths imply. Paths are in lower case. */
export interface NamedInFile {
  readonly groups: ReadonlySet<string>;
  readonly projects: ReadonlyMap<string, ResourceFile['projects'][number]>;
  readonly groupServers: ReadonlyMap<string, readonly ServerSpec[]>;
  readonly instanceServers: readonly ServerSpec[];
}

/**
 * Removes from the database and from `state`. What holds something that stays (made by hand, or still named) stays, too, and
 * is reported as kept: removing it would take that along. Tokens are no reason to stay: they open what is gone.
 */
export async function prune(state: ApplyState, named: NamedInFile, writer: ApplyWriter, audit: ApplyAudit): Promise<Change[]> {
  const changes: Change[] = [];
  const report = (change: Change, id: number): void => {
    changes.push(change);
    audit.note(change, id);
  };
  const removed: Removals = { servers: [], environments: [], projects: [], groups: [] };
  /** Why a parent must stay: the first thing below it that does. */
  const holds = new Map<string, string>();
  const hold = (parent: string | null, what: string): void => {
    if (parent !== null && !holds.has(parent)) holds.set(parent, what);
  };
  const gone = (
    row: { id: number; managed_by: string | null },
    isNamed: boolean,
    key: string,
    kind: Kind,
    name: string,
  ): boolean => {
    if (isNamed || row.managed_by !== madeByApply) return false;
    const reason = holds.get(key);
    if (reason === undefined) report({ action: 'removed', kind, name }, row.id);
    else report({ action: 'kept', kind, name, reason: `it holds ${reason}` }, row.id);
    return reason === undefined;
  };

  const servers = (owner: Parameters<typeof ownerKey>[0], name: string, specs: readonly ServerSpec[]): void => {
    const own = state.servers.get(ownerKey(owner));
    if (own === undefined) return;
    const names = new Set(specs.map((spec) => spec.name));
    for (const row of own.values()) {
      if (names.has(row.name) || row.managed_by !== madeByApply) {
        hold(ownerKey(owner), `the server "${row.name}"`);
        continue;
      }
      report({ action: 'removed', kind: 'server', name: row.name, owner: name }, row.id);
      removed.servers.push(row.id);
      own.delete(row.name);
    }
  };

  servers({ level: 'instance' }, 'instance', named.instanceServers);
  for (const [key, project] of state.projects) {
    const spec = named.projects.get(key);
    const specs = new Map(spec?.environments.map((environment) => [environment.name, environment]));
    const own = state.environments.get(project.id) ?? new Map<string, Row<'environments'>>();
    for (const row of own.values()) {
      const name = `${project.path}:${row.name}`;
      servers({ level: 'environment', id: row.id }, name, specs.get(row.name)?.servers ?? []);
      if (gone(row, specs.has(row.name), `environment ${row.id}`, 'environment', name)) {
        removed.environments.push(row.id);
        own.delete(row.name);
      } else hold(`project ${project.id}`, `the environment "${row.name}"`);
    }
    servers({ level: 'project', id: project.id }, project.path, spec?.servers ?? []);
    if (gone(project, spec !== undefined, `project ${project.id}`, 'project', project.path)) {
      removed.projects.push(project.id);
      state.projects.delete(key);
    } else hold(`group ${project.group_id}`, `the project ${project.path}`);
  }
  // Longest path first: what lies below is decided before what holds it.
  for (const [key, group] of [...state.groups].sort(([a], [b]) => b.length - a.length)) {
    servers({ level: 'group', id: group.id }, group.path, named.groupServers.get(key) ?? []);
    if (gone(group, named.groups.has(key), `group ${group.id}`, 'group', group.path)) {
      removed.groups.push(group.id);
      state.groups.delete(key);
    } else hold(group.parent_id === null ? null : `group ${group.parent_id}`, `the group ${group.path}`);
  }
  await writer.remove(removed, audit);
  return changes;
}
