/** Looking whether a server can be reached, and what it is. */
import { z } from 'zod';
import type { Server, Target } from '../../directory/model.ts';
import { namedTarget } from '../../directory/named.ts';
import { PromgateError } from '../../errors.ts';
import type { AuditObject } from '../../ops/audit.ts';
import { bind } from '../../upstream/binding.ts';
import { type Probe, probe } from '../../upstream/probe.ts';
import type { ApiServices } from '../control-api.ts';
import { findNamed } from '../objects.ts';
import { operation } from '../operation.ts';
import { pace } from '../pace.ts';
import { faultAt, noSuchThing } from '../problem.ts';

/** Of one user in {@link INTERVAL} milliseconds: each may take as long as the server likes. */
const MOST = 10;
const INTERVAL = 60_000;

/** One for each process. */
const paces = new WeakMap<ApiServices, ReturnType<typeof pace>>();

function countTest(services: ApiServices, userId: number): void {
  const known = paces.get(services) ?? pace(MOST, INTERVAL, `you have tested servers ${MOST} times in a minute`);
  paces.set(services, known);
  known(String(userId))();
}

export const testServer = operation({
  id: 'testServer',
  method: 'POST',
  path: '/servers/{server}/test',
  tag: 'Servers',
  summary: 'Ask a server what it is, and whether its clock agrees',
  description: `At most ${MOST} times in a minute.`,
  permission: 'servers.read',
  about: { kind: 'server', param: 'server' },
  body: z
    .strictObject({
      for: z.string('must be the name of a group, project or environment').optional().meta({
        description:
          'The endpoint whose variables go into headers and parameters: `acme`, `acme/shop` or `acme/shop:production`, where the server attaches or below. Left out: where it attaches.',
      }),
    })
    .prefault({}),
  errors: ['too_many_requests'],
  answer: z.object({
    reachable: z.boolean(),
    problem: z.string().nullable().meta({ description: 'Why it cannot be used; null where it can.' }),
    kind: z.enum(['prometheus', 'victoriametrics', 'mimir', 'thanos', 'unknown']).nullable(),
    version: z.string().nullable().meta({ description: 'As the server says.' }),
    clock_ahead_seconds: z
      .number()
      .nullable()
      .meta({ description: 'How far its clock is ahead of ours, give or take a second; negative: behind.' }),
    answer_seconds: z.number().nullable().meta({ description: 'How long a trivial query took.' }),
  }),
  transaction: 'read',
  async prepare({ services, caller }) {
    countTest(services, caller.user.id);
  },
  async run({ trx, object, body, may }) {
    const of = object.name.slice(object.name.indexOf('@') + 1);
    const owner = await findNamed(trx, of);
    const target = body.for === undefined ? owner : await findNamed(trx, body.for);
    if (owner === null || target === null || !(await may('servers.read', target))) throw noSuchThing();
    if (!isWithin(target, owner)) throw faultAt(['for'], `must be ${of} or lie below it: the server answers for nothing else`);
    return { serverId: Number(object.id), target: target.kind === 'instance' ? null : target.name };
  },
  async finish({ serverId, target: name }, services) {
    await services.refresh();
    const directory = services.directory();
    const server = directory.servers().find(({ id }) => id === serverId);
    const target = name === null ? noTarget : namedTarget(directory, name);
    if (server === undefined || target === null) throw noSuchThing();
    try {
      return shown(await probe(services.askServer, bindingFor(server, target, services)));
    } catch (error) {
      if (!(error instanceof PromgateError)) throw error;
      const nothing = { kind: null, version: null, clock_ahead_seconds: null, answer_seconds: null };
      return { reachable: false, problem: error.message, ...nothing };
    }
  },
});

/** Whose variables are none: the instance has no endpoint. */
const noTarget: Target = { level: 'group', group: { id: 0, path: '', parent: null, servers: [] } };

/** Whether the server of `owner` may be the one that answers for `target`. */
function isWithin(target: AuditObject, owner: AuditObject): boolean {
  if (owner.kind === 'instance') return true;
  if (owner.kind === 'group') return owner.id !== null && target.groupIds.includes(owner.id);
  if (owner.kind === 'project') return target.projectId === owner.id;
  return target.kind === 'environment' && target.id === owner.id;
}

/** What confines the endpoint does not matter here, and may need values that only an environment has. */
function bindingFor(server: Server, target: Target, { settings, directory }: ApiServices) {
  return { ...bind(target, { ...server, enforce: {} }, settings(), directory().purges), server };
}

function shown({ kind, version, clockAhead, seconds }: Probe) {
  const ahead = Number.isNaN(clockAhead) ? null : Math.round(clockAhead * 10) / 10;
  return { reachable: true, problem: null, kind, version, clock_ahead_seconds: ahead, answer_seconds: seconds };
}
