/**
 * How groups, projects and environments may be called. Segment and name rules are GitLab's (`lib/gitlab/path_regex.rb`,
 * `lib/gitlab/regex.rb`), so what exists there can be declared here. The `…Problem` functions say what is wrong in words
 * that follow the name, or `null`.
 */

/** Contract §2: first path segments that the gateway needs for itself. */
const reservedSegments = new Set(['-', 'api', 'groups', 'assets', 'metrics', 'login', 'admin', 'help']);

const maxGroupDepth = 20;
const maxLength = 255;
/** Of a whole path: an index of PostgreSQL takes texts of 2,704 bytes at most. */
const maxPath = 1_024;

/** What is wrong with `path` as a group's full path, or `null`. */
export function groupPathProblem(path: string): string | null {
  return pathProblem(path.split('/'), maxGroupDepth, 'groups nest at most 20 deep');
}

/** What is wrong with `path` as a project's full path, or `null`. */
export function projectPathProblem(path: string): string | null {
  const segments = path.split('/');
  if (segments.length < 2) return 'must name a group and a project, such as acme/shop';
  return pathProblem(segments, maxGroupDepth + 1, 'groups nest at most 20 deep');
}

function pathProblem(segments: readonly string[], limit: number, tooDeep: string): string | null {
  for (const segment of segments) {
    const problem = segmentProblem(segment);
    if (problem !== null) return problem;
  }
  const [first = ''] = segments;
  if (reservedSegments.has(first.toLowerCase())) return `must not start with "${first}": that part of the URL is taken`;
  // Where names of anything are taken it means the whole installation.
  if (first.toLowerCase() === 'instance') return 'must not start with "instance", which stands for the whole installation';
  if (segments.join('/').length > maxPath) return `must have at most ${maxPath} characters in all`;
  return segments.length > limit ? tooDeep : null;
}

function segmentProblem(segment: string): string | null {
  if (segment === '') return 'must be segments separated by single slashes, such as acme/shop';
  if (segment.length > maxLength) return `has a segment of more than ${maxLength} characters`;
  if (!/^[A-Za-z0-9_.][A-Za-z0-9_.-]*$/.test(segment)) {
    return 'may hold only letters, digits, "_", "-" and "." in each segment, and no segment starts with "-"';
  }
  if (/(\.|\.git|\.atom)$/.test(segment)) return 'must not have a segment that ends in ".", ".git" or ".atom"';
  return null;
}

/** What is wrong with `name` as an environment's name, or `null`. */
export function environmentNameProblem(name: string): string | null {
  if (name === '') return 'must not be empty';
  if (name.length > maxLength) return `must have at most ${maxLength} characters`;
  if (!/^[A-Za-z0-9_/${}. -]+$/.test(name)) {
    return 'may hold only letters, digits, spaces and "-", "_", "/", "$", "{", "}", "."';
  }
  return name.startsWith('/') || name.endsWith('/') ? 'must not start or end with "/"' : null;
}

/** What is wrong with `scope` as a server's `environment_scope`, or `null`. */
export function environmentScopeProblem(scope: string): string | null {
  if (scope === '') return 'must not be empty; "*" stands for every environment';
  if (scope.length > maxLength) return `must have at most ${maxLength} characters`;
  if (/^[A-Za-z0-9_/${}. *-]+$/.test(scope)) return null;
  return 'may hold only the characters of an environment name and "*"';
}

/** What is wrong with `name` as an environment's Kubernetes namespace (RFC 1123 label), or `null`. Empty: it has none. */
export function kubeNamespaceProblem(name: string): string | null {
  if (name === '' || /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return null;
  return 'must be a Kubernetes namespace: at most 63 lower-case letters, digits and "-", none at the ends';
}

/** A group or project path, or an environment as written on the command line and in files. */
export interface DirectoryName {
  readonly path: string;
  /** The part after the colon in `acme/shop:production`; `null` without a colon. */
  readonly environment: string | null;
}

/** Splits `acme/shop:production` at its first colon (a path has none). Does not check either part. */
export function parseDirectoryName(text: string): DirectoryName {
  const colon = text.indexOf(':');
  return colon < 0 ? { path: text, environment: null } : { path: text.slice(0, colon), environment: text.slice(colon + 1) };
}

/** The path of an endpoint below `external_url`, starting with `/` (contract §2). `slug`: of the environment. */
export function endpointPath(level: 'group' | 'project', path: string): string;
export function endpointPath(level: 'environment', path: string, slug: string): string;
export function endpointPath(level: 'group' | 'project' | 'environment', path: string, slug = ''): string {
  if (level === 'group') return `/groups/${path}/-/prometheus`;
  return level === 'project' ? `/${path}/-/prometheus` : `/${path}/-/environments/${slug}/prometheus`;
}

/** The path one level up: `acme` for `acme/shop`, `null` for `acme`. */
export function parentPath(path: string): string | null {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? null : path.slice(0, slash);
}

/** The paths of the groups above: `a`, `a/b` for `a/b/c`. */
export function ancestorPaths(path: string): string[] {
  const above: string[] = [];
  for (let up = parentPath(path); up !== null; up = parentPath(up)) above.unshift(up);
  return above;
}
