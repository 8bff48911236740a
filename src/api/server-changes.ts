/** What an update makes of a server, and which rules protect what others have stored in it. */
import { isDeepStrictEqual } from 'node:util';
import type { Connection } from '../directory/model.ts';
import { serverProblems } from '../directory/resource-checks.ts';
import { PromgateError } from '../errors.ts';
import type { ServerDefinition, StoredServer } from '../storage/servers.ts';
import { faultAt } from './problem.ts';
import type { ServerChanges } from './server-shapes.ts';

export interface ChangedServer {
  readonly server: ServerDefinition;
  /** Whether it may connect only where `outbound` allows. */
  readonly restricted: boolean;
  /** Whether its URL has to be checked for that: it was not so before, or for another URL. */
  readonly check: boolean;
  /** Names of the keys that changed. */
  readonly fields: readonly string[];
}

/**
 * Throws `bad_data` for what does not go together, and where a stored secret would be used in a way that somebody else chose:
 * - A URL with another origin needs all credentials anew, whoever sets it.
 * - Who is no administrator needs them anew, too, for trusting another certificate, and for taking over what an administrator or a
 *   file set up: for changing where and how that connects, what confines it, or how much may be asked of it. From then on it is
 *   restricted.
 */
export function changeServer(before: StoredServer, changes: ServerChanges, admin: boolean): ChangedServer {
  const server = merged(before, changes);
  const [problem] = serverProblems({ ...server.connection, enforce: server.enforce, expose: server.expose });
  if (problem !== undefined) throw faultAt(problem.path, problem.message);
  const fields = changedFields(before, server, changes);
  const connects = fields.some((field) => ['url', 'auth', 'headers', 'query_params', 'tls'].includes(field));
  const confines = fields.some((field) => ['enforce', 'expose', 'verify', 'limits'].includes(field));
  const takesOver = !admin && !before.restricted && (connects || confines);
  if (new URL(server.url).origin !== new URL(before.url).origin) {
    needAnew(before.connection, changes, 'the URL has another host, port or scheme');
  }
  if (!admin && !sameTrust(before.connection, server.connection)) {
    needAnew(before.connection, changes, 'another certificate is trusted');
  }
  if (takesOver) needAnew(before.connection, changes, 'an administrator or a resource file set the server up');
  const urlChanged = fields.includes('url');
  const restricted = admin ? before.restricted && !urlChanged : before.restricted || connects || confines;
  return { server, restricted, check: restricted && (urlChanged || !before.restricted), fields };
}

function merged(before: StoredServer, changes: ServerChanges): ServerDefinition {
  const { connection } = before;
  return {
    name: changes.name ?? before.name,
    url: changes.url ?? before.url,
    environmentScope: changes.environment_scope ?? before.environmentScope,
    enabled: changes.enabled ?? before.enabled,
    kind: changes.kind === undefined ? before.kind : changes.kind,
    enforce: changes.enforce ?? before.enforce,
    limits: changes.limits === undefined ? before.limits : (changes.limits ?? {}),
    cache: changes.cache === undefined ? before.cache : (changes.cache ?? {}),
    verify: changes.verify ?? before.verify,
    expose: changes.expose ?? before.expose,
    connection: {
      auth: changes.auth === undefined ? connection.auth : changes.auth,
      headers: changes.headers ?? connection.headers,
      queryParams: changes.query_params ?? connection.queryParams,
      tls: changes.tls === undefined ? connection.tls : (changes.tls ?? {}),
    },
  };
}

const plainFields = {
  name: 'name',
  url: 'url',
  environment_scope: 'environmentScope',
  enabled: 'enabled',
  kind: 'kind',
  enforce: 'enforce',
  limits: 'limits',
  cache: 'cache',
  verify: 'verify',
  expose: 'expose',
} as const satisfies Partial<Record<keyof ServerChanges, keyof ServerDefinition>>;

/** Of the connection all that is given: whoever could see that it is the same could try out what the secret is. */
function changedFields(before: StoredServer, after: ServerDefinition, changes: ServerChanges): string[] {
  const plain = Object.entries(plainFields).filter(([, key]) => !isDeepStrictEqual(before[key], after[key]));
  const secret = (['auth', 'headers', 'query_params', 'tls'] as const).filter((key) => changes[key] !== undefined);
  return [...plain.map(([field]) => field), ...secret];
}

/** Which certificates of the server are accepted. */
function sameTrust({ tls: a }: Connection, { tls: b }: Connection): boolean {
  return a.ca === b.ca && a.serverName === b.serverName && a.insecureSkipVerify === b.insecureSkipVerify;
}

function needAnew({ auth, headers, queryParams, tls }: Connection, changes: ServerChanges, why: string): void {
  const stored = [
    ...(auth === null ? [] : (['auth'] as const)),
    ...(Object.keys(headers).length === 0 ? [] : (['headers'] as const)),
    ...(Object.keys(queryParams).length === 0 ? [] : (['query_params'] as const)),
    ...(tls.key === undefined ? [] : (['tls'] as const)),
  ].filter((key) => changes[key] === undefined);
  if (stored.length === 0) return;
  throw new PromgateError(
    'bad_data',
    `${why}, so what is stored for it must not be used: give ${stored.join(', ')} in the same request; null leaves it empty`,
  );
}
