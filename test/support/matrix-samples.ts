/** A request that does what it should for each operation of the API, but for what it is about: the matrix names that. */
import type { PermissionName } from '../../src/access/permissions.ts';
import type { Person } from './matrix-people.ts';
import type { World } from './matrix-world.ts';

export interface Given {
  readonly world: World;
  /** Other than all before. */
  readonly unique: string;
  /** Of a server that answers. */
  readonly upstream: string;
}

export interface Sample {
  /** The permission that it is to need, written down once more; `null`: none. */
  readonly needs: PermissionName | null;
  readonly body?: (given: Given) => Record<string, unknown>;
  /** A second time it finds other things: where it succeeds it has a world of its own. */
  readonly once?: true;
  /** For `self`: what in the path names something of the caller's. */
  readonly own?: { readonly param: string; readonly id: (person: Person) => number };
}

export const password = 'correct horse battery staple';

/** By the operation's id. */
export const samples: Readonly<Record<string, Sample>> = {
  signIn: { needs: null, once: true },
  getSession: { needs: 'account.read' },
  signOut: { needs: 'account.secure', once: true },

  getAccount: { needs: 'account.read' },
  updatePassword: {
    needs: 'account.secure',
    body: () => ({ current_password: password, new_password: `${password} 2` }),
    once: true,
  },
  listSessions: { needs: 'account.secure' },
  endSession: { needs: 'account.secure', own: { param: 'session', id: ({ otherSession }) => otherSession }, once: true },
  endAllSessions: { needs: 'account.secure', once: true },
  listPersonalTokens: { needs: 'account.secure' },
  createPersonalToken: { needs: 'account.secure', body: () => ({ name: 'test', scopes: ['metrics:read'] }) },
  revokePersonalToken: {
    needs: 'account.secure',
    own: { param: 'personal_token', id: ({ personalToken }) => personalToken },
    once: true,
  },
  listIdentities: { needs: 'account.secure' },
  linkIdentity: { needs: 'account.secure', body: () => ({ provider: 'main' }) },
  unlinkIdentity: { needs: 'account.secure', own: { param: 'identity', id: ({ identity }) => identity }, once: true },
  leave: { needs: 'account.secure', own: { param: 'member', id: ({ spare }) => spare }, once: true },

  listGroups: { needs: 'directory.read' },
  createGroup: { needs: 'groups.write', body: ({ unique }) => ({ name: unique }) },
  getGroup: { needs: 'directory.read' },
  updateGroup: { needs: 'groups.write', body: () => ({ description: 'changed' }) },
  deleteGroup: { needs: 'groups.write', once: true },
  listProjects: { needs: 'directory.read' },
  createProject: { needs: 'projects.create', body: ({ unique }) => ({ name: unique }) },
  getProject: { needs: 'directory.read' },
  updateProject: { needs: 'projects.write', body: () => ({ description: 'changed' }) },
  deleteProject: { needs: 'projects.delete', once: true },
  listEnvironments: { needs: 'directory.read' },
  createEnvironment: { needs: 'environments.write', body: ({ unique }) => ({ name: unique }) },
  getEnvironment: { needs: 'directory.read' },
  updateEnvironment: { needs: 'environments.place', body: () => ({ kube_namespace: 'changed' }) },
  deleteEnvironment: { needs: 'environments.write', once: true },
  listMembers: { needs: 'members.read' },
  createMember: { needs: 'members.write', body: ({ world }) => ({ user: world.newcomer, role: 'owner' }), once: true },
  getMember: { needs: 'members.read' },
  updateMember: { needs: 'members.write', body: () => ({ role: 'developer' }) },
  deleteMember: { needs: 'members.write', once: true },

  listServers: { needs: 'servers.read' },
  createServer: { needs: 'servers.write', body: ({ unique, upstream }) => ({ name: unique, url: upstream }) },
  getServer: { needs: 'servers.read' },
  updateServer: { needs: 'servers.write', body: () => ({ limits: { timeout: '30s' } }) },
  deleteServer: { needs: 'servers.write', once: true },
  testServer: { needs: 'servers.read', body: () => ({}) },
  resolve: { needs: 'metrics.read' },
  listTokens: { needs: 'tokens.read' },
  createToken: { needs: 'tokens.write', body: () => ({ name: 'test' }) },
  getToken: { needs: 'tokens.read' },
  rotateToken: { needs: 'tokens.write', body: () => ({}) },
  revokeToken: { needs: 'tokens.write', once: true },
  getTokenUsage: { needs: 'tokens.read' },
  getUsage: { needs: 'tokens.read' },
  listAuditEvents: { needs: 'audit.read' },
  exportAuditEvents: { needs: 'audit.read' },

  listUsers: { needs: 'users.read' },
  createUser: { needs: 'users.write', body: ({ unique }) => ({ username: unique }) },
  getUser: { needs: 'users.read' },
  updateUser: { needs: 'users.write', body: () => ({ name: 'changed' }) },
  deleteUser: { needs: 'users.write', once: true },
  createUserLink: { needs: 'users.write' },
  endUserSessions: { needs: 'users.write' },

  checkPromql: { needs: 'metrics.read', body: () => ({ query: 'up' }) },
  // Each environment and each caller can do it only so often.
  purgeCache: { needs: 'cache.purge', once: true },
};
