/** The tables as Kysely sees them, the same on SQLite and PostgreSQL. Times are Unix milliseconds. */
import type { Generated, Insertable, Selectable, Transaction } from 'kysely';

export interface Schema {
  groups: GroupRow;
  projects: ProjectRow;
  environments: EnvironmentRow;
  servers: ServerRow;
  tokens: TokenRow;
  token_usage: TokenUsageRow;
  changes: ChangeRow;
  key_check: KeyCheckRow;
  cache_purges: CachePurgeRow;
}

/** A row as it is read. */
export type Row<Table extends keyof Schema> = Selectable<Schema[Table]>;

/** A row as it is written; the database gives it its id. */
export type NewRow<Table extends 'groups' | 'projects' | 'environments'> = Omit<Insertable<Schema[Table]>, 'id'>;

/** What every repository function takes first: a transaction of `Database.read` or `Database.write`. */
export type Trx = Transaction<Schema>;

/** `apply` where the resource file made the record, else `null`: what `apply --prune` may remove. */
type ManagedBy = string | null;

export interface GroupRow {
  id: Generated<number>;
  path: string;
  parent_id: number | null;
  managed_by: ManagedBy;
}

export interface ProjectRow {
  id: Generated<number>;
  path: string;
  group_id: number;
  managed_by: ManagedBy;
}

export interface EnvironmentRow {
  id: Generated<number>;
  project_id: number;
  name: string;
  slug: string;
  kube_namespace: string;
  managed_by: ManagedBy;
}

export interface ServerRow {
  id: Generated<number>;
  name: string;
  level: string;
  /** Exactly the one of these that `level` names is set; none for the instance. */
  group_id: number | null;
  project_id: number | null;
  environment_id: number | null;
  url: string;
  environment_scope: string;
  /** 1 or 0. */
  enabled: number;
  kind: string | null;
  /** JSON texts of the model's `enforce`, `limits`, `expose`, `cache`. */
  enforce: string;
  limits: string;
  expose: string;
  cache: string;
  verify: string;
  /** `Connection` as JSON, sealed by `crypto.ts` and bound to `url`. */
  connection: string;
  managed_by: ManagedBy;
}

export interface TokenRow {
  id: Generated<number>;
  name: string;
  username: string;
  /** Exactly one of the three is set. */
  group_id: number | null;
  project_id: number | null;
  environment_id: number | null;
  hash: string;
  previous_hash: string | null;
  previous_expires_at: number | null;
  /** JSON array of CIDR notations. */
  allowed_networks: string;
  created_at: number;
  expires_at: number | null;
  revoked_at: number | null;
}

/** Apart from `tokens`, so that writing it does not count as a change of the directory. */
export interface TokenUsageRow {
  token_id: number;
  last_used_at: number;
}

/** The tables whose changes are logged. */
export type ChangeSubject = 'groups' | 'projects' | 'environments' | 'servers' | 'tokens' | 'cache_purges';

/** The change log: triggers on the directory's tables write it, every process polls it. */
export interface ChangeRow {
  seq: Generated<number>;
  subject: ChangeSubject;
  row_id: number;
}

/** See `cache/purge.ts`. */
export interface CachePurgeRow {
  id: Generated<number>;
  subject: string;
  /** Grows with each purge of the subject. */
  epoch: number;
}

/** One row once a key was used. See `key-check.ts`. */
export interface KeyCheckRow {
  id: 1;
  sealed: string;
}
