import { hash } from 'node:crypto';
import { z } from 'zod';
import { type Connection, exposable, type Level, type Server, serverKinds, verifications } from '../directory/model.ts';
import { chunks, inChunks } from './chunks.ts';
import type { Keyring } from './crypto.ts';
import { ownerColumns, type ServerOwner } from './owner.ts';
import type { Row, Trx } from './schema.ts';

/** All of a server that a person declares. */
export type ServerDefinition = Omit<StoredServer, 'id' | 'level' | 'revision' | 'restricted'>;

/** A server whose credentials could be decrypted. */
export type StoredServer = Server & { readonly connection: Connection };

/** Fails when the owner has a server with the name. `restricted`: see the model. */
export function insertServer(
  trx: Trx,
  keyring: Keyring,
  owner: ServerOwner,
  server: ServerDefinition,
  managedBy: string | null,
  restricted = false,
): Promise<Row<'servers'>> {
  return trx
    .insertInto('servers')
    .values({
      ...columns(keyring, server),
      ...ownerColumns(owner),
      level: owner.level,
      managed_by: managedBy,
      restricted: restricted ? 1 : 0,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Replaces all but the owner: URL and connection only ever change together, because one is sealed to the other. */
export async function updateServer(
  trx: Trx,
  keyring: Keyring,
  id: number,
  server: ServerDefinition,
  managedBy: string | null,
  restricted = false,
): Promise<void> {
  await trx
    .updateTable('servers')
    .set({ ...columns(keyring, server), managed_by: managedBy, restricted: restricted ? 1 : 0 })
    .where('id', '=', id)
    .execute();
}

export async function deleteServers(trx: Trx, ids: Iterable<number>): Promise<void> {
  for (const chunk of chunks(ids)) await trx.deleteFrom('servers').where('id', 'in', chunk).execute();
}

export function allServers(trx: Trx): Promise<Row<'servers'>[]> {
  return trx.selectFrom('servers').selectAll().orderBy('id').execute();
}

export function serversByIds(trx: Trx, ids: Iterable<number>): Promise<Row<'servers'>[]> {
  return inChunks(ids, (chunk) => trx.selectFrom('servers').selectAll().where('id', 'in', chunk).execute());
}

/** At most `limit` of the owner's own, with ids after `id`, in the order of the ids. */
export function serversAfter(trx: Trx, owner: ServerOwner, id: number, limit: number): Promise<Row<'servers'>[]> {
  return ofOwner(trx, owner).where('id', '>', id).orderBy('id').limit(limit).execute();
}

export function serverNamed(trx: Trx, owner: ServerOwner, name: string): Promise<Row<'servers'> | undefined> {
  return ofOwner(trx, owner).where('name', '=', name).executeTakeFirst();
}

function ofOwner(trx: Trx, owner: ServerOwner) {
  const all = trx.selectFrom('servers').selectAll();
  return owner.level === 'instance'
    ? all.where('level', '=', 'instance')
    : all.where(`${owner.level}_id`, '=', owner.id).where('level', '=', owner.level);
}

/** The model's server. Throws, naming the server and no secret, when its connection cannot be decrypted or the row makes no sense. */
export function serverFromRow(row: Row<'servers'>, keyring: Keyring): StoredServer {
  const named = `The server ${JSON.stringify(row.name)} (id ${row.id})`;
  return {
    ...parsed(storedServer, documents(row), `${named} holds what this version of Promgate does not understand.`),
    id: row.id,
    name: row.name,
    url: row.url,
    environmentScope: row.environment_scope,
    enabled: row.enabled === 1,
    // Whatever else stands there: what is not known to be free is not.
    restricted: row.restricted !== 0,
    revision: revisionOf(row),
    connection: openConnection(row, keyring, named),
  };
}

/** What stands for a server whose record cannot be read. It may not be asked anything. */
export function unreadableServer(row: Row<'servers'>): Server {
  return {
    id: row.id,
    name: row.name,
    level: row.level as Level,
    url: row.url,
    environmentScope: row.environment_scope,
    enabled: row.enabled === 1,
    kind: null,
    enforce: {},
    limits: {},
    verify: 'server',
    expose: [],
    cache: {},
    revision: revisionOf(row),
    restricted: true,
    connection: null,
  };
}

/** Every write seals the connection anew, so it differs from every row of before. */
export function revisionOf(row: Row<'servers'>): string {
  const columns = Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1));
  return hash('sha256', JSON.stringify(columns), 'base64url').slice(0, 22);
}

function openConnection(row: Row<'servers'>, keyring: Keyring, named: string): Connection {
  let plain: string;
  try {
    plain = keyring.open(row.connection, boundTo(row.url));
  } catch {
    throw new Error(
      `${named} has credentials that cannot be decrypted: the secret key is not the one they were stored with, ` +
        'or its record was changed by something else than Promgate. Restore the key, or declare the server again.',
    );
  }
  return parsed(storedConnection, () => JSON.parse(plain), `${named} has credentials that this version does not understand.`);
}

/** Whoever can write to the database but has no key must not send a server's credentials to a host of his own. */
function boundTo(url: string): string {
  return `server ${url}`;
}

function columns(keyring: Keyring, server: ServerDefinition) {
  return {
    name: server.name,
    url: server.url,
    environment_scope: server.environmentScope,
    enabled: server.enabled ? 1 : 0,
    kind: server.kind,
    enforce: JSON.stringify(server.enforce),
    limits: JSON.stringify(server.limits),
    expose: JSON.stringify(server.expose),
    cache: JSON.stringify(server.cache),
    verify: server.verify,
    connection: keyring.seal(JSON.stringify(server.connection), boundTo(server.url)),
  };
}

function documents(row: Row<'servers'>): () => unknown {
  return () => ({
    level: row.level,
    kind: row.kind,
    enforce: JSON.parse(row.enforce),
    limits: JSON.parse(row.limits),
    expose: JSON.parse(row.expose),
    verify: row.verify,
    cache: JSON.parse(row.cache),
  });
}

/** The errors of `JSON.parse` quote the text, which may be a secret: they go no further. */
function parsed<T>(schema: z.ZodType<T>, read: () => unknown, message: string): T {
  try {
    return schema.parse(read());
  } catch {
    throw new Error(message);
  }
}

// Strict: a key that this version does not know may be one that narrows what is allowed.
const number = z.number().exactOptional();
const boolean = z.boolean().exactOptional();
const storedServer = z.strictObject({
  level: z.enum(['instance', 'group', 'project', 'environment']),
  kind: z.enum(serverKinds).nullable(),
  enforce: z.record(z.string(), z.array(z.string())),
  limits: z.strictObject({
    timeout: number,
    maxRange: number,
    maxPoints: number,
    maxResponse: number,
    maxQueryBytes: number,
    maxDepth: number,
    concurrency: number,
    rate: number,
  }),
  expose: z.array(z.enum(exposable)),
  verify: z.enum(verifications),
  cache: z.strictObject({
    enabled: boolean,
    recentWindow: number,
    maxAge: number,
    instant: boolean,
    metadataTtl: number,
  }),
});

const text = z.string().exactOptional();
const storedConnection = z.strictObject({
  auth: z
    .union([
      z.strictObject({ basic: z.strictObject({ username: z.string(), password: z.string() }) }),
      z.strictObject({ bearer: z.string() }),
    ])
    .nullable(),
  headers: z.record(z.string(), z.string()),
  queryParams: z.record(z.string(), z.string()),
  tls: z.strictObject({ ca: text, cert: text, key: text, serverName: text, insecureSkipVerify: boolean }),
});
