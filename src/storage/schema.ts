/** The tables as Kysely sees them, the same on SQLite and PostgreSQL. Times are Unix milliseconds. */
import type { Generated, Insertable, Selectable, Transaction } from 'kysely';
import type { Role } from '../access/roles.ts';

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
  users: UserRow;
  identities: IdentityRow;
  sessions: SessionRow;
  session_activity: SessionActivityRow;
  memberships: MembershipRow;
  personal_tokens: PersonalTokenRow;
  personal_token_usage: PersonalTokenUsageRow;
  one_time_links: OneTimeLinkRow;
  sign_in_failures: SignInFailureRow;
  audit_events: AuditEventRow;
  audit_event_groups: AuditEventGroupRow;
  usage_days: UsageDayRow;
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
  description: Generated<string>;
}

export interface ProjectRow {
  id: Generated<number>;
  path: string;
  group_id: number;
  managed_by: ManagedBy;
  description: Generated<string>;
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
  /** 1: may connect only where `outbound` allows, because somebody other than an administrator or a file set where to. */
  restricted: Generated<number>;
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
export type ChangeSubject =
  | 'groups'
  | 'projects'
  | 'environments'
  | 'servers'
  | 'tokens'
  | 'cache_purges'
  | 'users'
  | 'sessions'
  | 'memberships';

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

export interface UserRow {
  id: Generated<number>;
  /** Upper and lower case are the same. */
  username: string;
  name: string;
  email: string | null;
  /** 1 or 0: made one by a person. */
  admin: number;
  /** Made an administrator by the rules of this provider, as of the last sign-in. */
  admin_by: string | null;
  state: 'active' | 'blocked';
  /** See `access/passwords.ts`; `null`: cannot sign in with a password. */
  password_hash: string | null;
  created_at: number;
  last_sign_in_at: number | null;
}

/** An account at an OpenID provider. */
export interface IdentityRow {
  id: Generated<number>;
  user_id: number;
  /** Its name in the configuration at the last sign-in. */
  provider: string;
  issuer: string;
  subject: string;
  created_at: number;
  last_sign_in_at: number | null;
}

export interface SessionRow {
  id: Generated<number>;
  user_id: number;
  /** Lower-case hex SHA-256 of the cookie's value. */
  hash: string;
  created_at: number;
  /** Whatever its use. */
  expires_at: number;
  /** Of the client at the sign-in. */
  address: string;
  user_agent: string;
  /** The provider by which the person signed in; `null`: with a password. */
  provider: string | null;
}

/** Apart from `sessions`, so that writing it does not count as a change. */
export interface SessionActivityRow {
  session_id: number;
  last_seen_at: number;
}

/** A role on exactly one of group and project. */
export interface MembershipRow {
  id: Generated<number>;
  user_id: number;
  group_id: number | null;
  project_id: number | null;
  role: Role;
  /** `manual`, or `oidc:<provider>` for what its rules gave at the last sign-in. Of several roles the highest counts. */
  source: string;
  created_at: number;
}

export interface PersonalTokenRow {
  id: Generated<number>;
  user_id: number;
  name: string;
  hash: string;
  /** JSON array. */
  scopes: string;
  created_at: number;
  expires_at: number | null;
  revoked_at: number | null;
}

export interface PersonalTokenUsageRow {
  personal_token_id: number;
  last_used_at: number;
}

/** Lets its bearer set the password of a user, or of the first administrator where `user_id` is `null`. Gone once used. */
export interface OneTimeLinkRow {
  id: Generated<number>;
  hash: string;
  user_id: number | null;
  created_at: number;
  expires_at: number;
}

/** Failed sign-ins of late, by account, by address and by both. See `access/throttle.ts`. */
export interface SignInFailureRow {
  /** A hash. */
  key: string;
  /** Whose account was tried, to forget them by; `null`: nobody's, or counted by the address alone. */
  user_id: number | null;
  failures: number;
  first_at: number;
  last_at: number;
}

/** Who did what to what. Names are as they were then; ids are never used again. */
export interface AuditEventRow {
  id: Generated<number>;
  at: number;
  actor_kind: string;
  actor_id: number | null;
  actor_name: string;
  action: string;
  object_kind: string;
  object_id: number | null;
  object_name: string;
  /** Ids of the groups that the object is in, itself included, as `,3,17,`; empty: none. */
  group_ids: string;
  project_id: number | null;
  address: string | null;
  request_id: string | null;
  /** How many alike it stands for. */
  count: number;
  /** JSON object; never a secret. */
  detail: string;
}

/** A group that an event is told to the owners of. */
export interface AuditEventGroupRow {
  group_id: number;
  event_id: number;
}

/** What a caller asked of an endpoint on one day. */
export interface UsageDayRow {
  /** Days since 1970-01-01, UTC. */
  day: number;
  caller_kind: 'token' | 'user' | 'workload';
  /** 0 for workloads. */
  caller_id: number;
  level: 'group' | 'project' | 'environment';
  target_id: number;
  requests: number;
  refusals: number;
  bytes: number;
  upstream_ms: number;
}
