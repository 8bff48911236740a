/** Database rows → the snapshot: all of them at the start, those that the change log names afterwards. */
import { parseNetworks } from '../access/networks.ts';
import type { Log } from '../ops/log.ts';
import { latestSeq } from '../storage/changes.ts';
import type { Keyring } from '../storage/crypto.ts';
import { environmentsAfter, environmentsByIds } from '../storage/environments.ts';
import { allGroups, groupsByIds } from '../storage/groups.ts';
import * as people from '../storage/people.ts';
import { allProjects, projectsByIds } from '../storage/projects.ts';
import { allPurges, purgesByIds } from '../storage/purges.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { allServers, serverFromRow, serversByIds, unreadableServer } from '../storage/servers.ts';
import { liveTokensAfter, liveTokensByIds } from '../storage/tokens.ts';
import type { Server, Token } from './model.ts';
import type { Membership, Session, User } from './people.ts';
import { Directory } from './snapshot.ts';

interface Rows {
  readonly groups: Row<'groups'>[];
  readonly projects: Row<'projects'>[];
  readonly environments: Row<'environments'>[];
  readonly servers: Row<'servers'>[];
  readonly tokens: Row<'tokens'>[];
  readonly cache_purges: Row<'cache_purges'>[];
  readonly users: User[];
  readonly sessions: Session[];
  readonly memberships: Membership[];
}

/** Rows read at once where there may be very many: they need not all be in memory beside what is made of them. */
const PAGE = 5_000;
const NO_ROWS: Rows = {
  groups: [],
  projects: [],
  environments: [],
  servers: [],
  tokens: [],
  cache_purges: [],
  users: [],
  sessions: [],
  memberships: [],
};

/** A directory with everything in it, and the last change that it knows. */
export async function loadDirectory(trx: Trx, keyring: Keyring, log: Log): Promise<{ directory: Directory; seq: number }> {
  const seq = await latestSeq(trx);
  const directory = new Directory();
  const add = (rows: Partial<Rows>) => put(directory, { ...NO_ROWS, ...rows }, keyring, log);
  add({ groups: await allGroups(trx), projects: await allProjects(trx) });
  await eachPage(
    (after) => environmentsAfter(trx, after, PAGE),
    (environments) => add({ environments }),
  );
  add({ servers: await allServers(trx), cache_purges: await allPurges(trx) });
  await eachPage(
    (after) => liveTokensAfter(trx, after, PAGE),
    (tokens) => add({ tokens }),
  );
  add({
    users: await people.allUsers(trx),
    sessions: await people.allSessions(trx),
    memberships: await people.allMemberships(trx),
  });
  return { directory, seq };
}

async function eachPage<T extends { id: number }>(
  read: (after: number) => Promise<T[]>,
  use: (rows: T[]) => void,
): Promise<void> {
  for (let after = 0; ; ) {
    const rows = await read(after);
    use(rows);
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    after = last.id;
  }
}

/** Reads the rows that changed and patches the directory in one synchronous step. Ids that are gone are removed. */
export async function patchDirectory(
  trx: Trx,
  directory: Directory,
  changes: readonly Pick<Row<'changes'>, 'subject' | 'row_id'>[],
  keyring: Keyring,
  log: Log,
): Promise<void> {
  const ids = (subject: keyof Rows) =>
    new Set(changes.filter((change) => change.subject === subject).map((change) => change.row_id));
  const changed = {
    groups: ids('groups'),
    projects: ids('projects'),
    environments: ids('environments'),
    servers: ids('servers'),
    tokens: ids('tokens'),
    cache_purges: ids('cache_purges'),
    users: ids('users'),
    sessions: ids('sessions'),
    memberships: ids('memberships'),
  };
  const rows: Rows = {
    groups: await groupsByIds(trx, changed.groups),
    projects: await projectsByIds(trx, changed.projects),
    environments: await environmentsByIds(trx, changed.environments),
    servers: await serversByIds(trx, changed.servers),
    tokens: await liveTokensByIds(trx, changed.tokens),
    cache_purges: await purgesByIds(trx, changed.cache_purges),
    users: await people.usersByIds(trx, changed.users),
    sessions: await people.sessionsByIds(trx, changed.sessions),
    memberships: await people.membershipsByIds(trx, changed.memberships),
  };
  // What refers goes before what it refers to, and comes after it.
  for (const id of missing(changed.memberships, rows.memberships)) directory.people.removeMembership(id);
  for (const id of missing(changed.sessions, rows.sessions)) directory.people.removeSession(id);
  for (const id of missing(changed.users, rows.users)) directory.people.removeUser(id);
  for (const id of missing(changed.cache_purges, rows.cache_purges)) directory.removePurge(id);
  for (const id of missing(changed.tokens, rows.tokens)) directory.removeToken(id);
  for (const id of missing(changed.servers, rows.servers)) directory.removeServer(id);
  for (const id of missing(changed.environments, rows.environments)) directory.removeEnvironment(id);
  for (const id of missing(changed.projects, rows.projects)) directory.removeProject(id);
  for (const id of missing(changed.groups, rows.groups)) directory.removeGroup(id);
  put(directory, rows, keyring, log);
  directory.removeOrphans();
}

/**
 * A row that makes no sense, or refers to one that is not there, is left out (its endpoints are closed) and logged: it must
 * not keep the others from being read.
 */
function put(directory: Directory, rows: Rows, keyring: Keyring, log: Log): void {
  const each = <T extends { id: number }>(subject: keyof Rows, some: readonly T[], add: (row: T) => void, drop: Drop) => {
    for (const row of some) {
      try {
        add(row);
      } catch (error) {
        drop(row.id);
        log.error('a record of the directory is left out', { subject, id: row.id, reason: (error as Error).message });
      }
    }
  };
  // A parent's path is a prefix of its child's, so it sorts before it.
  const groups = rows.groups.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  each(
    'groups',
    groups,
    (row) => directory.putGroup(row),
    (id) => directory.removeGroup(id),
  );
  each(
    'projects',
    rows.projects,
    (row) => directory.putProject(row),
    (id) => directory.removeProject(id),
  );
  each(
    'environments',
    rows.environments,
    (row) => directory.putEnvironment(row),
    (id) => directory.removeEnvironment(id),
  );
  const putServer = (row: Row<'servers'>) => directory.putServer(readServer(row, keyring, log), row);
  each('servers', rows.servers, putServer, (id) => directory.removeServer(id));
  each(
    'tokens',
    rows.tokens,
    (row) => directory.putToken(readToken(row), row),
    (id) => directory.removeToken(id),
  );
  for (const row of rows.cache_purges) directory.putPurge(row);
  for (const user of rows.users) directory.people.putUser(user);
  for (const session of rows.sessions) directory.people.putSession(session);
  for (const membership of rows.memberships) directory.people.putMembership(membership);
}

type Drop = (id: number) => void;

function readToken(row: Row<'tokens'>): Omit<Token, 'target'> {
  return {
    id: row.id,
    name: row.name,
    username: row.username,
    expiresAt: row.expires_at,
    allowedNetworks: parseNetworks(row.allowed_networks),
    hash: row.hash,
    previousHash: row.previous_hash,
    previousExpiresAt: row.previous_expires_at,
  };
}

/** A server whose record cannot be read keeps its place, so that no less specific server answers instead of it. */
function readServer(row: Row<'servers'>, keyring: Keyring, log: Log): Server {
  try {
    return serverFromRow(row, keyring);
  } catch (error) {
    log.error('a server cannot be used', { server: row.name, serverId: row.id, reason: (error as Error).message });
    return unreadableServer(row);
  }
}

function missing(ids: ReadonlySet<number>, rows: readonly { id: number }[]): number[] {
  const there = new Set(rows.map((row) => row.id));
  return [...ids].filter((id) => !there.has(id));
}
