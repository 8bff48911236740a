/** One's own personal tokens, with which programs use this API. */
import { z } from 'zod';
import { scopes } from '../../access/permissions.ts';
import { hashToken, newPersonalTokenText } from '../../access/token-text.ts';
import { personalTokenObject } from '../../storage/audit-objects.ts';
import { insertPersonalToken, personalTokensAfter, revokePersonalToken } from '../../storage/personal-tokens.ts';
import type { Row } from '../../storage/schema.ts';
import { scopesOf } from '../caller.ts';
import { operation } from '../operation.ts';
import { faultAt, noSuchThing } from '../problem.ts';
import { id, idIn, nameOf, page, pageOf, paging, time, timeText } from '../shapes.ts';

const DAY = 86_400_000;
const STANDARD_DAYS = 90;
/** One that nobody thinks of any more must not stay good for ever. */
const MOST_DAYS = 366;

const personalToken = z.object({
  id,
  name: z.string(),
  scopes: z.array(z.string()),
  created_at: time,
  expires_at: time.nullable(),
  revoked_at: time.nullable(),
  last_used_at: time.nullable().meta({ description: 'As of some seconds ago.' }),
});

function show(row: Row<'personal_tokens'> & { last_used_at: number | null }): z.input<typeof personalToken> {
  const { id, name, created_at, expires_at, revoked_at, last_used_at } = row;
  return {
    id,
    name,
    scopes: scopesOf(row),
    created_at: timeText(created_at),
    expires_at: timeText(expires_at),
    revoked_at: timeText(revoked_at),
    last_used_at: timeText(last_used_at),
  };
}

/** Unix milliseconds. */
function expiryOf(given: string | undefined, now: number): number {
  if (given === undefined) return now + STANDARD_DAYS * DAY;
  const at = Date.parse(given);
  if (at <= now) throw faultAt(['expires_at'], 'must be in the future');
  if (at > now + MOST_DAYS * DAY) throw faultAt(['expires_at'], `must be at most ${MOST_DAYS} days from now`);
  return at;
}

export const personalTokenOperations = [
  operation({
    id: 'listPersonalTokens',
    method: 'GET',
    path: '/user/personal_tokens',
    tag: 'Account',
    summary: 'List your personal tokens',
    description: 'Revoked and expired ones, too; never their text.',
    permission: 'account.secure',
    about: { kind: 'self' },
    query: z.strictObject(paging),
    answer: pageOf(personalToken),
    run: async ({ trx, caller, query: { limit, after } }) =>
      page(await personalTokensAfter(trx, caller.user.id, after, limit + 1), limit, show),
  }),
  operation({
    id: 'createPersonalToken',
    method: 'POST',
    path: '/user/personal_tokens',
    tag: 'Account',
    summary: 'Make a personal token',
    description: 'It may what you may, as far as its scopes go, and never more than you at that moment.',
    permission: 'account.secure',
    about: { kind: 'self' },
    body: z.strictObject({
      name: nameOf(255, 'What it is for.'),
      scopes: z
        .array(z.enum(scopes), 'must be a list of scopes')
        .min(1, 'must name at least one scope')
        .refine((list) => new Set(list).size === list.length, 'must name each scope once')
        .meta({ description: 'What it is good for. None includes another: `write` does not include `read`.' }),
      expires_at: z.iso
        .datetime({ offset: true, error: 'must be a time such as 2027-01-31T00:00:00Z' })
        .optional()
        .meta({ description: `At most ${MOST_DAYS} days from now. Left out: ${STANDARD_DAYS} days.` }),
    }),
    answer: personalToken.extend({
      token: z.string().meta({ description: 'Its text, for `Authorization: Bearer`. It is shown only here.' }),
    }),
    status: 201,
    async run({ trx, caller, body: { name, scopes, expires_at }, now, record }) {
      const expiresAt = expiryOf(expires_at, now);
      const token = newPersonalTokenText();
      const fields = { name, scopes, hash: hashToken(token), createdAt: now, expiresAt };
      const row = await insertPersonalToken(trx, { ...fields, userId: caller.user.id });
      record('created', personalTokenObject(row, caller.user), { scopes, expires_at: timeText(expiresAt) });
      return { ...show({ ...row, last_used_at: null }), token };
    },
  }),
  operation({
    id: 'revokePersonalToken',
    method: 'DELETE',
    path: '/user/personal_tokens/{personal_token}',
    tag: 'Account',
    summary: 'Revoke one of your personal tokens',
    description: 'For good, and at once.',
    permission: 'account.secure',
    about: { kind: 'self' },
    answer: null,
    async run({ trx, caller, params, now, record, unchanged }) {
      const id = idIn(params.personal_token);
      const revoked = await revokePersonalToken(trx, caller.user.id, id, now);
      if (revoked !== undefined) return record('revoked', personalTokenObject(revoked, caller.user));
      const [known] = await personalTokensAfter(trx, caller.user.id, id - 1, 1);
      if (known?.id !== id) throw noSuchThing();
      unchanged();
    },
  }),
];
