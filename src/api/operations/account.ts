/** One's own account: what it is, its password, where it is signed in. */
import { z } from 'zod';
import { isAdministrator } from '../../access/accounts.ts';
import { changePassword } from '../../access/change-password.ts';
import { passwordProblem } from '../../access/passwords.ts';
import { clearSessionCookie } from '../../access/session-cookie.ts';
import { sessionEnd } from '../../access/sessions.ts';
import { sessionObject } from '../../storage/audit-objects.ts';
import { membersOfUser } from '../../storage/members.ts';
import { removeSession, removeSessionsOf, sessionsOf } from '../../storage/sessions.ts';
import { findUser } from '../../storage/users.ts';
import type { ApiCaller } from '../caller.ts';
import { operation } from '../operation.ts';
import { faultAt, noSuchThing } from '../problem.ts';
import { id, idIn, listOf, role, time, timeText } from '../shapes.ts';

const account = z.object({
  id,
  username: z.string(),
  name: z.string(),
  email: z.string().nullable(),
  admin: z.boolean(),
  has_password: z.boolean().meta({ description: 'Without one, only providers sign you in.' }),
  memberships: z.array(
    z.object({
      id,
      on: z.string().meta({ description: 'Path of the group or project; what is below has the role, too.' }),
      role,
      source: z.string().meta({ description: '`manual`, or `oidc:` and the provider whose rules gave it.' }),
    }),
  ),
});

const ownSession = z.object({
  id,
  current: z.boolean().meta({ description: 'Whether it is the one of this request.' }),
  provider: z.string().nullable().meta({ description: 'By which you signed in; `null`: with a password.' }),
  address: z.string().meta({ description: 'From which you signed in.' }),
  user_agent: z.string().meta({ description: 'What the browser called itself then.' }),
  created_at: time,
  last_seen_at: time,
  expires_at: time.meta({ description: 'When it ends if nobody uses it from now on.' }),
});

/** What only a session may do has one. */
function sessionOf({ session }: ApiCaller): NonNullable<ApiCaller['session']> {
  if (session === null) throw new Error('an operation for sessions alone was open to a token');
  return session;
}

export const accountOperations = [
  operation({
    id: 'getAccount',
    method: 'GET',
    path: '/user',
    tag: 'Account',
    summary: 'Read your account',
    permission: 'account.read',
    about: { kind: 'self' },
    answer: account,
    async run({ trx, caller }) {
      const row = await findUser(trx, caller.user.id);
      if (row === undefined) throw noSuchThing();
      const memberships = (await membersOfUser(trx, row.id)).map(({ id, path, role, source }) => ({
        id,
        on: path,
        role,
        source,
      }));
      const { id, username, name, email, password_hash } = row;
      return { id, username, name, email, admin: isAdministrator(row), has_password: password_hash !== null, memberships };
    },
  }),
  operation({
    id: 'updatePassword',
    method: 'PUT',
    path: '/user/password',
    tag: 'Account',
    summary: 'Change your password',
    description: 'All other sessions end. Wrong passwords are counted as at a sign-in.',
    permission: 'account.secure',
    about: { kind: 'self' },
    body: z.strictObject({
      current_password: z.string('must be a text'),
      new_password: z.string('must be a text').meta({ description: 'At least 12 characters.' }),
    }),
    errors: ['too_many_requests'],
    answer: null,
    // It has transactions of its own, and tells the audit log.
    transaction: 'read',
    async prepare({ body, caller, services, now }) {
      const { user, actor } = caller;
      const problem = passwordProblem(body.new_password, user.username);
      if (problem !== null) throw faultAt(['new_password'], problem);
      const from = { address: actor.address ?? '', requestId: actor.requestId ?? '' };
      const change = { current: body.current_password, next: body.new_password, sessionId: sessionOf(caller).id, ...from };
      await changePassword(services, user, change, now);
      await services.refresh();
    },
    async run() {},
  }),
  operation({
    id: 'listSessions',
    method: 'GET',
    path: '/user/sessions',
    tag: 'Account',
    summary: 'List where you are signed in',
    permission: 'account.secure',
    about: { kind: 'self' },
    answer: listOf(ownSession),
    async run({ trx, caller, services, now }) {
      const { activity, sessionLimits } = services;
      const items = (await sessionsOf(trx, caller.user.id)).map((row) => {
        const lastSeen = Math.max(row.created_at, row.last_seen_at ?? 0, activity.lastSeen(row.id));
        const end = sessionEnd({ createdAt: row.created_at, expiresAt: row.expires_at }, lastSeen, sessionLimits());
        return { row, lastSeen, end };
      });
      return {
        items: items
          .filter(({ end }) => end > now)
          .map(({ row: { id, provider, address, user_agent, created_at }, lastSeen, end }) => ({
            id,
            current: id === caller.session?.id,
            provider,
            address,
            user_agent,
            created_at: timeText(created_at),
            last_seen_at: timeText(lastSeen),
            expires_at: timeText(end),
          })),
      };
    },
  }),
  operation({
    id: 'endSession',
    method: 'DELETE',
    path: '/user/sessions/{session}',
    tag: 'Account',
    summary: 'End one of your sessions',
    permission: 'account.secure',
    about: { kind: 'self' },
    answer: null,
    async run({ trx, caller, params, services, record, header }) {
      const own = (await sessionsOf(trx, caller.user.id)).find(({ id }) => id === idIn(params.session));
      if (own === undefined) throw noSuchThing();
      await removeSession(trx, own.id);
      record('signed_out', sessionObject(own.id, caller.user));
      if (own.id === caller.session?.id) header('Set-Cookie', clearSessionCookie(services.sessionCookie()));
    },
  }),
  operation({
    id: 'endAllSessions',
    method: 'DELETE',
    path: '/user/sessions',
    tag: 'Account',
    summary: 'Sign out everywhere',
    description: 'Here, too. Personal tokens stay.',
    permission: 'account.secure',
    about: { kind: 'self' },
    answer: null,
    async run({ trx, caller, object, services, record, header }) {
      record('signed_out', object, { sessions: await removeSessionsOf(trx, caller.user.id) });
      header('Set-Cookie', clearSessionCookie(services.sessionCookie()));
    },
  }),
];
