/** Tokens, which open endpoints. Their text is shown once. */
import { z } from 'zod';
import { type TokenEntry, tokenEntriesAfter, tokenEntry } from '../../access/token-list.ts';
import { createTokenIn, type IssuedToken, revokeTokenIn, rotateTokenIn } from '../../access/tokens.ts';
import { parseDuration } from '../../config/units.ts';
import { findTarget, type TargetName } from '../../directory/find.ts';
import type { AuditObject } from '../../ops/audit.ts';
import type { Trx } from '../../storage/schema.ts';
import type { ApiServices } from '../control-api.ts';
import { operation } from '../operation.ts';
import { faultAt } from '../problem.ts';
import { id, lastMoment, page, pageOf, paging, time, timeText } from '../shapes.ts';

const kinds = ['group', 'project', 'environment'] as const;

const of = z
  .string('must be the name of a group, project or environment')
  .meta({ description: 'What it opens: `acme` (all below it), `acme/shop` (all its environments) or `acme/shop:production`.' });

const token = z.object({
  id,
  of: z.string().meta({ description: 'What it opens.' }),
  name: z.string(),
  username: z.string().meta({ description: 'For HTTP Basic.' }),
  state: z
    .enum(['active', 'expired', 'revoked', 'unreadable'])
    .meta({ description: '`unreadable`: its record was changed by something else than Promgate; it opens nothing.' }),
  allowed_networks: z.array(z.string()).meta({ description: 'Where it may be used from; empty: anywhere.' }),
  created_at: time,
  expires_at: time.nullable().meta({ description: 'null: never.' }),
  revoked_at: time.nullable(),
  previous_until: time.nullable().meta({ description: 'Until when the text before the last rotation stays good.' }),
  last_used_at: time.nullable().meta({ description: 'To the minute or so.' }),
});

const issuedToken = z.object({
  ...token.shape,
  token: z.string().meta({ description: 'Its text: shown now and never again.' }),
  url: z.string().meta({ description: 'Of the endpoint; the token of a group or project opens those below it, too.' }),
});

function show(entry: TokenEntry): z.input<typeof token> {
  return {
    id: entry.id,
    of: entry.target.path,
    name: entry.name,
    username: entry.username,
    state: entry.state,
    allowed_networks: [...entry.allowedNetworks],
    created_at: timeText(entry.createdAt),
    expires_at: timeText(entry.expiresAt),
    revoked_at: timeText(entry.revokedAt),
    previous_until: timeText(entry.previousUntil),
    last_used_at: timeText(entry.lastUsedAt),
  };
}

async function showOne(trx: Trx, tokenId: number, now: number): Promise<z.input<typeof token>> {
  const entry = await tokenEntry(trx, tokenId, now);
  if (entry === undefined) throw new Error('the token has just been there');
  return show(entry);
}

async function showIssued(trx: Trx, issued: IssuedToken, now: number, { externalUrl }: ApiServices) {
  return { ...(await showOne(trx, issued.id, now)), token: issued.token, url: `${externalUrl()}${issued.endpointPath}` };
}

function targetName({ kind, name }: AuditObject): TargetName {
  const level = kinds.find((each) => each === kind);
  if (level === undefined) throw new Error(`no token opens a ${kind}`);
  return { level, path: name };
}

export const tokenOperations = [
  operation({
    id: 'listTokens',
    method: 'GET',
    path: '/tokens',
    tag: 'Tokens',
    summary: 'List the tokens of a group, a project or an environment',
    description: 'Only those that belong to exactly this.',
    permission: 'tokens.read',
    about: { kind: 'named', in: 'query', field: 'of', kinds },
    query: z.strictObject({
      of,
      revoked: z
        .enum(['false', 'true'], 'must be true or false')
        .default('false')
        .meta({ description: 'Whether revoked ones are listed, too.' }),
      ...paging,
    }),
    answer: pageOf(token),
    async run({ trx, object, now, query: { revoked, limit, after } }) {
      const { owner } = await findTarget(trx, targetName(object));
      const entries = await tokenEntriesAfter(trx, owner, { after, limit: limit + 1, revoked: revoked === 'true', now });
      return page(entries, limit, show);
    },
  }),
  operation({
    id: 'createToken',
    method: 'POST',
    path: '/tokens',
    tag: 'Tokens',
    summary: 'Make a token',
    permission: 'tokens.write',
    about: { kind: 'named', in: 'body', field: 'of', kinds },
    body: z.strictObject({
      of,
      name: z.string('must be a text').meta({ description: 'What it is for, such as `grafana`.' }),
      username: z.string('must be a text').optional().meta({ description: 'For HTTP Basic. Left out: `token-` and its number.' }),
      expires_at: z.iso
        .datetime({ offset: true, error: 'must be a time such as 2030-01-31T00:00:00Z, or null' })
        .refine((text) => Date.parse(text) <= lastMoment, 'must be before the year 10000; null: never')
        .nullable()
        .default(null)
        .meta({ description: 'RFC 3339; null: never.' }),
      allowed_networks: z
        .array(z.string('must be a text'), 'must be a list of networks such as 10.0.0.0/8')
        .default([])
        .meta({ description: 'Networks in CIDR notation from which alone it may be used; empty: anywhere.' }),
    }),
    answer: issuedToken,
    status: 201,
    async run({ trx, object, caller, now, body, services, recorded }) {
      const { name, username, expires_at, allowed_networks } = body;
      const given = {
        name,
        ...(username === undefined ? {} : { username }),
        expiresAt: expires_at === null ? null : Date.parse(expires_at),
        allowedNetworks: allowed_networks,
      };
      recorded();
      const issued = await createTokenIn(trx, await findTarget(trx, targetName(object)), given, caller.actor, now);
      return showIssued(trx, issued, now, services);
    },
  }),
  operation({
    id: 'getToken',
    method: 'GET',
    path: '/tokens/{token}',
    tag: 'Tokens',
    summary: 'Read a token',
    permission: 'tokens.read',
    about: { kind: 'token', param: 'token' },
    answer: token,
    run: ({ trx, object, now }) => showOne(trx, Number(object.id), now),
  }),
  operation({
    id: 'rotateToken',
    method: 'POST',
    path: '/tokens/{token}/rotate',
    tag: 'Tokens',
    summary: 'Give a token a new text',
    description:
      'The text before it dies at once, or after the grace period; one that was still in its grace period dies in any case.',
    permission: 'tokens.write',
    about: { kind: 'token', param: 'token' },
    body: z
      .strictObject({
        grace: z
          .string('must be a duration such as 30m, 24h or 0')
          .default('0')
          .meta({ description: 'How long the old text stays good: `0`, `30m`, `24h`.' }),
      })
      .prefault({}),
    answer: issuedToken,
    async run({ trx, object, caller, now, body, services, recorded }) {
      const grace = parseDuration(body.grace);
      if (grace === null) throw faultAt(['grace'], 'must be a duration such as 30m, 24h or 0');
      if (now + grace > lastMoment) throw faultAt(['grace'], 'must end before the year 10000');
      recorded();
      return showIssued(trx, await rotateTokenIn(trx, Number(object.id), grace, caller.actor, now), now, services);
    },
  }),
  operation({
    id: 'revokeToken',
    method: 'DELETE',
    path: '/tokens/{token}',
    tag: 'Tokens',
    summary: 'End a token for good, at once',
    permission: 'tokens.write',
    about: { kind: 'token', param: 'token' },
    answer: null,
    async run({ trx, object, caller, now, recorded }) {
      recorded();
      await revokeTokenIn(trx, Number(object.id), caller.actor, now);
    },
  }),
];
