/** Projects, which hold environments. */
import { z } from 'zod';
import { endpointPath, projectPathProblem } from '../../directory/paths.ts';
import { projectObject } from '../../storage/audit-objects.ts';
import { heldBy } from '../../storage/audit-removal.ts';
import { deleteProjects, insertProjects, projectIdsIn, projectsAfter, updateProject } from '../../storage/projects.ts';
import type { Row, Trx } from '../../storage/schema.ts';
import type { ApiServices } from '../control-api.ts';
import { findNamed, reachOf } from '../objects.ts';
import { type Call, operation } from '../operation.ts';
import { endpointUrl, id, managedBy, nameOf, page, pageOf, paging, textOf } from '../shapes.ts';
import { describe, newPath } from './described.ts';

const project = z.object({
  id,
  path: z.string().meta({ description: 'Full path, such as `acme/shop`.' }),
  group_id: id,
  description: z.string(),
  endpoint_url: endpointUrl,
  managed_by: managedBy,
});

const description = textOf(255, 'Shown to people.');

function show(
  { id, path, group_id, description, managed_by }: Row<'projects'>,
  { externalUrl }: Pick<ApiServices, 'externalUrl'>,
): z.input<typeof project> {
  return { id, path, group_id, description, endpoint_url: externalUrl() + endpointPath('project', path), managed_by };
}

function rowOf({ trx, object }: Pick<Call, 'trx' | 'object'>): Promise<Row<'projects'>> {
  return trx.selectFrom('projects').selectAll().where('id', '=', object.id).executeTakeFirstOrThrow();
}

/** Directly in the group; of an unknown one none. */
async function idsIn(trx: Trx, path: string): Promise<number[]> {
  const group = await findNamed(trx, path);
  return group?.kind === 'group' ? projectIdsIn(trx, Number(group.id)) : [];
}

export const projectOperations = [
  operation({
    id: 'listProjects',
    method: 'GET',
    path: '/projects',
    tag: 'Projects',
    summary: 'List the projects that you have a role on',
    permission: 'directory.read',
    about: { kind: 'visible' },
    query: z.strictObject({
      ...paging,
      group: z.string().optional().meta({ description: 'Path of a group: only the projects directly in it.' }),
    }),
    answer: pageOf(project),
    async run({ trx, caller, services, query: { group, limit, after } }) {
      const reached = caller.user.admin ? null : new Set((await reachOf(trx, caller.user.id, 'guest')).projectIds);
      const inGroup = group === undefined ? null : await idsIn(trx, group);
      const within = inGroup === null ? reached && [...reached] : inGroup.filter((each) => reached?.has(each) ?? true);
      return page(await projectsAfter(trx, after, limit + 1, within), limit, (row) => show(row, services));
    },
  }),
  operation({
    id: 'createProject',
    method: 'POST',
    path: '/projects',
    tag: 'Projects',
    summary: 'Add a project to a group',
    permission: 'projects.create',
    about: { kind: 'named', in: 'body', field: 'group', kinds: ['group'] },
    body: z.strictObject({
      group: z.string('must be the path of a group').meta({ description: 'Path of the group it goes into.' }),
      name: nameOf(255, 'The last part of its path.'),
      description: description.default(''),
    }),
    errors: ['conflict'],
    answer: project,
    status: 201,
    etag: true,
    async run({ trx, object, body, services, record }) {
      const path = newPath(object, body.name, projectPathProblem);
      const row = { path, group_id: Number(object.id), description: body.description, managed_by: null };
      const [made] = await insertProjects(trx, [row]);
      if (made === undefined) throw new Error('the project was not inserted');
      record('created', await projectObject(trx, made));
      return show(made, services);
    },
  }),
  operation({
    id: 'getProject',
    method: 'GET',
    path: '/projects/{project}',
    tag: 'Projects',
    summary: 'Read a project',
    permission: 'directory.read',
    about: { kind: 'project', param: 'project' },
    answer: project,
    etag: true,
    run: async (call) => show(await rowOf(call), call.services),
  }),
  operation({
    id: 'updateProject',
    method: 'PATCH',
    path: '/projects/{project}',
    tag: 'Projects',
    summary: 'Change a project',
    description: 'Its path stays: it is part of the URLs of its endpoints.',
    permission: 'projects.write',
    about: { kind: 'project', param: 'project' },
    body: z.strictObject({ description: description.optional() }),
    answer: project,
    etag: true,
    current: async (call) => show(await rowOf(call), call.services),
    async run(call) {
      return show(await describe(call, await rowOf(call), updateProject), call.services);
    },
  }),
  operation({
    id: 'deleteProject',
    method: 'DELETE',
    path: '/projects/{project}',
    tag: 'Projects',
    summary: 'Remove a project',
    description: 'With all environments, servers, tokens and roles on it.',
    permission: 'projects.delete',
    about: { kind: 'project', param: 'project' },
    answer: null,
    current: async (call) => show(await rowOf(call), call.services),
    async run({ trx, object, record }) {
      const id = Number(object.id);
      record('removed', object, { with: await heldBy(trx, { level: 'project', id }) });
      await deleteProjects(trx, [id]);
    },
  }),
];
