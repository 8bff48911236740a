/**
 * Data-plane URLs (contract §2): which object a path speaks for and what is asked below its prefix.
 * Works on the raw path; nothing is decoded, because no name in a prefix ever needs percent-encoding.
 */

export type Address =
  | { readonly level: 'group'; readonly path: string; readonly below: string }
  | { readonly level: 'project'; readonly path: string; readonly below: string }
  | { readonly level: 'environment'; readonly path: string; readonly environment: string; readonly below: string };

const ENVIRONMENTS = 'environments/';
const PROMETHEUS = 'prometheus';
const GROUPS = 'groups/';

/**
 * Reads a raw URL path. `basePath` is the path of `external_url` without trailing slash (`''` or `/promgate`).
 * `below` starts with `/` (or is empty), without double or trailing slashes: clients that build URLs by concatenation
 * send `//api/v1/query/`, and a redirect would turn their POST into a GET.
 * `null`: not a data-plane URL.
 */
export function parseAddress(rawPath: string, basePath: string): Address | null {
  const path = rawPath.includes('//') ? rawPath.replace(/\/{2,}/g, '/') : rawPath;
  if (!path.startsWith('/', basePath.length) || !path.startsWith(basePath)) return null;
  const start = basePath.length + 1;
  const dash = path.indexOf('/-/', start);
  if (dash <= start) return null;
  const owner = path.slice(start, dash);
  const rest = path.slice(dash + 3);
  if (rest.startsWith(ENVIRONMENTS)) {
    const end = rest.indexOf('/', ENVIRONMENTS.length);
    if (end <= ENVIRONMENTS.length) return null;
    const below = belowPrometheus(rest, end + 1);
    return below === null
      ? null
      : { level: 'environment', path: owner, environment: rest.slice(ENVIRONMENTS.length, end), below };
  }
  const below = belowPrometheus(rest, 0);
  if (below === null) return null;
  return owner.startsWith(GROUPS)
    ? { level: 'group', path: owner.slice(GROUPS.length), below }
    : { level: 'project', path: owner, below };
}

function belowPrometheus(rest: string, at: number): string | null {
  if (!rest.startsWith(PROMETHEUS, at)) return null;
  const below = rest.slice(at + PROMETHEUS.length);
  if (below !== '' && !below.startsWith('/')) return null;
  return below.endsWith('/') ? below.slice(0, -1) : below;
}
