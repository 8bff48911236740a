/** Where `apply` writes: the database, or nowhere for a dry run. */
import type { Actor } from '../ops/audit.ts';
import { recordEvents } from '../storage/audit.ts';
import type { Keyring } from '../storage/crypto.ts';
import { deleteEnvironments, insertEnvironments, updateEnvironment } from '../storage/environments.ts';
import { deleteGroups, insertGroups } from '../storage/groups.ts';
import type { ServerOwner } from '../storage/owner.ts';
import { deleteProjects, insertProjects } from '../storage/projects.ts';
import type { NewRow, Row, Trx } from '../storage/schema.ts';
import { deleteServers, insertServer, type ServerDefinition, updateServer } from '../storage/servers.ts';
import type { ApplyAudit } from './apply-audit.ts';

/** Marks records that `apply` made. */
export const madeByApply = 'apply';

export type New<Table extends 'groups' | 'projects' | 'environments'> = Omit<NewRow<Table>, 'managed_by'>;

/** Ids of things to remove. What lies below a thing is in its own list. */
export interface Removals {
  readonly servers: number[];
  readonly environments: number[];
  readonly projects: number[];
  readonly groups: number[];
}

export interface ApplyWriter {
  /** The new rows' ids by path. */
  insertGroups(rows: readonly New<'groups'>[]): Promise<Map<string, number>>;
  insertProjects(rows: readonly New<'projects'>[]): Promise<Map<string, number>>;
  /** The new rows' ids by {@link environmentKey}. */
  insertEnvironments(rows: readonly New<'environments'>[]): Promise<Map<string, number>>;
  updateEnvironment(row: Row<'environments'>, kubeNamespace: string): Promise<void>;
  /** The new row's id. */
  insertServer(owner: ServerOwner, server: ServerDefinition): Promise<number>;
  updateServer(row: Row<'servers'>, server: ServerDefinition): Promise<void>;
  /** `audit` sees them before they are gone. */
  remove(ids: Removals, audit: ApplyAudit): Promise<void>;
  /** Last of all. */
  record(audit: ApplyAudit, actor: Actor): Promise<void>;
}

export function environmentKey({ project_id, name }: { project_id: number; name: string }): string {
  return `${project_id}:${name}`;
}

export function databaseWriter(trx: Trx, keyring: Keyring): ApplyWriter {
  const marked = <T>(rows: readonly T[]) => rows.map((row) => ({ ...row, managed_by: madeByApply }));
  return {
    insertGroups: async (rows) => idsBy(await insertGroups(trx, marked(rows)), ({ path }) => path),
    insertProjects: async (rows) => idsBy(await insertProjects(trx, marked(rows)), ({ path }) => path),
    insertEnvironments: async (rows) => idsBy(await insertEnvironments(trx, marked(rows)), environmentKey),
    updateEnvironment: (row, kubeNamespace) =>
      updateEnvironment(trx, row.id, { kube_namespace: kubeNamespace, managed_by: row.managed_by }),
    insertServer: async (owner, server) => (await insertServer(trx, keyring, owner, server, madeByApply)).id,
    updateServer: (row, server) => updateServer(trx, keyring, row.id, server, row.managed_by),
    async remove(removals, audit) {
      await audit.removing(trx, removals);
      const { servers, environments, projects, groups } = removals;
      await deleteServers(trx, servers);
      await deleteEnvironments(trx, environments);
      await deleteProjects(trx, projects);
      await deleteGroups(trx, groups);
    },
    record: (audit, actor) => recordEvents(trx, audit.events(actor), Date.now()),
  };
}

/** Writes nothing; gives out ids that no row has, so that the rest of the work can go on. */
export function dryWriter(): ApplyWriter {
  let last = 0;
  const numbered = <T>(rows: readonly T[]) =>
    rows.map((row) => {
      last -= 1;
      return { ...row, id: last };
    });
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    insertGroups: async (rows) => idsBy(numbered(rows), ({ path }) => path),
    insertProjects: async (rows) => idsBy(numbered(rows), ({ path }) => path),
    insertEnvironments: async (rows) => idsBy(numbered(rows), environmentKey),
    updateEnvironment: nothing,
    insertServer: async () => {
      last -= 1;
      return last;
    },
    updateServer: nothing,
    remove: nothing,
    record: nothing,
  };
}

function idsBy<T extends { id: number }>(rows: readonly T[], key: (row: T) => string): Map<string, number> {
  return new Map(rows.map((row) => [key(row), row.id]));
}
