/**
 * The snapshot: the whole directory, groups to tokens, as objects and maps in memory. The corridor reads only this, so
 * no question waits for the database, and a look-up costs the same with 10 or 100,000 environments.
 *
 * It is loaded once and then patched from the change log (`watch.ts`). A patch is one synchronous step: a reader never
 * sees half of it. Servers and tokens are replaced as objects; groups, projects and environments keep their identity,
 * because others refer to them.
 */
import type { PurgeEpochs } from '../cache/purge.ts';
import type { Environment, Group, Project, Server, Target, Token } from './model.ts';
import { People } from './people.ts';
import { chooseServer, type Resolution, resolveServer } from './resolve.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Owner = Mutable<Group> | Mutable<Project> | Mutable<Environment>;
// The maps hold targets: one for each thing it speaks for, so that what is derived from it can be remembered by identity.
type GroupTarget = { readonly level: 'group'; readonly group: Mutable<Group> };
type ProjectTarget = { readonly level: 'project'; readonly project: Mutable<Project> };
type EnvironmentTarget = { readonly level: 'environment'; readonly environment: Mutable<Environment> };

const NONE: readonly Server[] = Object.freeze([]);

/** Where a server or token attaches; exactly one is set, none for the instance. The rows of the tables have this shape. */
export interface OwnerIds {
  readonly group_id: number | null;
  readonly project_id: number | null;
  readonly environment_id: number | null;
}

/** See the head of this file. `put…` and `remove…` take rows; a row refers only to rows that were put before it. */
export class Directory {
  readonly people = new People();
  readonly #groups = new Map<number, GroupTarget>();
  readonly #projects = new Map<number, ProjectTarget>();
  readonly #environments = new Map<number, EnvironmentTarget>();
  readonly #servers = new Map<number, { server: Server; owner: Owner | null }>();
  readonly #tokens = new Map<number, Token>();

  readonly #groupsByPath = new Map<string, GroupTarget>();
  readonly #projectsByPath = new Map<string, ProjectTarget>();
  /** `acme/shop:production` by slug. Ids are looked up in `#environments`: a slug starts with a letter, an id never. */
  readonly #environmentsBySlug = new Map<string, EnvironmentTarget>();
  readonly #tokensByHash = new Map<string, Token>();
  /** Epochs by subject; subjects by the ids of their rows. */
  readonly #purges = new Map<string, number>();
  readonly #purgeSubjects = new Map<number, string>();
  #instanceServers: readonly Server[] = NONE;
  #generation = 0;
  /** Something was removed below which there may be more. */
  #orphans = false;

  /** Grows with every change to servers, the tree or purges (not to tokens): what was derived from them before is stale. */
  get generation(): number {
    return this.#generation;
  }

  /** Epochs of the cache. */
  get purges(): PurgeEpochs {
    return this.#purges;
  }

  get size(): { groups: number; projects: number; environments: number; servers: number; tokens: number } {
    return {
      groups: this.#groups.size,
      projects: this.#projects.size,
      environments: this.#environments.size,
      servers: this.#servers.size,
      tokens: this.#tokens.size,
    };
  }

  group(path: string): Target | null {
    return this.#groupsByPath.get(path) ?? null;
  }

  project(path: string): Target | null {
    return this.#projectsByPath.get(path) ?? null;
  }

  /** By slug or id. */
  environment(projectPath: string, slugOrId: string): Target | null {
    return this.#environmentsBySlug.get(`${projectPath}:${slugOrId}`) ?? this.#environmentById(projectPath, slugOrId);
  }

  /** The token that has (or until lately had) this secret's hash; revoked ones are not in the snapshot. */
  tokenByHash(hash: string): Token | undefined {
    return this.#tokensByHash.get(hash);
  }

  server(target: Target): Server | null {
    return chooseServer(target, this.#instanceServers);
  }

  explain(target: Target): Resolution {
    return resolveServer(target, this.#instanceServers);
  }

  servers(): Server[] {
    return Array.from(this.#servers.values(), ({ server }) => server);
  }

  /** All servers of a name, and what each attaches to: `instance`, `acme`, `acme/shop` or `acme/shop:production`. */
  serversNamed(name: string): { server: Server; owner: string }[] {
    const named = [...this.#servers.values()].filter(({ server }) => server.name === name);
    return named.map(({ server, owner }) => ({ server, owner: ownerName(owner) }));
  }

  putGroup(row: { id: number; path: string; parent_id: number | null }): void {
    const parent = row.parent_id === null ? null : this.#groupOf(row.parent_id);
    const known = this.#groups.get(row.id);
    if (known !== undefined) deleteOwn(this.#groupsByPath, known.group.path, known);
    const target = known ?? { level: 'group', group: { id: row.id, path: row.path, parent, servers: NONE } };
    target.group.path = row.path;
    target.group.parent = parent;
    this.#groups.set(row.id, target);
    this.#groupsByPath.set(row.path, target);
    this.#generation++;
  }

  putProject(row: { id: number; path: string; group_id: number }): void {
    const group = this.#groupOf(row.group_id);
    const known = this.#projects.get(row.id);
    const target = known ?? { level: 'project', project: { id: row.id, path: row.path, group, servers: NONE } };
    const { project } = target;
    const before = project.path;
    project.path = row.path;
    project.group = group;
    this.#projects.set(row.id, target);
    if (before !== row.path) this.#renameProject(target, before);
    this.#projectsByPath.set(row.path, target);
    this.#generation++;
  }

  putEnvironment(row: { id: number; project_id: number; name: string; slug: string; kube_namespace: string }): void {
    const project = this.#projectOf(row.project_id);
    const known = this.#environments.get(row.id);
    if (known !== undefined) deleteOwn(this.#environmentsBySlug, slugKey(known.environment), known);
    const fields = { name: row.name, slug: row.slug, kubeNamespace: row.kube_namespace, project };
    const target: EnvironmentTarget = known ?? { level: 'environment', environment: { id: row.id, ...fields, servers: NONE } };
    Object.assign(target.environment, fields);
    this.#environments.set(row.id, target);
    this.#environmentsBySlug.set(slugKey(target.environment), target);
    this.#generation++;
  }

  putServer(server: Server, owner: OwnerIds): void {
    this.removeServer(server.id);
    const at = this.#ownerOf(owner);
    this.#servers.set(server.id, { server, owner: at });
    this.#setServers(at, [...this.#serversOf(at), server]);
    this.#generation++;
  }

  /** `target` of the token comes from `owner`. */
  putToken(token: Omit<Token, 'target'>, owner: OwnerIds): void {
    this.removeToken(token.id);
    const complete: Token = { ...token, target: this.#tokenTarget(owner) };
    this.#tokens.set(token.id, complete);
    this.#tokensByHash.set(token.hash, complete);
    if (token.previousHash !== null) this.#tokensByHash.set(token.previousHash, complete);
  }

  putPurge(row: { id: number; subject: string; epoch: number }): void {
    this.#purgeSubjects.set(row.id, row.subject);
    this.#purges.set(row.subject, row.epoch);
    this.#generation++;
  }

  removePurge(id: number): void {
    const subject = this.#purgeSubjects.get(id);
    if (subject === undefined) return;
    this.#purgeSubjects.delete(id);
    this.#purges.delete(subject);
    this.#generation++;
  }

  removeGroup(id: number): void {
    const target = this.#groups.get(id);
    if (target === undefined) return;
    this.#groups.delete(id);
    this.#orphans = true;
    deleteOwn(this.#groupsByPath, target.group.path, target);
    this.#generation++;
  }

  removeProject(id: number): void {
    const target = this.#projects.get(id);
    if (target === undefined) return;
    this.#projects.delete(id);
    this.#orphans = true;
    deleteOwn(this.#projectsByPath, target.project.path, target);
    this.#generation++;
  }

  removeEnvironment(id: number): void {
    const target = this.#environments.get(id);
    if (target === undefined) return;
    this.#environments.delete(id);
    this.#orphans = true;
    deleteOwn(this.#environmentsBySlug, slugKey(target.environment), target);
    this.#generation++;
  }

  removeServer(id: number): void {
    const entry = this.#servers.get(id);
    if (entry === undefined) return;
    this.#servers.delete(id);
    this.#setServers(
      entry.owner,
      this.#serversOf(entry.owner).filter((each) => each.id !== id),
    );
    this.#generation++;
  }

  removeToken(id: number): void {
    const token = this.#tokens.get(id);
    if (token === undefined) return;
    this.#tokens.delete(id);
    for (const hash of [token.hash, token.previousHash]) {
      if (hash !== null) deleteOwn(this.#tokensByHash, hash, token);
    }
  }

  /**
   * Removes what lies below something that was removed, but stayed itself: SQLite's own shell heeds no foreign keys, so a
   * project that was deleted with it leaves its environments and tokens behind. Servers of what is gone answer for nothing.
   */
  removeOrphans(): void {
    if (!this.#orphans) return;
    this.#orphans = false;
    for (let before = -1; before !== this.#groups.size; ) {
      before = this.#groups.size;
      for (const { group } of this.#groups.values()) {
        if (group.parent !== null && !this.#groups.has(group.parent.id)) this.removeGroup(group.id);
      }
    }
    for (const { project } of this.#projects.values()) {
      if (!this.#groups.has(project.group.id)) this.removeProject(project.id);
    }
    for (const { environment } of this.#environments.values()) {
      if (!this.#projects.has(environment.project.id)) this.removeEnvironment(environment.id);
    }
    for (const token of this.#tokens.values()) if (!this.#holds(token.target)) this.removeToken(token.id);
  }

  #holds(target: Target): boolean {
    if (target.level === 'group') return this.#groups.has(target.group.id);
    if (target.level === 'project') return this.#projects.has(target.project.id);
    return this.#environments.has(target.environment.id);
  }

  #environmentById(projectPath: string, id: string): Target | null {
    if (!/^[1-9]\d{0,15}$/.test(id)) return null;
    const target = this.#environments.get(Number(id));
    return target !== undefined && target.environment.project.path === projectPath ? target : null;
  }

  #groupOf(id: number): Mutable<Group> {
    return must(this.#groups.get(id), 'group', id).group;
  }

  #projectOf(id: number): Mutable<Project> {
    return must(this.#projects.get(id), 'project', id).project;
  }

  #tokenTarget({ group_id, project_id, environment_id }: OwnerIds): Target {
    if (group_id !== null) return must(this.#groups.get(group_id), 'group', group_id);
    if (project_id !== null) return must(this.#projects.get(project_id), 'project', project_id);
    return must(this.#environments.get(environment_id ?? 0), 'environment', environment_id ?? 0);
  }

  #ownerOf({ group_id, project_id, environment_id }: OwnerIds): Owner | null {
    if (group_id !== null) return this.#groupOf(group_id);
    if (project_id !== null) return this.#projectOf(project_id);
    return environment_id === null
      ? null
      : must(this.#environments.get(environment_id), 'environment', environment_id).environment;
  }

  #serversOf(owner: Owner | null): readonly Server[] {
    return owner === null ? this.#instanceServers : owner.servers;
  }

  #setServers(owner: Owner | null, servers: readonly Server[]): void {
    if (owner === null) this.#instanceServers = servers;
    else owner.servers = servers.length === 0 ? NONE : servers;
  }

  #renameProject(renamed: ProjectTarget, before: string): void {
    deleteOwn(this.#projectsByPath, before, renamed);
    for (const target of this.#environments.values()) {
      if (target.environment.project !== renamed.project) continue;
      deleteOwn(this.#environmentsBySlug, `${before}:${target.environment.slug}`, target);
      this.#environmentsBySlug.set(slugKey(target.environment), target);
    }
  }
}

function ownerName(owner: Owner | null): string {
  if (owner === null) return 'instance';
  return 'project' in owner ? `${owner.project.path}:${owner.name}` : owner.path;
}

function slugKey({ project, slug }: Environment): string {
  return `${project.path}:${slug}`;
}

/** Where several things change names in one patch, another one may have the old name already: that entry stays. */
function deleteOwn<T>(map: Map<string, T>, key: string, own: T): void {
  if (map.get(key) === own) map.delete(key);
}

function must<T>(value: T | undefined, what: string, id: number): T {
  if (value === undefined) throw new Error(`the directory refers to ${what} ${id}, which does not exist`);
  return value;
}
