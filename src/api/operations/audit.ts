/** The audit log. */
import { z } from 'zod';
import { type AuditObject, actorKinds, auditActions, objectKinds } from '../../ops/audit.ts';
import { type AuditFilter, exportEvents, readEvents } from '../../storage/audit.ts';
import { operation } from '../operation.ts';
import { page, pageOf, paging, time } from '../shapes.ts';

const kinds = ['instance', 'group', 'project'] as const;

/** `user`, or `user:17`. */
function kindAndId<const Kinds extends readonly [string, ...string[]]>(of: Kinds, meaning: string) {
  const pattern = new RegExp(`^(?:${of.join('|')})(?::[1-9]\\d{0,14})?$`);
  return z
    .string()
    .regex(pattern, `must be one of ${of.join(', ')}, or one of them with its number as in ${of[0]}:17`)
    .transform((text) => {
      const [kind, number] = text.split(':');
      return { kind: kind as Kinds[number], ...(number === undefined ? {} : { id: Number(number) }) };
    })
    .optional()
    .meta({ description: `${meaning}: ${of.map((each) => `\`${each}\``).join(', ')}; of one alone as in \`${of[0]}:17\`.` });
}

function moment(meaning: string) {
  return z.iso
    .datetime({ offset: true, error: 'must be a time such as 2026-01-31T00:00:00Z' })
    .transform((text) => Date.parse(text))
    .optional()
    .meta({ description: meaning });
}

const filters = {
  of: z.string().default('instance').meta({ description: 'Only of this group or project and what lies in it; `instance`: all.' }),
  action: z.enum(auditActions, `must be one of ${auditActions.join(', ')}`).optional(),
  actor: kindAndId(actorKinds, 'Who did it'),
  object: kindAndId(objectKinds, 'What it was done to'),
  since: moment('Not before.'),
  until: moment('Before.'),
};

const event = z.object({
  id: z.int(),
  time,
  actor: z.object({
    kind: z.enum(actorKinds),
    id: z.int().nullable().meta({ description: 'Of the user or token.' }),
    name: z.string().meta({ description: 'As it was then.' }),
  }),
  action: z.enum(auditActions),
  object: z.object({
    kind: z.enum(objectKinds),
    id: z.int().nullable(),
    name: z.string().meta({ description: 'As it was then; of what belongs to something as in `main@acme/shop`.' }),
  }),
  address: z.string().nullable().meta({ description: 'Of the client.' }),
  request_id: z.string().nullable(),
  count: z.int().meta({ description: 'How many alike it stands for.' }),
  detail: z.record(z.string(), z.unknown()).meta({ description: 'More about it, such as the changed fields.' }),
});

function filterOf(
  { kind, id }: AuditObject,
  { action, actor, object, since, until }: z.output<z.ZodObject<typeof filters>>,
): AuditFilter {
  const visible = kind === 'instance' ? 'all' : kind === 'group' ? { groupId: Number(id) } : { projectId: Number(id) };
  return {
    visible,
    ...(action === undefined ? {} : { action }),
    ...(actor === undefined ? {} : { actor }),
    ...(object === undefined ? {} : { object }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  };
}

export const auditOperations = [
  operation({
    id: 'listAuditEvents',
    method: 'GET',
    path: '/audit_events',
    tag: 'Audit',
    summary: 'List what was done, newest first',
    description: 'Changes, sign-ins and refusals: of a group or project its owners may read, of everything administrators.',
    permission: 'audit.read',
    about: { kind: 'named', in: 'query', field: 'of', kinds },
    query: z.strictObject({ ...filters, ...paging }),
    answer: pageOf(event),
    async run({ trx, object, query: { limit, after, ...filter } }) {
      const before = after === 0 ? {} : { before: after };
      const events = await readEvents(trx, { ...filterOf(object, filter), ...before, limit: limit + 1 });
      return page(events, limit, (each) => ({ ...each, detail: { ...each.detail } }));
    },
  }),
  operation({
    id: 'exportAuditEvents',
    method: 'GET',
    path: '/audit_events/export',
    tag: 'Audit',
    summary: 'Export what was done, oldest first, as JSON lines',
    permission: 'audit.read',
    about: { kind: 'named', in: 'query', field: 'of', kinds },
    query: z.strictObject(filters),
    answer: event,
    lines: true,
    run: async ({ object, query }) => filterOf(object, query),
    finish: async (filter, { database }) => exportEvents(database, filter),
  }),
];
