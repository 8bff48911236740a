import type { Group, Server, Target } from './model.ts';

/** One server that was looked at, and what became of it. */
export interface Candidate {
  readonly server: Server;
  /** Where it attaches, such as `project acme/shop`, `environment acme/shop:production` or `the instance`. */
  readonly owner: string;
  readonly outcome: 'chosen' | 'lost';
  /** Why, in words for the operator; never a URL or a credential. */
  readonly reason: string;
}

/** The answer to "which server speaks for this endpoint, and why not the others?" */
export interface Resolution {
  /** `null`: no server for this endpoint. */
  readonly server: Server | null;
  /** Every server on the way, nearest level first, within a level from the best fit to the worst. */
  readonly candidates: readonly Candidate[];
}

interface Level {
  readonly owner: string;
  readonly servers: readonly Server[];
}

const noMatch = -1;

/**
 * The server that answers for `target` (contract §3): the nearest level that has an enabled server whose scope matches;
 * within it the best fit. A project's or group's own endpoint asks only servers of that very level with scope `*`.
 * Stops at the first level that fits and builds no texts: made to be called for every environment of the directory.
 */
export function chooseServer(target: Target, instanceServers: readonly Server[]): Server | null {
  if (target.level === 'group') return bestOf(target.group.servers, null);
  if (target.level === 'project') return bestOf(target.project.servers, null);
  const { environment } = target;
  const near = bestOf(environment.servers, environment.name) ?? bestOf(environment.project.servers, environment.name);
  if (near !== null) return near;
  for (let group: Group | null = environment.project.group; group !== null; group = group.parent) {
    const found = bestOf(group.servers, environment.name);
    if (found !== null) return found;
  }
  return bestOf(instanceServers, environment.name);
}

/** {@link chooseServer} with the whole story: each candidate and why it lost. */
export function resolveServer(target: Target, instanceServers: readonly Server[]): Resolution {
  const server = chooseServer(target, instanceServers);
  const name = target.level === 'environment' ? target.environment.name : null;
  const levels = levelsOf(target, instanceServers);
  const winner = levels.find((level) => server !== null && level.servers.includes(server));
  const candidates = levels.flatMap((level) =>
    [...level.servers]
      .sort((a, b) => compare(a, b, name))
      .map((each): Candidate => {
        const chosen = each === server;
        const reason =
          lossReason(each, name) ?? (chosen ? winReason(each, name) : outranked(server, level === winner ? null : winner));
        return { server: each, owner: level.owner, outcome: chosen ? 'chosen' : 'lost', reason };
      }),
  );
  return { server, candidates };
}

/**
 * How closely a scope fits an environment's name: -1 not at all, `Infinity` the exact name, else the number of
 * characters of the pattern that are not `*`. A `*` matches any characters, `/` included.
 */
export function scopeFit(scope: string, name: string): number {
  const parts = scope.split('*');
  const [first = ''] = parts;
  if (parts.length === 1) return scope === name ? Number.POSITIVE_INFINITY : noMatch;
  const last = parts[parts.length - 1] ?? '';
  const literal = scope.length - (parts.length - 1);
  if (literal > name.length || !name.startsWith(first) || !name.endsWith(last)) return noMatch;
  // Between the anchored ends each part takes its first occurrence: leaves most room for the rest, so no backtracking.
  let from = first.length;
  const end = name.length - last.length;
  for (let i = 1; i < parts.length - 1; i++) {
    const part = parts[i] ?? '';
    const at = name.indexOf(part, from);
    if (at < 0 || at + part.length > end) return noMatch;
    from = at + part.length;
  }
  return literal;
}

/** `name` is `null` for a project's or group's own endpoint. */
function closeness(server: Server, name: string | null): number {
  if (!server.enabled) return noMatch;
  if (name === null) return server.environmentScope === '*' ? 0 : noMatch;
  return scopeFit(server.environmentScope, name);
}

function bestOf(servers: readonly Server[], name: string | null): Server | null {
  let best: Server | null = null;
  let bestFit = noMatch;
  for (const server of servers) {
    const its = closeness(server, name);
    if (its > bestFit || (its !== noMatch && its === bestFit && best !== null && server.name < best.name)) {
      best = server;
      bestFit = its;
    }
  }
  return best;
}

function compare(a: Server, b: Server, name: string | null): number {
  const fits = [closeness(a, name), closeness(b, name)] as const;
  if (fits[0] !== fits[1]) return fits[0] > fits[1] ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

function levelsOf(target: Target, instanceServers: readonly Server[]): Level[] {
  if (target.level === 'group') return [{ owner: `group ${target.group.path}`, servers: target.group.servers }];
  if (target.level === 'project') return [{ owner: `project ${target.project.path}`, servers: target.project.servers }];
  const { environment } = target;
  const { project } = environment;
  const levels: Level[] = [
    { owner: `environment ${project.path}:${environment.name}`, servers: environment.servers },
    { owner: `project ${project.path}`, servers: project.servers },
  ];
  for (let group: Group | null = project.group; group !== null; group = group.parent) {
    levels.push({ owner: `group ${group.path}`, servers: group.servers });
  }
  levels.push({ owner: 'the instance', servers: instanceServers });
  return levels;
}

/** Why a server cannot answer at all, whatever the others are; `null` if it could. */
function lossReason(server: Server, name: string | null): string | null {
  if (!server.enabled) return 'disabled';
  if (closeness(server, name) !== noMatch) return null;
  if (name === null) return `its environment_scope "${server.environmentScope}" speaks for environments only`;
  return `its environment_scope "${server.environmentScope}" does not match "${name}"`;
}

function winReason(server: Server, name: string | null): string {
  if (server.connection === null) return 'the best fit, but its stored credentials cannot be decrypted: nothing answers';
  if (name === null) return 'the best fit of its level';
  return `nearest level with a fitting server; its environment_scope "${server.environmentScope}" fits best`;
}

function outranked(winner: Server | null, nearer: Level | null | undefined): string {
  if (nearer) return `a server of ${nearer.owner} is nearer`;
  return `"${winner?.name}" of the same level fits better or comes first by name`;
}
