/** What a provider's rules give: roles on groups and projects, and being an administrator. As of the last sign-in with it. */
import type { OidcProvider, RoleRule } from '../config/identity.ts';
import type { Actor, AuditEvent } from '../ops/audit.ts';
import { memberObject, userObject } from '../storage/audit-objects.ts';
import { findGroup } from '../storage/groups.ts';
import {
  deleteMembers,
  insertMember,
  type MemberOf,
  memberOf,
  membershipsOf,
  oidcSource,
  updateMember,
} from '../storage/members.ts';
import { findProject } from '../storage/projects.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { updateUser } from '../storage/users.ts';
import { type Claims, claimAt } from './claims.ts';
import { higher, type Role } from './roles.ts';

export interface Given {
  readonly admin: boolean;
  /** Path of a group or project, as the rule has it → the highest role there. */
  readonly roles: ReadonlyMap<string, Role>;
}

/** What the rules give to somebody with these claims. */
export function givenBy(rules: readonly RoleRule[], claims: Claims): Given {
  const roles = new Map<string, Role>();
  let admin = false;
  for (const { claim, value, gives } of rules) {
    const found = claimAt(claims, claim);
    if (found !== value && !(Array.isArray(found) && found.includes(value))) continue;
    if ('admin' in gives) admin = true;
    else roles.set(gives.on, higher(roles.get(gives.on) ?? null, gives.role) ?? gives.role);
  }
  return { admin, roles };
}

export interface Application {
  /** Who made it so, for the audit log. */
  readonly actor: Actor;
  /** Unix milliseconds. */
  readonly at: number;
  /** Told of each path that names no group and no project: its rules are passed over. */
  readonly missing: (path: string) => void;
}

/**
 * Makes what the user has from this provider exactly what its rules give now. What people gave by hand, and what other providers
 * gave, stays. Gives the events to record.
 */
export async function applyRules(
  trx: Trx,
  user: Row<'users'>,
  provider: Pick<OidcProvider, 'name' | 'rules'>,
  claims: Claims,
  { actor, at, missing }: Application,
): Promise<AuditEvent[]> {
  const given = givenBy(provider.rules, claims);
  const wanted = new Map<string, { on: MemberOf; role: Role }>();
  for (const [path, role] of given.roles) {
    const on = await placeNamed(trx, path);
    if (on === null) missing(path);
    // Two ways to write one path come together here.
    else wanted.set(keyOf(on), { on, role: higher(wanted.get(keyOf(on))?.role ?? null, role) ?? role });
  }
  const source = oidcSource(provider.name);
  const events: AuditEvent[] = [];
  for (const row of await membershipsOf(trx, user.id)) {
    if (row.source !== source) continue;
    const key = keyOf(memberOf(row));
    const role = wanted.get(key)?.role;
    wanted.delete(key);
    if (role === row.role) continue;
    const object = await memberObject(trx, row);
    if (role === undefined) {
      await deleteMembers(trx, [row.id]);
      events.push({ actor, action: 'removed', object, detail: { role: row.role, source } });
    } else {
      await updateMember(trx, row.id, role);
      events.push({ actor, action: 'changed', object, detail: { fields: ['role'], role, before: row.role, source } });
    }
  }
  for (const { on, role } of wanted.values()) {
    const row = await insertMember(trx, on, { userId: user.id, role, source, at });
    events.push({ actor, action: 'created', object: await memberObject(trx, row), detail: { role, source } });
  }
  return [...events, ...(await applyAdmin(trx, user, provider.name, given.admin, actor))];
}

/** Only what this provider gave is taken, and where another one gives it already there is nothing to give. */
async function applyAdmin(trx: Trx, user: Row<'users'>, provider: string, admin: boolean, actor: Actor): Promise<AuditEvent[]> {
  const becomes = admin ? (user.admin_by ?? provider) : user.admin_by === provider ? null : user.admin_by;
  if (becomes === user.admin_by) return [];
  await updateUser(trx, user.id, { admin_by: becomes });
  return [
    { actor, action: 'changed', object: userObject(user), detail: { fields: ['admin'], admin, source: oidcSource(provider) } },
  ];
}

async function placeNamed(trx: Trx, path: string): Promise<MemberOf | null> {
  const group = await findGroup(trx, path);
  if (group !== undefined) return { level: 'group', id: group.id };
  const project = await findProject(trx, path);
  return project === undefined ? null : { level: 'project', id: project.id };
}

function keyOf({ level, id }: MemberOf): string {
  return `${level} ${id}`;
}
