/** A request that does what it should for each operation of the API, but for what it is about: the matrix names that. */
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
  readonly body?: (given: Given) => Record<string, unknown>;
  /** A second time it finds other things: where it succeeds it has a world of its own. */
  readonly once?: true;
  /** For `self`: what in the path names something of the caller's. */
  readonly own?: { readonly param: string; readonly id: (person: Person) => number };
}

export const password = 'correct horse battery staple';

/** By the operation's id. */
export const samples: Readonly<Record<string, Sample>> = {
  signIn: { once: true },
  getSession: {},
  signOut: { once: true },

  getAccount: {},
  updatePassword: { body: () => ({ current_password: password, new_password: `${password} 2` }), once: true },
  listSessions: {},
  endSession: { own: { param: 'session', id: ({ otherSession }) => otherSession }, once: true },
  endAllSessions: { once: true },
  listPersonalTokens: {},
  createPersonalToken: { body: () => ({ name: 'test', scopes: ['metrics:read'] }) },
  revokePersonalToken: { own: { param: 'personal_token', id: ({ personalToken }) => personalToken }, once: true },
  listIdentities: {},
  linkIdentity: { body: () => ({ provider: 'main' }) },
  unlinkIdentity: { own: { param: 'identity', id: ({ identity }) => identity }, once: true },
  leave: { own: { param: 'member', id: ({ spare }) => spare }, once: true },

  listGroups: {},
  createGroup: { body: ({ unique }) => ({ name: unique }) },
  getGroup: {},
  updateGroup: { body: () => ({ description: 'changed' }) },
  deleteGroup: { once: true },
  listProjects: {},
  createProject: { body: ({ unique }) => ({ name: unique }) },
  getProject: {},
  updateProject: { body: () => ({ description: 'changed' }) },
  deleteProject: { once: true },
  listEnvironments: {},
  createEnvironment: { body: ({ unique }) => ({ name: unique }) },
  getEnvironment: {},
  updateEnvironment: { body: () => ({ kube_namespace: 'changed' }) },
  deleteEnvironment: { once: true },
  listMembers: {},
  createMember: { body: ({ world }) => ({ user: world.newcomer, role: 'owner' }), once: true },
  getMember: {},
  updateMember: { body: () => ({ role: 'developer' }) },
  deleteMember: { once: true },

  listServers: {},
  createServer: { body: ({ unique, upstream }) => ({ name: unique, url: upstream }) },
  getServer: {},
  updateServer: { body: () => ({ limits: { timeout: '30s' } }) },
  deleteServer: { once: true },
  testServer: { body: () => ({}) },
  resolve: {},
  listTokens: {},
  createToken: { body: () => ({ name: 'test' }) },
  getToken: {},
  rotateToken: { body: () => ({}) },
  revokeToken: { once: true },
  getTokenUsage: {},
  getUsage: {},
  listAuditEvents: {},
  exportAuditEvents: {},

  listUsers: {},
  createUser: { body: ({ unique }) => ({ username: unique }) },
  getUser: {},
  updateUser: { body: () => ({ name: 'changed' }) },
  deleteUser: { once: true },
  createUserLink: {},
  endUserSessions: {},

  checkPromql: { body: () => ({ query: 'up' }) },
  // Each environment and each caller can do it only so often.
  purgeCache: { once: true },
};
