/** Environments: what endpoints, tokens and servers are mostly about. */
import { z } from 'zod';
import { endpointPath, environmentNameProblem, kubeNamespaceProblem } from '../../directory/paths.ts';
import { environmentSlug } from '../../directory/slug.ts';
import { PromgateError } from '../../errors.ts';
import { environmentObject } from '../../storage/audit-objects.ts';
import { heldBy } from '../../storage/audit-removal.ts';
import {
  deleteEnvironments,
  findEnvironment,
  insertEnvironments,
  type PlacedEnvironment,
  placedEnvironment,
  placedEnvironmentsAfter,
  updateEnvironment,
} from '../../storage/environments.ts';
import type { ApiServices } from '../control-api.ts';
import { findNamed, reachOf } from '../objects.ts';
import { type Call, operation } from '../operation.ts';
import { noSuchThing } from '../problem.ts';
import { endpointUrl, fitting, id, managedBy, page, pageOf, paging } from '../shapes.ts';

const environment = z.object({
  id,
  name: z.string().meta({ description: 'Such as `production` or `review/login`.' }),
  slug: z
    .string()
    .meta({ description: 'The name as it stands in URLs and labels: at most 24 lower-case letters, digits and `-`.' }),
  project: z.string().meta({ description: 'Path of its project.' }),
  kube_namespace: z.string(),
  endpoint_url: endpointUrl,
  managed_by: managedBy,
});

const kubeNamespace = z.string('must be a text').check(fitting(kubeNamespaceProblem)).meta({
  description:
    'The Kubernetes namespace it runs in: the query variable `kube_namespace`. Empty: none. Administrators alone set it, because shared servers may be confined by it.',
});

function show(
  { id, name, slug, project_path, kube_namespace, managed_by }: PlacedEnvironment,
  { externalUrl }: Pick<ApiServices, 'externalUrl'>,
): z.input<typeof environment> {
  const endpoint_url = externalUrl() + endpointPath('environment', project_path, slug);
  return { id, name, slug, project: project_path, kube_namespace, endpoint_url, managed_by };
}

function rowOf({ trx, object }: Pick<Call, 'trx' | 'object'>): Promise<PlacedEnvironment> {
  return placedEnvironment(trx, Number(object.id));
}

export const environmentOperations = [
  operation({
    id: 'listEnvironments',
    method: 'GET',
    path: '/environments',
    tag: 'Environments',
    summary: 'List the environments that you have a role on',
    permission: 'directory.read',
    about: { kind: 'visible' },
    query: z.strictObject({
      ...paging,
      project: z.string().optional().meta({ description: 'Path of a project: only its environments.' }),
    }),
    answer: pageOf(environment),
    async run({ trx, caller, may, services, query: { project, limit, after } }) {
      let within = caller.user.admin ? null : (await reachOf(trx, caller.user.id, 'guest')).projectIds;
      if (project !== undefined) {
        const named = await findNamed(trx, project);
        if (named?.kind !== 'project' || !(await may('directory.read', named))) throw noSuchThing();
        within = [Number(named.id)];
      }
      return page(await placedEnvironmentsAfter(trx, after, limit + 1, within), limit, (row) => show(row, services));
    },
  }),
  operation({
    id: 'createEnvironment',
    method: 'POST',
    path: '/environments',
    tag: 'Environments',
    summary: 'Add an environment to a project',
    permission: 'environments.write',
    about: { kind: 'named', in: 'body', field: 'project', kinds: ['project'] },
    body: z.strictObject({
      project: z.string('must be the path of a project').meta({ description: 'Path of its project.' }),
      name: z
        .string('must be a text')
        .check(fitting(environmentNameProblem))
        .meta({ description: 'Such as `production` or `review/login`. It cannot be changed: its slug is part of URLs.' }),
      kube_namespace: kubeNamespace.default(''),
    }),
    errors: ['conflict'],
    answer: environment,
    status: 201,
    etag: true,
    async run({ trx, object, body: { name, kube_namespace }, services, record, may }) {
      if (kube_namespace !== '' && !(await may('environments.place', object))) {
        throw new PromgateError('forbidden', 'kube_namespace: administrators alone set it; leave it out, and ask one of them');
      }
      const project_id = Number(object.id);
      const slug = environmentSlug(name);
      const taken = await findEnvironment(trx, project_id, name, slug);
      if (taken !== undefined) {
        const other = taken.name === name ? '' : `, whose slug ${slug} is the same`;
        throw new PromgateError('conflict', `${object.name} has an environment ${taken.name} already${other}`);
      }
      const [made] = await insertEnvironments(trx, [{ project_id, name, slug, kube_namespace, managed_by: null }]);
      if (made === undefined) throw new Error('the environment was not inserted');
      record('created', await environmentObject(trx, made));
      return show({ ...made, project_path: object.name }, services);
    },
  }),
  operation({
    id: 'getEnvironment',
    method: 'GET',
    path: '/environments/{environment}',
    tag: 'Environments',
    summary: 'Read an environment',
    description: 'By its id, or as `acme/shop:production` (with its name or its slug), percent-encoded.',
    permission: 'directory.read',
    about: { kind: 'environment', param: 'environment' },
    answer: environment,
    etag: true,
    run: async (call) => show(await rowOf(call), call.services),
  }),
  operation({
    id: 'updateEnvironment',
    method: 'PATCH',
    path: '/environments/{environment}',
    tag: 'Environments',
    summary: 'Change an environment',
    permission: 'environments.place',
    about: { kind: 'environment', param: 'environment' },
    body: z.strictObject({ kube_namespace: kubeNamespace.optional() }),
    answer: environment,
    etag: true,
    current: async (call) => show(await rowOf(call), call.services),
    async run(call) {
      const row = await rowOf(call);
      const { kube_namespace = row.kube_namespace } = call.body;
      if (kube_namespace === row.kube_namespace) {
        call.unchanged();
        return show(row, call.services);
      }
      await updateEnvironment(call.trx, row.id, { kube_namespace, managed_by: row.managed_by });
      call.record('changed', call.object, { fields: ['kube_namespace'] });
      return show({ ...row, kube_namespace }, call.services);
    },
  }),
  operation({
    id: 'deleteEnvironment',
    method: 'DELETE',
    path: '/environments/{environment}',
    tag: 'Environments',
    summary: 'Remove an environment',
    description: 'With its servers and tokens.',
    permission: 'environments.write',
    about: { kind: 'environment', param: 'environment' },
    answer: null,
    current: async (call) => show(await rowOf(call), call.services),
    async run({ trx, object, record }) {
      const id = Number(object.id);
      record('removed', object, { with: await heldBy(trx, { level: 'environment', id }) });
      await deleteEnvironments(trx, [id]);
    },
  }),
];
