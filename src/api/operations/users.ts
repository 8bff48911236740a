/** Accounts, for administrators. */
import { z } from 'zod';
import {
  blockAccount,
  createAccount,
  emailProblem,
  isAdministrator,
  unblockAccount,
  usernameProblem,
} from '../../access/accounts.ts';
import { createOneTimeLink, LINK_LIFETIME, linkUrl } from '../../access/one-time-links.ts';
import { passwordProblem } from '../../access/passwords.ts';
import { PromgateError } from '../../errors.ts';
import { memberObject, userObject } from '../../storage/audit-objects.ts';
import { membershipsOf } from '../../storage/members.ts';
import type { Row } from '../../storage/schema.ts';
import { removeSessionsOf } from '../../storage/sessions.ts';
import { deleteUser, updateUser, usersAfter } from '../../storage/users.ts';
import { type Call, operation } from '../operation.ts';
import { faultAt } from '../problem.ts';
import { fitting, id, page, pageOf, paging, textOf, time, timeText } from '../shapes.ts';

const user = z.object({
  id,
  username: z.string(),
  name: z.string(),
  email: z.string().nullable(),
  admin: z.boolean(),
  admin_by: z
    .string()
    .nullable()
    .meta({ description: 'Name of the provider whose rules make the user an administrator, as of the last sign-in with it.' }),
  state: z.enum(['active', 'blocked']),
  has_password: z.boolean().meta({ description: 'Without one, only providers sign the user in.' }),
  created_at: time,
  last_sign_in_at: time.nullable(),
});

const oneTimeLink = z.string().meta({
  description: 'Where the user sets a password. It works once, for a day, is shown only here, and ends those made before.',
});

const fields = {
  name: textOf(255, 'As others read it. Empty: the username.'),
  email: z
    .string('must be a text or null')
    .check(fitting(emailProblem))
    .nullable()
    .meta({ description: 'Where `link_by_email` is set for a provider, whoever has this address there is this user.' }),
  admin: z.boolean('must be true or false').meta({ description: 'Whether they may do everything.' }),
};

function show(row: Row<'users'>): z.input<typeof user> {
  const { id, username, name, email, admin_by, state } = row;
  return {
    id,
    username,
    name,
    email,
    admin: isAdministrator(row),
    admin_by,
    state,
    has_password: row.password_hash !== null,
    created_at: timeText(row.created_at),
    last_sign_in_at: timeText(row.last_sign_in_at),
  };
}

function rowOf({ trx, object }: Pick<Call, 'trx' | 'object'>): Promise<Row<'users'>> {
  return trx.selectFrom('users').selectAll().where('id', '=', object.id).executeTakeFirstOrThrow();
}

/**
 * Throws `conflict` where it is the caller's own account. So there is always an administrator left: the one who asks, and is not
 * blocked.
 */
function checkOther({ caller, object }: Pick<Call, 'caller' | 'object'>, deed: string): void {
  if (object.id !== caller.user.id) return;
  throw new PromgateError('conflict', `you cannot ${deed} yourself: another administrator can`);
}

async function newLink({ trx, services, now }: Pick<Call, 'trx' | 'services' | 'now'>, row: Row<'users'>) {
  return linkUrl(services.externalUrl(), await createOneTimeLink(trx, row.id, { now }));
}

const about = { kind: 'user', param: 'user' } as const;

export const userOperations = [
  operation({
    id: 'listUsers',
    method: 'GET',
    path: '/users',
    tag: 'Users',
    summary: 'List all users',
    permission: 'users.read',
    about: { kind: 'instance' },
    query: z.strictObject(paging),
    answer: pageOf(user),
    run: async ({ trx, query: { limit, after } }) => page(await usersAfter(trx, after, limit + 1), limit, show),
  }),
  operation({
    id: 'createUser',
    method: 'POST',
    path: '/users',
    tag: 'Users',
    summary: 'Add a user',
    permission: 'users.write',
    about: { kind: 'instance' },
    body: z.strictObject({
      username: z.string('must be a text').check(fitting(usernameProblem)),
      name: fields.name.default(''),
      email: fields.email.default(null),
      admin: fields.admin.default(false),
      password: z
        .string('must be a text')
        .optional()
        .meta({ description: 'At least 12 characters. Left out: the answer has a one-time link instead.' }),
    }),
    errors: ['conflict'],
    answer: user.extend({ one_time_link: oneTimeLink.nullable() }),
    status: 201,
    async prepare({ body: { username, password }, services }) {
      if (password === undefined) return null;
      const problem = passwordProblem(password, username);
      if (problem !== null) throw faultAt(['password'], problem);
      return services.passwords.hash(password);
    },
    async run(call) {
      const { trx, caller, body, prepared, now } = call;
      const { username, name, email, admin } = body;
      const row = await createAccount(trx, { username, name, email, admin, passwordHash: prepared }, caller.actor, now);
      if (prepared !== null) {
        call.recorded();
        return { ...show(row), one_time_link: null };
      }
      call.record('one_time_link_created', userObject(row));
      return { ...show(row), one_time_link: await newLink(call, row) };
    },
  }),
  operation({
    id: 'getUser',
    method: 'GET',
    path: '/users/{user}',
    tag: 'Users',
    summary: 'Read a user',
    description: 'By id or username.',
    permission: 'users.read',
    about,
    answer: user,
    etag: true,
    run: async (call) => show(await rowOf(call)),
  }),
  operation({
    id: 'updateUser',
    method: 'PATCH',
    path: '/users/{user}',
    tag: 'Users',
    summary: 'Change a user',
    description: 'Blocking ends all sessions at once, and personal tokens do nothing until the user is unblocked.',
    permission: 'users.write',
    about,
    body: z.strictObject({
      name: fields.name.optional(),
      email: fields.email.optional(),
      admin: fields.admin.optional(),
      state: z.enum(['active', 'blocked'], 'must be active or blocked').optional(),
    }),
    errors: ['conflict'],
    answer: user,
    etag: true,
    current: async (call) => show(await rowOf(call)),
    async run(call) {
      const { trx, body, caller, now } = call;
      const row = await rowOf(call);
      if (body.admin === false && isAdministrator(row)) {
        checkOther(call, 'demote');
        if (row.admin_by !== null) {
          throw new PromgateError('conflict', `the rules of the provider ${row.admin_by} make ${row.username} an administrator`);
        }
      }
      const changes = {
        name: body.name === undefined ? row.name : body.name.trim() || row.username,
        email: body.email === undefined ? row.email : body.email,
        // Who sends back what was read must not make lasting what a provider's rules give.
        admin: body.admin === undefined || body.admin === isAdministrator(row) ? row.admin : Number(body.admin),
      };
      const changed = (Object.keys(changes) as (keyof typeof changes)[]).filter((key) => changes[key] !== row[key]);
      if (changed.length > 0) {
        await updateUser(trx, row.id, changes);
        call.record('changed', call.object, { fields: changed, ...(changed.includes('admin') ? { admin: body.admin } : {}) });
      }
      if (body.state === 'blocked') checkOther(call, 'block');
      if (body.state === 'blocked') await blockAccount(trx, row, caller.actor, now);
      if (body.state === 'active') await unblockAccount(trx, row, caller.actor, now);
      // Blocking tells the audit log itself.
      call.recorded();
      return show(await rowOf(call));
    },
  }),
  operation({
    id: 'deleteUser',
    method: 'DELETE',
    path: '/users/{user}',
    tag: 'Users',
    summary: 'Remove a user',
    description: 'With all sessions, roles and personal tokens. Whoever is only to be kept out is better blocked.',
    permission: 'users.write',
    about,
    errors: ['conflict'],
    answer: null,
    current: async (call) => show(await rowOf(call)),
    async run(call) {
      const { trx, object, record } = call;
      checkOther(call, 'remove');
      // Owners read who is no longer with them; of users they read nothing.
      for (const row of await membershipsOf(trx, Number(object.id))) {
        record('removed', await memberObject(trx, row), { role: row.role, source: row.source });
      }
      await deleteUser(trx, Number(object.id));
      record('removed');
    },
  }),
  operation({
    id: 'createUserLink',
    method: 'POST',
    path: '/users/{user}/one_time_link',
    tag: 'Users',
    summary: 'Make a link with which a user sets a new password',
    permission: 'users.write',
    about,
    errors: ['conflict'],
    answer: z.object({ one_time_link: oneTimeLink, expires_at: time }),
    status: 201,
    async run(call) {
      const row = await rowOf(call);
      if (row.state !== 'active') throw new PromgateError('conflict', `${row.username} is blocked: the link would do nothing`);
      call.record('one_time_link_created');
      return { one_time_link: await newLink(call, row), expires_at: timeText(call.now + LINK_LIFETIME) };
    },
  }),
  operation({
    id: 'endUserSessions',
    method: 'DELETE',
    path: '/users/{user}/sessions',
    tag: 'Users',
    summary: 'Sign a user out everywhere',
    permission: 'users.write',
    about,
    answer: null,
    async run({ trx, object, record, unchanged }) {
      const sessions = await removeSessionsOf(trx, Number(object.id));
      if (sessions > 0) record('signed_out', object, { sessions });
      else unchanged();
    },
  }),
];
