/** Groups, which hold groups and projects. */
import { z } from 'zod';
import { endpointPath, groupPathProblem } from '../../directory/paths.ts';
import { groupObject } from '../../storage/audit-objects.ts';
import { heldBy } from '../../storage/audit-removal.ts';
import { deleteGroups, groupsAfter, insertGroups, updateGroup } from '../../storage/groups.ts';
import type { Row } from '../../storage/schema.ts';
import type { ApiServices } from '../control-api.ts';
import { reachOf } from '../objects.ts';
import { type Call, operation } from '../operation.ts';
import { endpointUrl, id, managedBy, nameOf, page, pageOf, paging, textOf } from '../shapes.ts';
import { describe, newPath } from './described.ts';

const group = z.object({
  id,
  path: z.string().meta({ description: 'Full path, such as `acme/platform`.' }),
  parent_id: z.int().nullable(),
  description: z.string(),
  endpoint_url: endpointUrl,
  managed_by: managedBy,
});

const description = textOf(255, 'Shown to people.');

function show(
  { id, path, parent_id, description, managed_by }: Row<'groups'>,
  { externalUrl }: Pick<ApiServices, 'externalUrl'>,
): z.input<typeof group> {
  return { id, path, parent_id, description, endpoint_url: externalUrl() + endpointPath('group', path), managed_by };
}

function rowOf({ trx, object }: Pick<Call, 'trx' | 'object'>): Promise<Row<'groups'>> {
  return trx.selectFrom('groups').selectAll().where('id', '=', object.id).executeTakeFirstOrThrow();
}

export const groupOperations = [
  operation({
    id: 'listGroups',
    method: 'GET',
    path: '/groups',
    tag: 'Groups',
    summary: 'List the groups that you have a role on',
    permission: 'directory.read',
    about: { kind: 'visible' },
    query: z.strictObject(paging),
    answer: pageOf(group),
    async run({ trx, caller, services, query: { limit, after } }) {
      const within = caller.user.admin ? null : (await reachOf(trx, caller.user.id, 'guest')).groupIds;
      return page(await groupsAfter(trx, after, limit + 1, within), limit, (row) => show(row, services));
    },
  }),
  operation({
    id: 'createGroup',
    method: 'POST',
    path: '/groups',
    tag: 'Groups',
    summary: 'Add a group',
    description: 'At the top by administrators (`parent`: `instance`), below a group by its owners.',
    permission: 'groups.write',
    about: { kind: 'named', in: 'body', field: 'parent', kinds: ['instance', 'group'] },
    body: z.strictObject({
      parent: z
        .string('must be the path of a group, or instance')
        .meta({ description: 'Path of the group it goes into; `instance`: none.' }),
      name: nameOf(255, 'The last part of its path.'),
      description: description.default(''),
    }),
    errors: ['conflict'],
    answer: group,
    status: 201,
    etag: true,
    async run({ trx, object, body, services, record }) {
      const path = newPath(object, body.name, groupPathProblem);
      const row = { path, parent_id: object.id, description: body.description, managed_by: null };
      const [made] = await insertGroups(trx, [row]);
      if (made === undefined) throw new Error('the group was not inserted');
      record('created', await groupObject(trx, made));
      return show(made, services);
    },
  }),
  operation({
    id: 'getGroup',
    method: 'GET',
    path: '/groups/{group}',
    tag: 'Groups',
    summary: 'Read a group',
    permission: 'directory.read',
    about: { kind: 'group', param: 'group' },
    answer: group,
    etag: true,
    run: async (call) => show(await rowOf(call), call.services),
  }),
  operation({
    id: 'updateGroup',
    method: 'PATCH',
    path: '/groups/{group}',
    tag: 'Groups',
    summary: 'Change a group',
    description: 'Its path stays: it is part of the URLs of its endpoints.',
    permission: 'groups.write',
    about: { kind: 'group', param: 'group' },
    body: z.strictObject({ description: description.optional() }),
    answer: group,
    etag: true,
    current: async (call) => show(await rowOf(call), call.services),
    async run(call) {
      return show(await describe(call, await rowOf(call), updateGroup), call.services);
    },
  }),
  operation({
    id: 'deleteGroup',
    method: 'DELETE',
    path: '/groups/{group}',
    tag: 'Groups',
    summary: 'Remove a group',
    description: 'With all groups, projects, environments, servers and tokens in it.',
    permission: 'groups.write',
    about: { kind: 'group', param: 'group' },
    answer: null,
    current: async (call) => show(await rowOf(call), call.services),
    async run({ trx, object, record }) {
      const id = Number(object.id);
      record('removed', object, { with: await heldBy(trx, { level: 'group', id }) });
      await deleteGroups(trx, [id]);
    },
  }),
];
