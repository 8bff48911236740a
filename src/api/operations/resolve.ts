/** Which server answers, and why. */
import { z } from 'zod';
import { namedTarget } from '../../directory/named.ts';
import { operation } from '../operation.ts';
import { noSuchThing } from '../problem.ts';

export const resolveOperations = [
  operation({
    id: 'resolve',
    method: 'GET',
    path: '/resolve',
    tag: 'Servers',
    summary: 'Read which server answers for an endpoint, and why not another one',
    description: 'The nearest level with a server whose scope fits: environment, project, groups upwards, instance.',
    permission: 'metrics.read',
    about: { kind: 'named', in: 'query', field: 'of', kinds: ['group', 'project', 'environment'] },
    query: z.strictObject({
      of: z
        .string('must be the name of a group, project or environment')
        .meta({ description: 'Whose endpoint: `acme`, `acme/shop` or `acme/shop:production`.' }),
    }),
    answer: z.object({
      of: z.string(),
      server: z.string().nullable().meta({ description: 'Name of the server that answers; null: none does.' }),
      candidates: z
        .array(
          z.object({
            server: z.string(),
            owner: z.string().meta({ description: 'Where it attaches, such as `project acme/shop`.' }),
            environment_scope: z.string(),
            outcome: z.enum(['chosen', 'lost']),
            reason: z.string(),
          }),
        )
        .meta({ description: 'Each server that was looked at: nearest level first, within it the best fit.' }),
    }),
    run: async ({ object }) => object.name,
    /** Of the directory as endpoints see it. */
    async finish(of, services) {
      await services.refresh();
      const directory = services.directory();
      const target = namedTarget(directory, of);
      if (target === null) throw noSuchThing();
      const { server, candidates } = directory.explain(target);
      return {
        of,
        server: server?.name ?? null,
        candidates: candidates.map(({ server: { name, environmentScope }, owner, outcome, reason }) => {
          return { server: name, owner, environment_scope: environmentScope, outcome, reason };
        }),
      };
    },
  }),
];
