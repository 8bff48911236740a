/** Signing in and out, for pages with scripts. Programs have personal tokens. */
import { z } from 'zod';
import { isAdministrator } from '../../access/accounts.ts';
import { checkOrigin, csrfToken } from '../../access/csrf.ts';
import { clearSessionCookie, hashSessionCookie, readSessionCookie, setSessionCookie } from '../../access/session-cookie.ts';
import { sessionEnd } from '../../access/sessions.ts';
import { signInWithPassword } from '../../access/sign-in.ts';
import { sessionObject } from '../../storage/audit-objects.ts';
import type { Row } from '../../storage/schema.ts';
import { removeSession } from '../../storage/sessions.ts';
import { findUser } from '../../storage/users.ts';
import { type Call, operation } from '../operation.ts';
import { id, time, timeText } from '../shapes.ts';

const session = z.object({
  user: z.object({ id, username: z.string(), name: z.string(), admin: z.boolean() }),
  csrf_token: z
    .string()
    .nullable()
    .meta({ description: 'To be sent as `X-CSRF-Token` with whatever is no GET; `null` with a personal token.' }),
  expires_at: time.nullable().meta({
    description: 'When the session ends if nobody uses it from now on; `null` with a personal token.',
  }),
  scopes: z.array(z.string()).nullable().meta({ description: 'Of the personal token; `null`: all that the user may.' }),
});

type Signed = Pick<Row<'users'>, 'id' | 'username' | 'name'> & { readonly admin: boolean };

/** With the session that has this hash. */
async function show({ trx, services, now }: Pick<Call, 'trx' | 'services' | 'now'>, user: Signed, hash: string) {
  const { created_at, expires_at } = await trx
    .selectFrom('sessions')
    .select(['created_at', 'expires_at'])
    .where('hash', '=', hash)
    .executeTakeFirstOrThrow();
  const end = sessionEnd({ createdAt: created_at, expiresAt: expires_at }, now, services.sessionLimits());
  return { user, csrf_token: csrfToken(services.csrfKey, { hash }), expires_at: timeText(end), scopes: null };
}

export const sessionOperations = [
  operation({
    id: 'signIn',
    method: 'POST',
    path: '/session',
    tag: 'Session',
    summary: 'Sign in with a password',
    description:
      'Gives the session’s cookie. Where one came along, its session ends. After several wrong passwords one has to wait.',
    permission: null,
    about: { kind: 'instance' },
    body: z.strictObject({ username: z.string('must be a text'), password: z.string('must be a text') }),
    errors: ['too_many_requests'],
    answer: session,
    status: 201,
    // It has transactions of its own, and tells the audit log.
    transaction: 'read',
    async prepare({ body, caller: { actor }, headers, services, now }) {
      checkOrigin(headers, services.externalUrl());
      const previousCookie = readSessionCookie(headers.cookie, services.sessionCookie());
      const from = { address: actor.address ?? '', requestId: actor.requestId ?? '', userAgent: headers['user-agent'] };
      const signedIn = await signInWithPassword(
        { ...services, sessions: services.sessionLimits },
        { ...body, ...from, previousCookie },
        now,
      );
      await services.refresh();
      return signedIn;
    },
    async run(call) {
      const { services, prepared } = call;
      const { id, username, name } = prepared.user;
      const { lifetime } = services.sessionLimits();
      call.header('Set-Cookie', setSessionCookie(services.sessionCookie(), prepared.cookie, lifetime));
      return show(call, { id, username, name, admin: isAdministrator(prepared.user) }, hashSessionCookie(prepared.cookie));
    },
  }),
  operation({
    id: 'getSession',
    method: 'GET',
    path: '/session',
    tag: 'Session',
    summary: 'See who is signed in',
    permission: 'account.read',
    about: { kind: 'self' },
    answer: session,
    async run(call) {
      const { caller, trx } = call;
      const name = (await findUser(trx, caller.user.id))?.name ?? caller.user.username;
      const user = { ...caller.user, name };
      if (caller.session !== null) return show(call, user, caller.session.hash);
      return { user, csrf_token: null, expires_at: null, scopes: caller.scopes === null ? null : [...caller.scopes] };
    },
  }),
  operation({
    id: 'signOut',
    method: 'DELETE',
    path: '/session',
    tag: 'Session',
    summary: 'Sign out',
    permission: 'account.secure',
    about: { kind: 'self' },
    answer: null,
    async run({ trx, caller, services, record, header }) {
      const id = caller.session?.id ?? 0;
      await removeSession(trx, id);
      record('signed_out', sessionObject(id, caller.user));
      header('Set-Cookie', clearSessionCookie(services.sessionCookie()));
    },
  }),
];
