/** How much endpoints and tokens are used. */
import { z } from 'zod';
import { tokenEntry } from '../../access/token-list.ts';
import { type Counts, keptUsageDays, type Usage, type UsageOf, usageOf } from '../../storage/usage.ts';
import { operation } from '../operation.ts';
import { time, timeText } from '../shapes.ts';

const DAYS = keptUsageDays;

const counts = z.object({
  requests: z.int(),
  refusals: z.int().meta({ description: 'Of them those refused for what was asked, before a server was.' }),
  bytes: z.int().meta({ description: 'Of the bodies of answers, as sent.' }),
  upstream_seconds: z.number().meta({ description: 'How long servers took to begin their answers.' }),
});

const usage = z.object({
  days: z
    .array(z.object({ day: z.iso.date(), ...counts.shape }))
    .meta({ description: `The last ${DAYS} days in UTC, today included, oldest first. Up to date within half a minute.` }),
  total: counts,
});

const levels = ['group', 'project', 'environment'] as const;

function shownCounts({ requests, refusals, bytes, upstreamMs }: Counts): z.input<typeof counts> {
  return { requests, refusals, bytes, upstream_seconds: upstreamMs / 1000 };
}

function shown({ days, total }: Usage): z.input<typeof usage> {
  return { days: days.map(({ day, ...each }) => ({ day, ...shownCounts(each) })), total: shownCounts(total) };
}

export const usageOperations = [
  operation({
    id: 'getTokenUsage',
    method: 'GET',
    path: '/tokens/{token}/usage',
    tag: 'Usage',
    summary: 'Read how much a token is used',
    permission: 'tokens.read',
    about: { kind: 'token', param: 'token' },
    answer: z.object({ last_used_at: time.nullable(), ...usage.shape }),
    async run({ trx, object, now }) {
      const tokenId = Number(object.id);
      const used = await usageOf(trx, { callerKind: 'token', callerId: tokenId }, DAYS, now);
      return { last_used_at: timeText((await tokenEntry(trx, tokenId, now))?.lastUsedAt ?? null), ...shown(used) };
    },
  }),
  operation({
    id: 'getUsage',
    method: 'GET',
    path: '/usage',
    tag: 'Usage',
    summary: 'Read how much an endpoint is used',
    description:
      'By whomever: with any token, by people and by programs. That of a group or project itself, not of what lies below.',
    permission: 'tokens.read',
    about: { kind: 'named', in: 'query', field: 'of', kinds: levels },
    query: z.strictObject({
      of: z
        .string('must be the name of a group, project or environment')
        .meta({ description: 'Whose endpoint: `acme`, `acme/shop` or `acme/shop:production`.' }),
    }),
    answer: usage,
    async run({ trx, object, now }) {
      const of: UsageOf = { level: levels.find((level) => level === object.kind) ?? 'group', targetId: Number(object.id) };
      return shown(await usageOf(trx, of, DAYS, now));
    },
  }),
];
