/**
 * The audit log: every change in the transaction that makes it, sign-ins, and refusals. What is in it is told to owners of the
 * object's group or project, and to administrators.
 */
import type { Caller } from '../access/caller.ts';
import type { PermissionName } from '../access/permissions.ts';
import type { Group, Target } from '../directory/model.ts';

export const actorKinds = ['user', 'token', 'workload', 'command_line', 'anonymous', 'system'] as const;

/** Who did it. Names are kept as they were then. */
export interface Actor {
  readonly kind: (typeof actorKinds)[number];
  /** Of the user or token. */
  readonly id: number | null;
  /** Username; the token's username; `issuer: subject`; the operating system's user; empty. */
  readonly name: string;
  /** Of the client; `null` on the command line. */
  readonly address: string | null;
  readonly requestId: string | null;
}

export const objectKinds = [
  'instance',
  'group',
  'project',
  'environment',
  'server',
  'token',
  'member',
  'user',
  'session',
  'personal_token',
  'identity',
] as const;

/** What it was done to. */
export interface AuditObject {
  readonly kind: (typeof objectKinds)[number];
  readonly id: number | null;
  /** As people write it: `acme/shop:production`; of a server or token its name, `@` and where it belongs: `main@acme/shop`. */
  readonly name: string;
  /** The groups it lies in, itself included where it is one, in any order. */
  readonly groupIds: readonly number[];
  /** The project it is or lies in. */
  readonly projectId: number | null;
}

export const auditActions = [
  'created',
  'changed',
  'removed',
  'rotated',
  'revoked',
  'purged',
  'signed_in',
  'signed_out',
  'sign_in_refused',
  'refused',
  'linked',
  'blocked',
  'unblocked',
  'password_changed',
  'one_time_link_created',
] as const;
export type AuditAction = (typeof auditActions)[number];

export interface AuditEvent {
  readonly actor: Actor;
  readonly action: AuditAction;
  readonly object: AuditObject;
  /** More about it, such as the names of changed fields (`{ fields: ['url'] }`) or `{ permission }` of a refusal; never a secret. */
  readonly detail?: Readonly<Record<string, unknown>> & { readonly permission?: PermissionName };
}

/** The instance itself, for what belongs to no group. */
export const theInstance: AuditObject = { kind: 'instance', id: null, name: 'instance', groupIds: [], projectId: null };

/** Whoever runs a command of the command line. */
export function commandLineActor(name: string): Actor {
  return { kind: 'command_line', id: null, name, address: null, requestId: null };
}

/** Whoever asks an endpoint. `address` is the client's. */
export function callerActor(caller: Caller, address: string, requestId: string): Actor {
  const request = { address, requestId };
  if (caller.kind === 'token') return { kind: 'token', id: caller.token.id, name: caller.token.username, ...request };
  if (caller.kind === 'user') return { kind: 'user', id: caller.user.id, name: caller.user.username, ...request };
  return { kind: 'workload', id: null, name: `${caller.issuer}: ${caller.subject}`, ...request };
}

/** An endpoint's group, project or environment, as the directory has it; `storage/audit-objects.ts` does it from rows. */
export function targetObject(target: Target): AuditObject {
  if (target.level === 'group') {
    const { id, path } = target.group;
    return { kind: 'group', id, name: path, groupIds: withAncestors(target.group), projectId: null };
  }
  const project = target.level === 'project' ? target.project : target.environment.project;
  const where = { groupIds: withAncestors(project.group), projectId: project.id };
  if (target.level === 'project') return { kind: 'project', id: project.id, name: project.path, ...where };
  const { id, name } = target.environment;
  return { kind: 'environment', id, name: `${project.path}:${name}`, ...where };
}

function withAncestors(group: Group): number[] {
  const ids: number[] = [];
  for (let each: Group | null = group; each !== null; each = each.parent) ids.push(each.id);
  return ids;
}
