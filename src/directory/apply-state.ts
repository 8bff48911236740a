/** What the database holds when `apply` starts, in maps: read once in bulk, so that nothing is asked for each entry of a file. */
import { allEnvironments } from '../storage/environments.ts';
import { allGroups } from '../storage/groups.ts';
import type { ServerOwner } from '../storage/owner.ts';
import { allProjects } from '../storage/projects.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { allServers } from '../storage/servers.ts';

export interface ApplyState {
  /** By path in lower case, in which paths are unique. */
  readonly groups: Map<string, Row<'groups'>>;
  readonly projects: Map<string, Row<'projects'>>;
  /** By project id, then by name. */
  readonly environments: Map<number, Map<string, Row<'environments'>>>;
  /** By {@link ownerKey}, then by name. */
  readonly servers: Map<string, Map<string, Row<'servers'>>>;
}

export async function loadState(trx: Trx): Promise<ApplyState> {
  const state: ApplyState = { groups: new Map(), projects: new Map(), environments: new Map(), servers: new Map() };
  for (const row of await allGroups(trx)) state.groups.set(row.path.toLowerCase(), row);
  for (const row of await allProjects(trx)) state.projects.set(row.path.toLowerCase(), row);
  for (const row of await allEnvironments(trx)) within(state.environments, row.project_id).set(row.name, row);
  for (const row of await allServers(trx)) within(state.servers, rowOwnerKey(row)).set(row.name, row);
  return state;
}

/** The instance, or a table's row: `project 7`. */
export function ownerKey(owner: ServerOwner): string {
  return owner.level === 'instance' ? owner.level : `${owner.level} ${owner.id}`;
}

function rowOwnerKey(row: Row<'servers'>): string {
  const id = row.group_id ?? row.project_id ?? row.environment_id;
  return id === null ? 'instance' : `${row.level} ${id}`;
}

function within<K, V>(maps: Map<K, Map<string, V>>, key: K): Map<string, V> {
  let map = maps.get(key);
  if (map === undefined) {
    map = new Map();
    maps.set(key, map);
  }
  return map;
}
