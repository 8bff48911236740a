/** Making the directory what a resource file says (contract §9). */
import { dirname, resolve } from 'node:path';
import { type Actor, type AuditEvent, theInstance } from '../ops/audit.ts';
import { recordEvents } from '../storage/audit.ts';
import type { Keyring } from '../storage/crypto.ts';
import type { Database } from '../storage/database.ts';
import { registerKey, verifyKey } from '../storage/key-check.ts';
import type { ServerOwner } from '../storage/owner.ts';
import { type ApplyAudit, createApplyAudit } from './apply-audit.ts';
import { type ApplyResult, applyResult, type Change, changedFields } from './apply-changes.ts';
import { conflicts } from './apply-conflicts.ts';
import { type NamedInFile, prune } from './apply-prune.ts';
import { type ApplyState, loadState, ownerKey } from './apply-state.ts';
import { type ApplyWriter, databaseWriter, dryWriter, environmentKey, type New } from './apply-writer.ts';
import { ancestorPaths, parentPath } from './paths.ts';
import { parseResourceFile, type ResourceFile, type ServerSpec } from './resource-file.ts';

export type { ApplyResult, Change } from './apply-changes.ts';

export interface ApplyOptions {
  /** As messages name it; relative paths in the file start from its directory. */
  readonly fileName: string;
  /** Says what would be done, and does nothing. */
  readonly dryRun: boolean;
  /** Removes what an earlier apply made and the file no longer names. */
  readonly prune: boolean;
  /** Takes the keyring's key for the database's, which was another one and is lost; what the file names is sealed with it. */
  readonly newKey?: boolean;
  /** For secrets given as `{ env: NAME }`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For the audit log. */
  readonly actor: Actor;
}

/**
 * Applies the text of a resource file in one transaction. What stands there already as the file says is not touched, so
 * doing it twice changes nothing. Throws `ResourceFileError` with every problem of the file, then with every clash between
 * file and directory, and an Error when the database belongs to another key; either way nothing has changed.
 */
export async function applyResources(
  database: Database,
  keyring: Keyring,
  text: string,
  options: ApplyOptions,
): Promise<ApplyResult> {
  const directory = dirname(resolve(options.fileName));
  const { resources, errorAt } = parseResourceFile(text, { fileName: options.fileName, env: options.env, directory });
  const transaction = options.dryRun ? database.read : database.write;
  return transaction(async (trx) => {
    const writer = options.dryRun ? dryWriter() : databaseWriter(trx, keyring);
    const known = options.newKey !== true && (await verifyKey(trx, keyring));
    if (!known && !options.dryRun) await registerKey(trx, keyring);
    if (options.newKey === true && !options.dryRun) await recordEvents(trx, [keyTaken(options.actor)], Date.now());
    const state = await loadState(trx);
    const named = namesIn(resources);
    const audit = createApplyAudit(state);
    const changes = options.prune ? await prune(state, named, writer, audit) : [];
    const problems = conflicts(resources, state);
    if (problems.length > 0) throw errorAt(problems);
    await make({ state, writer, keyring, changes, audit }, resources);
    await writer.record(audit, options.actor);
    return applyResult(options.dryRun, changes);
  });
}

/** What was sealed with the key before opens no more: administrators are to find when that was, and who did it. */
function keyTaken(actor: Actor): AuditEvent {
  return { actor, action: 'changed', object: theInstance, detail: { fields: ['secret_key'] } };
}

function namesIn(resources: ResourceFile): NamedInFile {
  const groups = new Set<string>();
  for (const { path } of resources.groups) for (const each of [...ancestorPaths(path), path]) groups.add(each.toLowerCase());
  for (const { path } of resources.projects) for (const each of ancestorPaths(path)) groups.add(each.toLowerCase());
  return {
    groups,
    projects: new Map(resources.projects.map((project) => [project.path.toLowerCase(), project])),
    groupServers: new Map(resources.groups.map(({ path, servers }) => [path.toLowerCase(), servers])),
    instanceServers: resources.servers,
  };
}

interface Work {
  readonly state: ApplyState;
  readonly writer: ApplyWriter;
  readonly keyring: Keyring;
  readonly changes: Change[];
  readonly audit: ApplyAudit;
}

/** Down the file level by level, because a row needs its parent's id. */
async function make(work: Work, resources: ResourceFile): Promise<void> {
  await makeServers(work, { level: 'instance' }, 'instance', resources.servers);
  const groups = await makeGroups(work, resources);
  for (const { path, servers } of resources.groups) {
    await makeServers(work, { level: 'group', id: idOf(groups, path) }, path, servers);
  }
  const projects = await makeProjects(work, resources, groups);
  for (const { path, servers } of resources.projects) {
    await makeServers(work, { level: 'project', id: idOf(projects, path) }, path, servers);
  }
  await makeEnvironments(work, resources, projects);
}

/** Ids by path, of the file's groups and of those that its paths imply. */
async function makeGroups({ state, writer, changes, audit }: Work, resources: ResourceFile): Promise<Map<string, number>> {
  const paths = new Set<string>();
  for (const { path } of resources.groups) for (const each of [...ancestorPaths(path), path]) paths.add(each);
  for (const { path } of resources.projects) for (const each of ancestorPaths(path)) paths.add(each);
  const ids = new Map<string, number>();
  const missing: string[] = [];
  for (const path of paths) {
    const row = state.groups.get(path.toLowerCase());
    changes.push({ action: row === undefined ? 'created' : 'unchanged', kind: 'group', name: path });
    if (row === undefined) missing.push(path);
    else ids.set(path, row.id);
  }
  // Level by level: a group's parent is there before it.
  for (const level of byDepth(missing)) {
    const rows = level.map((path) => ({ path, parent_id: parentId(ids, path) }));
    for (const [path, id] of await writer.insertGroups(rows)) {
      ids.set(path, id);
      audit.know('group', path, id);
      audit.note({ action: 'created', kind: 'group', name: path }, id);
    }
  }
  return ids;
}

function byDepth(paths: readonly string[]): string[][] {
  const levels = Map.groupBy(paths, (path) => path.split('/').length);
  return [...levels].sort(([a], [b]) => a - b).map(([, level]) => level);
}

function parentId(ids: ReadonlyMap<string, number>, path: string): number | null {
  const parent = parentPath(path);
  return parent === null ? null : idOf(ids, parent);
}

async function makeProjects(
  { state, writer, changes, audit }: Work,
  resources: ResourceFile,
  groups: ReadonlyMap<string, number>,
): Promise<Map<string, number>> {
  const ids = new Map<string, number>();
  const missing: New<'projects'>[] = [];
  for (const { path } of resources.projects) {
    const row = state.projects.get(path.toLowerCase());
    changes.push({ action: row === undefined ? 'created' : 'unchanged', kind: 'project', name: path });
    if (row !== undefined) ids.set(path, row.id);
    else missing.push({ path, group_id: idOf(groups, parentPath(path) ?? '') });
  }
  for (const [path, id] of await writer.insertProjects(missing)) {
    ids.set(path, id);
    audit.know('project', path, id);
    audit.note({ action: 'created', kind: 'project', name: path }, id);
  }
  return ids;
}

async function makeEnvironments(work: Work, resources: ResourceFile, projects: ReadonlyMap<string, number>): Promise<void> {
  const { state, writer, changes, audit } = work;
  const ids = new Map<string, number>();
  const missing: New<'environments'>[] = [];
  for (const project of resources.projects) {
    const project_id = idOf(projects, project.path);
    const own = state.environments.get(project_id);
    for (const { name, slug, kubeNamespace } of project.environments) {
      const row = own?.get(name);
      const full = `${project.path}:${name}`;
      if (row === undefined) {
        missing.push({ project_id, name, slug, kube_namespace: kubeNamespace });
        changes.push({ action: 'created', kind: 'environment', name: full });
        continue;
      }
      ids.set(environmentKey(row), row.id);
      if (row.kube_namespace === kubeNamespace) changes.push({ action: 'unchanged', kind: 'environment', name: full });
      else {
        await writer.updateEnvironment(row, kubeNamespace);
        const change: Change = { action: 'changed', kind: 'environment', name: full, fields: ['kube_namespace'] };
        changes.push(change);
        audit.note(change, row.id);
      }
    }
  }
  const created = await writer.insertEnvironments(missing);
  for (const { path, environments } of resources.projects) {
    for (const { name, servers } of environments) {
      const key = environmentKey({ project_id: idOf(projects, path), name });
      const isNew = created.has(key);
      const id = idOf(isNew ? created : ids, key);
      if (isNew) audit.note({ action: 'created', kind: 'environment', name: `${path}:${name}` }, id);
      await makeServers(work, { level: 'environment', id }, `${path}:${name}`, servers);
    }
  }
}

async function makeServers(work: Work, owner: ServerOwner, ownerName: string, specs: readonly ServerSpec[]): Promise<void> {
  const { state, writer, keyring, changes, audit } = work;
  const report = (change: Change, id: number): void => {
    changes.push(change);
    audit.note(change, id);
  };
  const own = specs.length === 0 ? undefined : state.servers.get(ownerKey(owner));
  for (const spec of specs) {
    const row = own?.get(spec.name);
    const change = { kind: 'server', name: spec.name, owner: ownerName } as const;
    if (row === undefined) {
      report({ action: 'created', ...change }, await writer.insertServer(owner, spec));
      continue;
    }
    const fields = changedFields(row, spec, keyring);
    if (fields.length > 0) await writer.updateServer(row, spec);
    report(fields.length > 0 ? { action: 'changed', ...change, fields } : { action: 'unchanged', ...change }, row.id);
  }
}

function idOf(ids: ReadonlyMap<string, number>, key: string): number {
  const id = ids.get(key);
  if (id === undefined) throw new Error(`apply lost the id of ${key}`);
  return id;
}
