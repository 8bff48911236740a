/** Groups, which hold groups and projects. */
import { z } from 'zod';
import { groupPathProblem } from '../../directory/paths.ts';
import { PromgateError } from '../../errors.ts';
import { groupObject } from '../../storage/audit-objects.ts';
import { deleteGroups, groupsAfter, insertGroups, updateGroup } from '../../storage/groups.ts';
import type { Row } from '../../storage/schema.ts';
import { countsBelow, reachOf } from '../objects.ts';
import { type Call, operation } from '../operation.ts';
import { id, managedBy, nameOf, page, pageOf, paging, textOf } from '../shapes.ts';

const group = z.object({
  id,
  path: z.string().meta({ description: 'Full path, such as `acme/platform`.' }),
  parent_id: z.int().nullable(),
  description: z.string(),
  managed_by: managedBy,
});

const description = textOf(255, 'Shown to people.');

function show({ id, path, parent_id, description, managed_by }: Row<'groups'>): z.input<typeof group> {
  return { id, path, parent_id, description, managed_by };
}

async function rowOf({ trx, object }: Pick<Call, 'trx' | 'object'>): Promise<Row<'groups'>> {
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
    async run({ trx, caller, query: { limit, after } }) {
      const within = caller.user.admin ? null : (await reachOf(trx, caller.user.id, 'guest')).groupIds;
      return page(await groupsAfter(trx, after, limit + 1, within), limit, show);
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
    answer: group,
    status: 201,
    etag: true,
    async run({ trx, object, body, record }) {
      const path = object.kind === 'instance' ? body.name : `${object.name}/${body.name}`;
      const problem = body.name.includes('/') ? 'must be one part of a path, without "/"' : groupPathProblem(path);
      if (problem !== null) throw new PromgateError('bad_data', `name: "${body.name}" ${problem}`);
      const row = { path, parent_id: object.id, description: body.description, managed_by: null };
      const [made] = await insertGroups(trx, [row]);
      if (made === undefined) throw new Error('the group was not inserted');
      record('created', await groupObject(trx, made));
      return show(made);
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
    run: async (call) => show(await rowOf(call)),
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
    current: async (call) => show(await rowOf(call)),
    async run(call) {
      const row = await rowOf(call);
      const { description = row.description } = call.body;
      if (description === row.description) {
        call.unchanged();
        return show(row);
      }
      await updateGroup(call.trx, row.id, { description });
      call.record('changed', call.object, { fields: ['description'] });
      return show({ ...row, description });
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
    current: async (call) => show(await rowOf(call)),
    async run({ trx, object, record }) {
      record('removed', object, await countsBelow(trx, object));
      await deleteGroups(trx, [Number(object.id)]);
    },
  }),
];
