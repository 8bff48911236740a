/**
 * The people's half of the snapshot: who is signed in, and with which role on what. The corridor reads only this; the API, which
 * changes things, reads the database. Objects are replaced on each change, so whoever holds one holds it as it was.
 */
import { higher, type Role } from '../access/roles.ts';
import type { Group, Project, Target } from './model.ts';

/** A user as the corridor needs it; never the password's hash. */
export interface User {
  readonly id: number;
  readonly username: string;
  readonly admin: boolean;
  readonly blocked: boolean;
}

/** Times are Unix milliseconds. */
export interface Session {
  readonly id: number;
  readonly userId: number;
  /** Lower-case hex SHA-256 of the cookie's value. */
  readonly hash: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

export interface Membership {
  readonly id: number;
  readonly userId: number;
  /** Exactly one of the two is set. */
  readonly groupId: number | null;
  readonly projectId: number | null;
  readonly role: Role;
}

export class People {
  readonly #users = new Map<number, User>();
  readonly #sessions = new Map<number, Session>();
  readonly #sessionsByHash = new Map<string, Session>();
  readonly #memberships = new Map<number, Membership>();
  readonly #membershipsOf = new Map<number, Membership[]>();

  user(id: number): User | undefined {
    return this.#users.get(id);
  }

  /** Ended ones are not there; whether it has expired, or was idle for too long, is not looked at. */
  sessionByHash(hash: string): Session | undefined {
    return this.#sessionsByHash.get(hash);
  }

  /** The highest role that the user has on what the target is or lies in; `null`: none. Says nothing of administrators. */
  roleOn(userId: number, target: Target): Role | null {
    const memberships = this.#membershipsOf.get(userId);
    if (memberships === undefined) return null;
    const project: Project | null =
      target.level === 'environment' ? target.environment.project : target.level === 'project' ? target.project : null;
    const group: Group | null = target.level === 'group' ? target.group : (project?.group ?? null);
    let role: Role | null = null;
    for (const membership of memberships) {
      if (project !== null && membership.projectId === project.id) role = higher(role, membership.role);
      for (let each = group; each !== null; each = each.parent) {
        if (membership.groupId === each.id) role = higher(role, membership.role);
      }
    }
    return role;
  }

  putUser(user: User): void {
    this.#users.set(user.id, user);
  }

  removeUser(id: number): void {
    this.#users.delete(id);
  }

  putSession(session: Session): void {
    this.removeSession(session.id);
    this.#sessions.set(session.id, session);
    this.#sessionsByHash.set(session.hash, session);
  }

  removeSession(id: number): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    this.#sessionsByHash.delete(session.hash);
  }

  putMembership(membership: Membership): void {
    this.removeMembership(membership.id);
    this.#memberships.set(membership.id, membership);
    this.#membershipsOf.set(membership.userId, [...(this.#membershipsOf.get(membership.userId) ?? []), membership]);
  }

  removeMembership(id: number): void {
    const membership = this.#memberships.get(id);
    if (membership === undefined) return;
    this.#memberships.delete(id);
    const left = (this.#membershipsOf.get(membership.userId) ?? []).filter((each) => each.id !== id);
    if (left.length === 0) this.#membershipsOf.delete(membership.userId);
    else this.#membershipsOf.set(membership.userId, left);
  }
}
