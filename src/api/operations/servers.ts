/** Servers: who is asked. Their credentials come in and never go out. */
import { z } from 'zod';
import { PromgateError } from '../../errors.ts';
import type { AuditObject } from '../../ops/audit.ts';
import { serverObject } from '../../storage/audit-objects.ts';
import type { Keyring } from '../../storage/crypto.ts';
import type { ServerOwner } from '../../storage/owner.ts';
import type { Row, Trx } from '../../storage/schema.ts';
import {
  deleteServers,
  insertServer,
  type StoredServer,
  serverFromRow,
  serverNamed,
  serversAfter,
  serversByIds,
  unreadableServer,
  updateServer,
} from '../../storage/servers.ts';
import { checkOutbound } from '../../upstream/outbound.ts';
import { type Call, operation } from '../operation.ts';
import { faultAt } from '../problem.ts';
import { changeServer } from '../server-changes.ts';
import { newServer, owner, server, serverChanges, showServer } from '../server-shapes.ts';
import { page, pageOf, paging } from '../shapes.ts';
import { testServer } from './server-test.ts';

const owners = ['instance', 'group', 'project', 'environment'] as const;

/** `acme/shop` of `main@acme/shop`. No name of a server has an `@`. */
function ownerName({ name }: AuditObject): string {
  return name.slice(name.indexOf('@') + 1);
}

function ownerOf({ kind, id }: AuditObject): ServerOwner {
  const level = owners.find((each) => each === kind);
  if (level === undefined) throw new Error(`no server belongs to a ${kind}`);
  return level === 'instance' ? { level } : { level, id: Number(id) };
}

async function rowOf({ trx, object }: Pick<Call, 'trx' | 'object'>): Promise<Row<'servers'>> {
  const [row] = await serversByIds(trx, [Number(object.id)]);
  if (row === undefined) throw new Error('the server has just been there');
  return row;
}

/** `null`: the record cannot be read. The error has no more to say. */
function readServer(row: Row<'servers'>, keyring: Keyring): StoredServer | null {
  try {
    return serverFromRow(row, keyring);
  } catch {
    return null;
  }
}

function show(row: Row<'servers'>, of: string, keyring: Keyring): z.input<typeof server> {
  return showServer(row, readServer(row, keyring) ?? unreadableServer(row), of);
}

async function showCurrent(call: Pick<Call, 'trx' | 'object' | 'services'>): Promise<z.input<typeof server>> {
  return show(await rowOf(call), ownerName(call.object), call.services.keyring);
}

/** Throws `conflict` for a second one of a name in one place. */
async function refuseTaken(trx: Trx, owner: ServerOwner, name: string, own: number | null): Promise<void> {
  const other = await serverNamed(trx, owner, name);
  if (other === undefined || other.id === own) return;
  throw new PromgateError('conflict', `there is a server ${JSON.stringify(name)} here already: choose another name`);
}

function refuseScope(owner: ServerOwner, scope: string): void {
  if (owner.level !== 'environment' || scope === '*') return;
  throw faultAt(['environment_scope'], 'must be left out: the server of an environment speaks for no other');
}

function ownerOfRow({ level, group_id, project_id, environment_id }: Row<'servers'>): ServerOwner {
  const id = group_id ?? project_id ?? environment_id;
  return id === null ? { level: 'instance' } : { level: level as 'group', id };
}

/** What is refused for good: with a key that does not fit, nobody knows what is in it. */
function readable(row: Row<'servers'>, keyring: Keyring): StoredServer {
  const stored = readServer(row, keyring);
  if (stored !== null) return stored;
  throw new PromgateError(
    'conflict',
    'the record of this server cannot be read (was secret_key changed?), so it cannot be changed: remove it and add it anew',
  );
}

export const serverOperations = [
  operation({
    id: 'listServers',
    method: 'GET',
    path: '/servers',
    tag: 'Servers',
    summary: 'List the servers of the instance, a group, a project or an environment',
    description: 'Only those that attach to exactly this.',
    permission: 'servers.read',
    about: { kind: 'named', in: 'query', field: 'of', kinds: owners },
    query: z.strictObject({ of: owner, ...paging }),
    answer: pageOf(server),
    async run({ trx, object, query: { limit, after }, services }) {
      const rows = await serversAfter(trx, ownerOf(object), after, limit + 1);
      return page(rows, limit, (row) => show(row, object.name, services.keyring));
    },
  }),
  operation({
    id: 'createServer',
    method: 'POST',
    path: '/servers',
    tag: 'Servers',
    summary: 'Add a server',
    description:
      'Of people who are no administrators its URL must be a public one, or one that the setting `outbound.allow` lets pass.',
    permission: 'servers.write',
    about: { kind: 'named', in: 'body', field: 'of', kinds: owners },
    body: newServer,
    errors: ['conflict'],
    answer: server,
    status: 201,
    etag: true,
    async prepare({ caller, body, services }) {
      if (!caller.user.admin) await checkOutbound(body.url, services.allSettings().outbound.allow);
    },
    async run({ trx, object, caller, body: { of: _, ...given }, services, record }) {
      const at = ownerOf(object);
      refuseScope(at, given.environmentScope);
      await refuseTaken(trx, at, given.name, null);
      const restricted = !caller.user.admin;
      const row = await insertServer(trx, services.keyring, at, given, null, restricted);
      record('created', await serverObject(trx, row), { url: given.url, restricted });
      return show(row, object.name, services.keyring);
    },
  }),
  operation({
    id: 'getServer',
    method: 'GET',
    path: '/servers/{server}',
    tag: 'Servers',
    summary: 'Read a server',
    permission: 'servers.read',
    about: { kind: 'server', param: 'server' },
    answer: server,
    etag: true,
    run: showCurrent,
  }),
  operation({
    id: 'updateServer',
    method: 'PATCH',
    path: '/servers/{server}',
    tag: 'Servers',
    summary: 'Change a server',
    description: [
      'Keys that are left out stay; one that is given takes the place of the whole that was there (`headers`, `tls`, `limits`, …).',
      'A URL with another host, port or scheme needs `auth`, `headers`, `query_params` and `tls` anew, as far as the server has them: what is stored is never sent to a host that somebody else chose.',
      'Who is no administrator needs them anew, too, to trust another certificate, and to change how a server that an administrator or a resource file set up connects or is confined; it is `restricted` from then on. An administrator who changes the URL of a restricted one lifts that.',
    ].join('\n\n'),
    permission: 'servers.write',
    about: { kind: 'server', param: 'server' },
    body: serverChanges,
    errors: ['conflict'],
    answer: server,
    etag: true,
    current: showCurrent,
    /** Gives the URL that was checked. */
    async prepare({ object, caller, body, services }) {
      const [row] = await services.database.read((trx) => serversByIds(trx, [Number(object.id)]));
      if (row === undefined) return null;
      const { server, check } = changeServer(readable(row, services.keyring), body, caller.user.admin);
      if (!check) return null;
      await checkOutbound(server.url, services.allSettings().outbound.allow);
      return server.url;
    },
    async run(call) {
      const { trx, caller, body, prepared, object, services, record } = call;
      const row = await rowOf(call);
      const { server, restricted, check, fields } = changeServer(readable(row, services.keyring), body, caller.user.admin);
      if (check && server.url !== prepared) {
        throw new PromgateError('precondition_failed', 'somebody else has changed it at the same moment: read it again');
      }
      if (fields.length === 0) {
        call.unchanged();
        return show(row, ownerName(object), services.keyring);
      }
      const at = ownerOfRow(row);
      refuseScope(at, server.environmentScope);
      await refuseTaken(trx, at, server.name, row.id);
      await updateServer(trx, services.keyring, row.id, server, row.managed_by, restricted);
      record('changed', object, { fields, restricted, ...(fields.includes('url') ? { url: server.url } : {}) });
      return show(await rowOf(call), ownerName(object), services.keyring);
    },
  }),
  operation({
    id: 'deleteServer',
    method: 'DELETE',
    path: '/servers/{server}',
    tag: 'Servers',
    summary: 'Remove a server',
    permission: 'servers.write',
    about: { kind: 'server', param: 'server' },
    answer: null,
    current: showCurrent,
    async run({ trx, object, record }) {
      record('removed');
      await deleteServers(trx, [Number(object.id)]);
    },
  }),
  testServer,
];
