/** One's own accounts at OpenID providers, with which one signs in. */
import { z } from 'zod';
import { unlinkIdentity } from '../../access/oidc-removal.ts';
import { identitiesOf } from '../../storage/identities.ts';
import { operation } from '../operation.ts';
import { faultAt, noSuchThing } from '../problem.ts';
import { id, idIn, listOf, time, timeText } from '../shapes.ts';

const identity = z.object({
  id,
  provider: z.string().meta({ description: 'Its name in the configuration.' }),
  issuer: z.string(),
  subject: z.string().meta({ description: 'What the issuer calls you.' }),
  created_at: time,
  last_sign_in_at: time.nullable(),
});

export const identityOperations = [
  operation({
    id: 'listIdentities',
    method: 'GET',
    path: '/user/identities',
    tag: 'Account',
    summary: 'List your linked accounts',
    permission: 'account.secure',
    about: { kind: 'self' },
    answer: listOf(identity),
    async run({ trx, caller }) {
      const rows = await identitiesOf(trx, caller.user.id);
      return {
        items: rows.map(({ id, provider, issuer, subject, created_at, last_sign_in_at }) => {
          const times = { created_at: timeText(created_at), last_sign_in_at: timeText(last_sign_in_at) };
          return { id, provider, issuer, subject, ...times };
        }),
      };
    },
  }),
  operation({
    id: 'linkIdentity',
    method: 'POST',
    path: '/user/identities',
    tag: 'Account',
    summary: 'Begin to link an account at a provider',
    description: 'Send the browser to `location`. When it comes back the account is linked; nothing is before.',
    permission: 'account.secure',
    about: { kind: 'self' },
    body: z.strictObject({
      provider: z.string('must be a text').meta({ description: 'Name of a provider in the configuration.' }),
    }),
    answer: z.object({ location: z.string().meta({ description: 'URL of the provider.' }) }),
    // Nothing changes before the browser is back.
    transaction: 'read',
    async prepare({ body: { provider }, caller, services }) {
      const { oidc, allSettings } = services;
      const providers = allSettings().oidc.providers.map(({ name }) => name);
      if (!providers.includes(provider)) {
        const known = providers.length === 0 ? 'there are none' : `it must be one of ${providers.join(', ')}`;
        throw faultAt(['provider'], `there is no such provider: ${known}`);
      }
      return oidc.linkStart(caller.user, provider, `${services.settings().basePath}/`);
    },
    async run({ prepared: { location, cookie }, header }) {
      header('Set-Cookie', cookie);
      return { location };
    },
  }),
  operation({
    id: 'unlinkIdentity',
    method: 'DELETE',
    path: '/user/identities/{identity}',
    tag: 'Account',
    summary: 'Remove the link to an account at a provider',
    description:
      'With the roles that the provider’s rules gave, and the sessions that began with it. Not where nothing else signs you in.',
    permission: 'account.secure',
    about: { kind: 'self' },
    errors: ['conflict'],
    answer: null,
    async run({ trx, caller, params, now, recorded }) {
      const known = await unlinkIdentity(trx, caller.user.id, idIn(params.identity), caller.actor, now);
      if (!known) throw noSuchThing();
      recorded();
    },
  }),
];
