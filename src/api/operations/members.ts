/** Members: who has which role on a group or project. */
import { z } from 'zod';
import { PromgateError } from '../../errors.ts';
import type { AuditObject } from '../../ops/audit.ts';
import { memberObject } from '../../storage/audit-objects.ts';
import {
  deleteMembers,
  findMember,
  findMembership,
  insertMember,
  listMembers,
  MANUAL,
  type Member,
  type MemberOf,
  memberWithId,
  updateMember,
} from '../../storage/members.ts';
import { findObject } from '../objects.ts';
import { type Call, operation } from '../operation.ts';
import { noSuchThing } from '../problem.ts';
import { id, idIn, page, pageOf, paging, role, time, timeText } from '../shapes.ts';

const member = z.object({
  id,
  user: z.object({ id, username: z.string(), name: z.string() }),
  role,
  on: z.string().meta({ description: 'Path of the group or project.' }),
  source: z.string().meta({
    description:
      '`manual`, or `oidc:` and the provider whose rules gave the role at the user’s last sign-in. Of several roles the highest counts.',
  }),
  created_at: time,
});

const ofPath = z.string('must be the path of a group or project').meta({ description: 'Path of a group or project.' });

function show(row: Member): z.input<typeof member> {
  const { id, user_id, username, name, role, path, source, created_at } = row;
  return { id, user: { id: user_id, username, name }, role, on: path, source, created_at: timeText(created_at) };
}

function rowOf({ trx, object }: Pick<Call, 'trx' | 'object'>): Promise<Member> {
  return memberWithId(trx, Number(object.id));
}

/** Where roles count for the object: it alone, or with the groups above. */
function placesOf({ kind, id, groupIds }: AuditObject, inherited: boolean): MemberOf[] {
  const self: MemberOf = { level: kind === 'project' ? 'project' : 'group', id: Number(id) };
  return inherited ? [self, ...groupIds.filter((each) => kind === 'project' || each !== id).map(groupWithId)] : [self];
}

function groupWithId(id: number): MemberOf {
  return { level: 'group', id };
}

/** Throws `conflict` for a role that the next sign-in would bring back. */
function checkManual({ source }: Pick<Member, 'source'>): void {
  if (source === MANUAL) return;
  const provider = source.replace(/^oidc:/, '');
  throw new PromgateError(
    'conflict',
    `the rules of the provider ${provider} give this role at each sign-in: it changes with them, or with the groups of the user there`,
  );
}

export const memberOperations = [
  operation({
    id: 'listMembers',
    method: 'GET',
    path: '/members',
    tag: 'Members',
    summary: 'List the members of a group or project',
    permission: 'members.read',
    about: { kind: 'named', in: 'query', field: 'of', kinds: ['group', 'project'] },
    query: z.strictObject({
      ...paging,
      of: ofPath,
      inherited: z
        .enum(['true', 'false'], 'must be true or false')
        .default('false')
        .meta({ description: '`true`: with the members of the groups above, whose roles count here, too.' }),
    }),
    answer: pageOf(member),
    async run({ trx, object, query: { limit, after, inherited } }) {
      return page(await listMembers(trx, placesOf(object, inherited === 'true'), after, limit + 1), limit, show);
    },
  }),
  operation({
    id: 'createMember',
    method: 'POST',
    path: '/members',
    tag: 'Members',
    summary: 'Add a member to a group or project',
    description: 'Where there is no such user the answer is 404, as where there is no such group or project.',
    permission: 'members.write',
    about: { kind: 'named', in: 'body', field: 'of', kinds: ['group', 'project'] },
    body: z.strictObject({
      of: ofPath,
      user: z.string('must be a username').meta({ description: 'Username; administrators may give the id, too.' }),
      role,
    }),
    errors: ['conflict'],
    answer: member,
    status: 201,
    etag: true,
    async run({ trx, caller, object, now, body, record }) {
      // By trying one id after the other an owner of anything could learn of everybody.
      const user = /^\d+$/.test(body.user) && !caller.user.admin ? null : await findObject(trx, 'user', body.user);
      if (user === null) throw noSuchThing();
      const [on] = placesOf(object, false);
      if (on === undefined) throw new Error('members of nothing');
      const known = await findMember(trx, on, Number(user.id));
      if (known !== undefined) {
        throw new PromgateError(
          'conflict',
          `${user.name} is ${known.role} of ${object.name} already: change the member ${known.id}`,
        );
      }
      const row = await insertMember(trx, on, { userId: Number(user.id), role: body.role, at: now });
      record('created', await memberObject(trx, row), { role: row.role });
      return show(await memberWithId(trx, row.id));
    },
  }),
  operation({
    id: 'getMember',
    method: 'GET',
    path: '/members/{member}',
    tag: 'Members',
    summary: 'Read a member',
    permission: 'members.read',
    about: { kind: 'member', param: 'member' },
    answer: member,
    etag: true,
    run: async (call) => show(await rowOf(call)),
  }),
  operation({
    id: 'updateMember',
    method: 'PATCH',
    path: '/members/{member}',
    tag: 'Members',
    summary: 'Change the role of a member',
    permission: 'members.write',
    about: { kind: 'member', param: 'member' },
    body: z.strictObject({ role: role.optional() }),
    errors: ['conflict'],
    answer: member,
    etag: true,
    current: async (call) => show(await rowOf(call)),
    async run(call) {
      const row = await rowOf(call);
      checkManual(row);
      const { role = row.role } = call.body;
      if (role === row.role) {
        call.unchanged();
        return show(row);
      }
      await updateMember(call.trx, row.id, role);
      call.record('changed', call.object, { fields: ['role'], role, before: row.role });
      return show({ ...row, role });
    },
  }),
  operation({
    id: 'deleteMember',
    method: 'DELETE',
    path: '/members/{member}',
    tag: 'Members',
    summary: 'Remove a member',
    permission: 'members.write',
    about: { kind: 'member', param: 'member' },
    errors: ['conflict'],
    answer: null,
    current: async (call) => show(await rowOf(call)),
    async run(call) {
      const row = await rowOf(call);
      checkManual(row);
      await deleteMembers(call.trx, [row.id]);
      call.record('removed', call.object, { role: row.role });
    },
  }),
  operation({
    id: 'leave',
    method: 'DELETE',
    path: '/user/memberships/{member}',
    tag: 'Members',
    summary: 'Give up a role of your own',
    permission: 'account.secure',
    about: { kind: 'self' },
    errors: ['conflict'],
    answer: null,
    async run({ trx, caller, params, record }) {
      const row = await findMembership(trx, idIn(params.member));
      if (row === undefined || row.user_id !== caller.user.id) throw noSuchThing();
      checkManual(row);
      const object = await memberObject(trx, row);
      await deleteMembers(trx, [row.id]);
      record('removed', object, { role: row.role });
    },
  }),
];
