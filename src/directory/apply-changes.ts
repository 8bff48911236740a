/** What `apply` did, or would do, to each thing. */
import { isDeepStrictEqual } from 'node:util';
import type { Keyring } from '../storage/crypto.ts';
import type { Row } from '../storage/schema.ts';
import { serverFromRow } from '../storage/servers.ts';
import type { Server } from './model.ts';
import type { ServerSpec } from './resource-file.ts';

export type Kind = 'group' | 'project' | 'environment' | 'server';
/** `kept`: `--prune` would have removed it, were it not for what it holds. */
export const actions = ['created', 'changed', 'unchanged', 'removed', 'kept'] as const;
export type Action = (typeof actions)[number];

export interface Change {
  readonly action: Action;
  readonly kind: Kind;
  /** `acme`, `acme/shop`, `acme/shop:production`; of a server its name alone. */
  readonly name: string;
  /** Of a server: where it attaches, such as `acme/shop` or `instance`. */
  readonly owner?: string;
  /** What changed, as the file calls it; never a value. */
  readonly fields?: readonly string[];
  /** Why it was kept. */
  readonly reason?: string;
}

export interface ApplyResult {
  readonly dryRun: boolean;
  /** In the order of the work: removals, instance, groups, projects. */
  readonly changes: readonly Change[];
  readonly counts: Readonly<Record<Action, number>>;
}

export function applyResult(dryRun: boolean, changes: readonly Change[]): ApplyResult {
  const counts: Record<Action, number> = { created: 0, changed: 0, unchanged: 0, removed: 0, kept: 0 };
  for (const { action } of changes) counts[action] += 1;
  return { dryRun, changes, counts };
}

/** The keys of the file in which `row` differs from `spec`; and `restricted`, which no server of a file is. */
export function changedFields(row: Row<'servers'>, spec: ServerSpec, keyring: Keyring): string[] {
  const now = current(row, keyring);
  // Sealed with a key that is lost (`--new-key` came before), or not by us: the file says what it should be.
  if (now?.connection == null) return ['connection'];
  const { connection } = now;
  const pairs: [string, unknown, unknown][] = [
    ['url', now.url, spec.url],
    ['environment_scope', now.environmentScope, spec.environmentScope],
    ['enabled', now.enabled, spec.enabled],
    ['kind', now.kind, spec.kind],
    ['auth', connection.auth, spec.connection.auth],
    ['headers', connection.headers, spec.connection.headers],
    ['query_params', connection.queryParams, spec.connection.queryParams],
    ['tls', connection.tls, spec.connection.tls],
    ['enforce', now.enforce, spec.enforce],
    ['limits', now.limits, spec.limits],
    ['cache', now.cache, spec.cache],
    ['expose', now.expose, spec.expose],
    ['verify', now.verify, spec.verify],
    ['restricted', now.restricted, false],
  ];
  return pairs.filter(([, is, shall]) => !isDeepStrictEqual(is, shall)).map(([field]) => field);
}

function current(row: Row<'servers'>, keyring: Keyring): Server | null {
  try {
    return serverFromRow(row, keyring);
  } catch {
    return null;
  }
}
