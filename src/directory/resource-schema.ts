/** The shape of a resource file (contract §9). What concerns several values at once is in `resource-checks.ts`. */
import type { z } from 'zod';
import { list, type Problem, secret as secretFrom, shape, text } from '../config/shapes.ts';
import { environmentNameProblem, groupPathProblem, kubeNamespaceProblem, projectPathProblem } from './paths.ts';
import type { SecretSources } from './resource-secrets.ts';
import { serverFields, serverSpec } from './server-schema.ts';
import { environmentSlug } from './slug.ts';

/** A reader for whole resource files; secrets come from `sources`. The output is {@link ResourceFile}. */
export function resourceSchema(sources: SecretSources) {
  const { environment_scope, ...anyServer } = serverFields((problem: Problem) => secretFrom(sources, problem));
  const server = shape({ ...anyServer, environment_scope }).transform(serverSpec);
  // A server of one environment speaks for no other: a scope there could only switch it off.
  const environmentServer = shape(anyServer).transform((raw) => serverSpec({ ...raw, environment_scope: '*' }));

  const environment = shape({
    name: text(environmentNameProblem),
    kube_namespace: text(kubeNamespaceProblem).default(''),
    servers: list(environmentServer),
  }).transform(({ name, kube_namespace, servers }) => {
    return { name, slug: environmentSlug(name), kubeNamespace: kube_namespace, servers };
  });

  return shape({
    servers: list(server),
    groups: list(shape({ path: text(groupPathProblem), servers: list(server) })),
    projects: list(shape({ path: text(projectPathProblem), environments: list(environment), servers: list(server) })),
  });
}

export type ResourceFile = z.output<ReturnType<typeof resourceSchema>>;
