/** The statements of `apply`, in bulk: the plan has checked against the whole directory what single inserts would ask for. */
import type { Insertable } from 'kysely';
import { chunks } from '../storage/chunks.ts';
import type { Keyring } from '../storage/crypto.ts';
import { updateEnvironment } from '../storage/environments.ts';
import type { ServerOwner } from '../storage/owner.ts';
import type { Row, Schema, Trx } from '../storage/schema.ts';
import { insertServer, type ServerDefinition, updateServer } from '../storage/servers.ts';

/** Marks records that `apply` made. */
export const madeByApply = 'apply';

export type New<Table extends 'groups' | 'projects' | 'environments'> = Omit<Insertable<Schema[Table]>, 'id' | 'managed_by'>;
export type Table = 'groups' | 'projects' | 'environments' | 'servers';

export interface ApplyWriter {
  /** The new rows' ids by path. */
  insertGroups(rows: readonly New<'groups'>[]): Promise<Map<string, number>>;
  insertProjects(rows: readonly New<'projects'>[]): Promise<Map<string, number>>;
  /** The new rows' ids by `<project id>:<name>`. */
  insertEnvironments(rows: readonly New<'environments'>[]): Promise<Map<string, number>>;
  updateEnvironment(row: Row<'environments'>, kubeNamespace: string): Promise<void>;
  insertServer(owner: ServerOwner, server: ServerDefinition): Promise<void>;
  updateServer(row: Row<'servers'>, server: ServerDefinition): Promise<void>;
  remove(table: Table, ids: readonly number[]): Promise<void>;
}

export function databaseWriter(trx: Trx, keyring: Keyring): ApplyWriter {
  const managed_by = madeByApply;
  return {
    async insertGroups(rows) {
      const ids = new Map<string, number>();
      for (const chunk of chunks(rows)) {
        const values = chunk.map((row) => ({ ...row, managed_by }));
        const made = await trx.insertInto('groups').values(values).returning(['id', 'path']).execute();
        for (const { id, path } of made) ids.set(path, id);
      }
      return ids;
    },
    async insertProjects(rows) {
      const ids = new Map<string, number>();
      for (const chunk of chunks(rows)) {
        const values = chunk.map((row) => ({ ...row, managed_by }));
        const made = await trx.insertInto('projects').values(values).returning(['id', 'path']).execute();
        for (const { id, path } of made) ids.set(path, id);
      }
      return ids;
    },
    async insertEnvironments(rows) {
      const ids = new Map<string, number>();
      for (const chunk of chunks(rows)) {
        const values = chunk.map((row) => ({ ...row, managed_by }));
        const made = await trx.insertInto('environments').values(values).returning(['id', 'project_id', 'name']).execute();
        for (const { id, project_id, name } of made) ids.set(`${project_id}:${name}`, id);
      }
      return ids;
    },
    updateEnvironment: (row, kubeNamespace) =>
      updateEnvironment(trx, row.id, { kube_namespace: kubeNamespace, managed_by: row.managed_by }),
    insertServer: async (owner, server) => {
      await insertServer(trx, keyring, owner, server, madeByApply);
    },
    updateServer: (row, server) => updateServer(trx, keyring, row.id, server, row.managed_by),
    async remove(table, ids) {
      for (const chunk of chunks(ids)) await trx.deleteFrom(table).where('id', 'in', chunk).execute();
    },
  };
}

/** Writes nothing; gives out ids that no row has, so that the rest of the plan can go on. */
export function dryWriter(): ApplyWriter {
  let last = 0;
  const ids = <T>(rows: readonly T[], key: (row: T) => string): Promise<Map<string, number>> => {
    return Promise.resolve(new Map(rows.map((row) => [key(row), --last])));
  };
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    insertGroups: (rows) => ids(rows, ({ path }) => path),
    insertProjects: (rows) => ids(rows, ({ path }) => path),
    insertEnvironments: (rows) => ids(rows, ({ project_id, name }) => `${project_id}:${name}`),
    updateEnvironment: nothing,
    insertServer: nothing,
    updateServer: nothing,
    remove: nothing,
  };
}
