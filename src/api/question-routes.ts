/** For the document of the API: the two routes about questions, which tokens of endpoints may use, too (`route.ts`). */
import { z } from 'zod';
import { cachePurgeBody } from './cache-purge.ts';
import type { DocumentedOperation } from './openapi.ts';
import { promqlCheckBody } from './promql-check.ts';

const explanation = z.object({
  valid: z.boolean().meta({ description: 'Whether it is PromQL, types included, after its variables were put in.' }),
  type: z.string().nullable().meta({ description: 'What it yields, such as `instant vector`.' }),
  errors: z
    .array(
      z.object({
        line: z.int(),
        column: z.int(),
        offset: z.int(),
        found: z.string().optional(),
        expected: z.string().optional(),
        message: z.string(),
      }),
    )
    .meta({ description: 'Where reading stopped.' }),
  variables: z.array(z.object({ name: z.string(), value: z.string().nullable(), predefined: z.boolean() })),
  query: z.object({
    given: z.string(),
    substituted: z.string().nullable(),
    confined: z.string().nullable().meta({ description: 'What would be sent in its place.' }),
    extra_filters: z.string().nullable().meta({ description: 'By what VictoriaMetrics confines it itself.' }),
  }),
  selectors: z.array(
    z.object({
      text: z.string(),
      name: z.string().nullable(),
      matchers: z.array(z.object({ label: z.string(), op: z.string(), value: z.string() })),
    }),
  ),
  limits: z.array(
    z.object({
      name: z.string(),
      unit: z.string(),
      limit: z.number().nullable().meta({ description: 'null: there is none.' }),
      asked: z.number().nullable().meta({ description: 'null: all of time.' }),
      ok: z.boolean(),
    }),
  ),
  refused: z
    .object({ status: z.int(), errorType: z.string(), error: z.string() })
    .nullable()
    .meta({ description: 'What the endpoint would answer instead of asking it.' }),
  verified: z.enum(['server', 'local']).nullable(),
  verified_with: z.enum(['parse_query', 'format_query']).nullable(),
  server: z.object({ name: z.string(), kind: z.string().nullable() }).nullable(),
});

const named = { kind: 'named', in: 'body', field: 'environment', kinds: ['group', 'project', 'environment'] } as const;

export const questionRoutes: readonly DocumentedOperation[] = [
  {
    id: 'checkQuery',
    method: 'POST',
    path: '/promql/check',
    tag: 'Queries',
    summary: 'See what would become of a query, without asking it',
    description: 'Whoever may ask the environment may ask this, as often.',
    permission: 'metrics.read',
    about: named,
    body: promqlCheckBody,
    answer: explanation,
    status: 200,
    errors: ['too_many_requests', 'unavailable'],
    endpointTokens: true,
  },
  {
    id: 'purgeCache',
    method: 'POST',
    path: '/cache/purge',
    tag: 'Queries',
    summary: 'Forget what an endpoint’s answers were',
    description: 'Its server is asked anew. A token may do this for what it opens; of one endpoint once in a second.',
    permission: 'cache.purge',
    about: named,
    body: cachePurgeBody,
    answer: z.object({ purged: z.object({ environment: z.string(), server: z.string() }) }),
    status: 200,
    errors: ['too_many_requests', 'unavailable'],
    endpointTokens: true,
  },
];
