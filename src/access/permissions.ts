/**
 * Who may do what: the one table. The corridor and every operation of the API look here, docs/permissions.md is made from it, and
 * the tests go through all of it.
 */
import { isAtLeast, type Role } from './roles.ts';

interface Permission {
  /**
   * The least role on the object's group or project; nobody has one on the instance itself. `admin`: administrators alone; `self`:
   * everybody, on what is theirs.
   */
  readonly role: Role | 'admin' | 'self';
  /** The scope with which a personal token may use it; `null`: only a signed-in session may. */
  readonly scope: Scope | null;
  /** For people: what it allows. */
  readonly meaning: string;
}

/** What a personal token can be made for. Nothing is implied: `write` does not include `read`. */
export const scopes = [
  'account:read',
  'audit:read',
  'directory:read',
  'directory:write',
  'members:read',
  'members:write',
  'metrics:read',
  'servers:read',
  'servers:write',
  'tokens:read',
  'tokens:write',
  'users:read',
  'users:write',
] as const;
export type Scope = (typeof scopes)[number];

export const permissions = {
  'account.read': { role: 'self', scope: 'account:read', meaning: 'see one’s own account' },
  'account.secure': {
    role: 'self',
    scope: null,
    meaning:
      'change one’s password; list and end one’s sessions, personal tokens and linked accounts; give up a role of one’s own',
  },
  'directory.read': { role: 'guest', scope: 'directory:read', meaning: 'see that the group, project or environment exists' },
  'metrics.read': {
    role: 'reporter',
    scope: 'metrics:read',
    meaning: 'ask the endpoint; check a query; see which server answers',
  },
  'members.read': { role: 'reporter', scope: 'members:read', meaning: 'see who has which role' },
  'cache.purge': { role: 'maintainer', scope: 'servers:write', meaning: 'purge the cache of the endpoint' },
  'servers.read': { role: 'maintainer', scope: 'servers:read', meaning: 'see servers, never their credentials; test them' },
  'servers.write': { role: 'maintainer', scope: 'servers:write', meaning: 'add, change and remove servers' },
  'tokens.read': { role: 'maintainer', scope: 'tokens:read', meaning: 'see tokens, never their text, and their usage' },
  'tokens.write': { role: 'maintainer', scope: 'tokens:write', meaning: 'create, rotate and revoke tokens' },
  'environments.write': { role: 'maintainer', scope: 'directory:write', meaning: 'add and remove environments' },
  'environments.place': {
    role: 'admin',
    scope: 'directory:write',
    meaning: 'set the Kubernetes namespace of an environment: on a shared server it may decide whose series are seen',
  },
  'projects.create': { role: 'maintainer', scope: 'directory:write', meaning: 'add projects to the group' },
  'projects.write': { role: 'maintainer', scope: 'directory:write', meaning: 'change the project’s description' },
  'projects.delete': { role: 'owner', scope: 'directory:write', meaning: 'remove the project with all that it holds' },
  'groups.write': { role: 'owner', scope: 'directory:write', meaning: 'change and remove the group; add groups to it' },
  'members.write': { role: 'owner', scope: 'members:write', meaning: 'add and remove members and change their roles' },
  'audit.read': { role: 'owner', scope: 'audit:read', meaning: 'read what was done to the group or project and below' },
  'users.read': { role: 'admin', scope: 'users:read', meaning: 'see all users' },
  'users.write': {
    role: 'admin',
    scope: 'users:write',
    meaning: 'add, change, block and remove users, make them administrators, end their sessions: as much as everything',
  },
} as const satisfies Record<string, Permission>;

export type PermissionName = keyof typeof permissions;

/** How somebody asks, as far as permissions go. */
export interface Standing {
  readonly admin: boolean;
  /** On the object's group or project, inherited ones included; `null`: none, or there is no such object. */
  readonly role: Role | null;
  /** Of the personal token; `null`: a session, which may all that its user may. */
  readonly scopes: readonly string[] | null;
}

/** Whether the table allows it. Who may not is told that the thing does not exist. */
export function permits(name: PermissionName, { admin, role, scopes }: Standing): boolean {
  const needed: Permission = permissions[name];
  if (scopes !== null && (needed.scope === null || !scopes.includes(needed.scope))) return false;
  if (needed.role === 'self' || admin) return true;
  return needed.role !== 'admin' && isAtLeast(role, needed.role);
}
