/**
 * What several values of a resource file must fulfil together. Works on the raw data, so that these problems are reported
 * beside those of single values and not only once all of them are right.
 */
import { ancestorPaths } from './paths.ts';
import { environmentSlug } from './slug.ts';

/** A problem and where it is; the caller turns the path into a position. */
export interface RawProblem {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

type Report = (path: readonly PropertyKey[], message: string) => void;
type Raw = Readonly<Record<string, unknown>>;

/** Every such problem of `file`, the resource file's data as YAML gave it. */
export function crossProblems(file: unknown): RawProblem[] {
  const problems: RawProblem[] = [];
  const report: Report = (path, message) => problems.push({ path, message });
  if (!isRecord(file)) return problems;
  checkServers(file, [], report);
  const spelling = new Map<string, string>();
  const groups = new Set<string>();
  const projects = new Set<string>();
  for (const [index, group] of items(file.groups)) {
    checkPath(group, ['groups', index], 'group', groups, spelling, report);
    checkServers(group, ['groups', index], report);
  }
  for (const [index, project] of items(file.projects)) {
    const at = ['projects', index];
    checkPath(project, at, 'project', projects, spelling, report);
    checkServers(project, at, report);
    checkEnvironments(project, at, report);
  }
  for (const [index, project] of items(file.projects)) checkNotGroup(project, ['projects', index], groups, projects, report);
  for (const [index, group] of items(file.groups)) {
    const above = typeof group.path === 'string' ? ancestorPaths(group.path) : [];
    const project = above.find((path) => projects.has(path.toLowerCase()));
    if (project !== undefined) report(['groups', index, 'path'], `lies below "${project}", which is a project`);
  }
  return problems;
}

function checkPath(
  owner: Raw,
  at: readonly PropertyKey[],
  kind: string,
  seen: Set<string>,
  spelling: Map<string, string>,
  report: Report,
): void {
  const { path } = owner;
  if (typeof path !== 'string') return;
  const key = path.toLowerCase();
  if (seen.has(key)) report([...at, 'path'], `the ${kind} "${path}" is declared twice`);
  seen.add(key);
  for (const each of [...ancestorPaths(path), path]) {
    const other = spelling.get(each.toLowerCase());
    if (other === undefined) spelling.set(each.toLowerCase(), each);
    else if (other !== each) report([...at, 'path'], `"${each}" is written "${other}" elsewhere in this file`);
  }
}

function checkNotGroup(
  project: Raw,
  at: readonly PropertyKey[],
  groups: Set<string>,
  projects: Set<string>,
  report: Report,
): void {
  const { path } = project;
  if (typeof path !== 'string') return;
  if (groups.has(path.toLowerCase())) report([...at, 'path'], `"${path}" is a group as well`);
  const above = ancestorPaths(path).find((each) => projects.has(each.toLowerCase()));
  if (above !== undefined) report([...at, 'path'], `lies below "${above}", which is a project`);
}

function checkEnvironments(project: Raw, at: readonly PropertyKey[], report: Report): void {
  const names = new Set<string>();
  const slugs = new Map<string, string>();
  for (const [index, environment] of items(project.environments)) {
    const path = [...at, 'environments', index];
    checkServers(environment, path, report);
    const { name } = environment;
    if (typeof name !== 'string') continue;
    const slug = environmentSlug(name);
    const other = slugs.get(slug);
    if (names.has(name)) report([...path, 'name'], `the environment "${name}" is declared twice`);
    else if (other !== undefined) report([...path, 'name'], `"${name}" and "${other}" have the same slug, ${slug}`);
    names.add(name);
    slugs.set(slug, name);
  }
}

function checkServers(owner: Raw, at: readonly PropertyKey[], report: Report): void {
  const names = new Set<string>();
  for (const [index, server] of items(owner.servers)) {
    const path = [...at, 'servers', index];
    const { name } = server;
    if (typeof name === 'string' && names.has(name)) report([...path, 'name'], `the server "${name}" is declared twice here`);
    if (typeof name === 'string') names.add(name);
    checkServer(server, path, report);
  }
}

/** Every such problem of one server: its raw data, or what became of it. */
export function serverProblems(server: unknown): RawProblem[] {
  const problems: RawProblem[] = [];
  if (isRecord(server)) checkServer(server, [], (path, message) => problems.push({ path, message }));
  return problems;
}

function checkServer(server: Raw, at: readonly PropertyKey[], report: Report): void {
  const headers = entries(server.headers);
  const authorization = headers.find(([name]) => name.toLowerCase() === 'authorization');
  if (authorization !== undefined && isRecord(server.auth)) {
    report([...at, 'headers', authorization[0]], 'collides with "auth", which sets the same header');
  }
  const seen = new Set<string>();
  for (const [name] of headers) {
    if (seen.has(name.toLowerCase())) report([...at, 'headers', name], 'is given twice: case does not count in header names');
    seen.add(name.toLowerCase());
  }
  for (const key of ['headers', 'query_params', 'enforce']) {
    // zod drops this key without a word.
    if (entries(server[key]).some(([name]) => name === '__proto__')) report([...at, key, '__proto__'], 'is no usable name');
  }
  const { auth, expose, tls } = server;
  if (isRecord(auth) && (auth.basic === undefined) === (auth.bearer === undefined)) {
    report([...at, 'auth'], 'must hold one of "basic" and "bearer"');
  }
  if (Array.isArray(expose) && expose.length > 0 && entries(server.enforce).length > 0) {
    report([...at, 'expose'], 'is not possible together with "enforce": these endpoints cannot be confined');
  }
  if (isRecord(tls) && (tls.cert === undefined) !== (tls.key === undefined)) {
    report([...at, 'tls'], '"cert" and "key" go together: one is missing');
  }
}

function items(list: unknown): [number, Raw][] {
  return Array.isArray(list) ? [...list.entries()].filter((entry): entry is [number, Raw] => isRecord(entry[1])) : [];
}

function entries(record: unknown): [string, unknown][] {
  return isRecord(record) ? Object.entries(record) : [];
}

function isRecord(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
