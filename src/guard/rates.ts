/**
 * How many questions may run at once and how many may come in a second: per token, per environment, per server. What
 * is counted is counted in this process: two of them allow twice as much.
 *
 * A question costs a few map look-ups. A library for this would add a promise and a timer to each of them, for
 * stores that are not wanted here; the rule itself is two lines. Source: the Generic Cell Rate Algorithm, ITU-T I.371,
 * annex A (virtual scheduling).
 */
import type { Target } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';

/** Everything 0 or absent: unlimited. Rates are questions per second; fractions are possible (0.1: one in ten seconds). */
export interface RateLimits {
  readonly tokenConcurrency: number;
  readonly tokenRate: number;
  readonly environmentConcurrency: number;
  readonly environmentRate: number;
  /** Of the server's record, for all questions to it together. */
  readonly concurrency?: number;
  readonly rate?: number;
}

/** Who asks what of whom. */
export interface Asker {
  /** Id of the token, or the key of another caller (`access/caller.ts`). */
  readonly caller: number | string;
  /** What the endpoint speaks for: see {@link targetKey}. */
  readonly target: string;
  /** Id of the server. */
  readonly server: number;
}

export interface Rates {
  /**
   * Lets a question in; the caller calls the returned function when its answer is over (a second call does nothing).
   * Throws `too_many_requests` with `Retry-After`, and then nothing was counted.
   */
  enter(asker: Asker, limits: RateLimits): () => void;
  /** How many tokens, environments and servers something is remembered of. */
  size(): number;
}

/** What is remembered of one token, environment or server. */
interface Entry {
  running: number;
  /** When all that came would have come, at the allowed rate: the algorithm's "theoretical arrival time". */
  due: number;
}

interface Gate {
  readonly entries: Map<number | string, Entry>;
  /** As in "this token". */
  readonly whose: string;
  readonly concurrencyName: string;
  readonly rateName: string;
}

const free = (): void => {};

/** The same for the same environment, project or group over all changes to the directory. */
export function targetKey(target: Target): string {
  if (target.level === 'group') return `group ${target.group.id}`;
  if (target.level === 'project') return `project ${target.project.id}`;
  return `environment ${target.environment.id}`;
}

/** `now` is a clock of milliseconds that never goes back. */
export function createRates(now: () => number = () => performance.now()): Rates {
  const tokens = gate('token', 'token_concurrency', 'token_rate');
  const environments = gate('environment', 'environment_concurrency', 'environment_rate');
  const servers = gate('server', 'concurrency', 'rate');

  return {
    enter(asker, limits) {
      const { tokenConcurrency, tokenRate, environmentConcurrency, environmentRate, concurrency = 0, rate = 0 } = limits;
      const byToken = tokenConcurrency > 0 || tokenRate > 0;
      const byEnvironment = environmentConcurrency > 0 || environmentRate > 0;
      const byServer = concurrency > 0 || rate > 0;
      if (!byToken && !byEnvironment && !byServer) return free;
      const at = now();
      if (byToken) check(tokens, asker.caller, tokenConcurrency, tokenRate, at);
      if (byEnvironment) check(environments, asker.target, environmentConcurrency, environmentRate, at);
      if (byServer) check(servers, asker.server, concurrency, rate, at);
      // Only now: what one of them refuses must not count for the others.
      const token = byToken ? count(tokens, asker.caller, tokenRate, at) : null;
      const environment = byEnvironment ? count(environments, asker.target, environmentRate, at) : null;
      const server = byServer ? count(servers, asker.server, rate, at) : null;
      let over = false;
      return () => {
        if (over) return;
        over = true;
        if (token !== null) token.running -= 1;
        if (environment !== null) environment.running -= 1;
        if (server !== null) server.running -= 1;
      };
    },
    size: () => tokens.entries.size + environments.entries.size + servers.entries.size,
  };
}

function gate(whose: string, concurrencyName: string, rateName: string): Gate {
  return { entries: new Map(), whose, concurrencyName, rateName };
}

function check(
  { entries, whose, concurrencyName, rateName }: Gate,
  key: number | string,
  most: number,
  rate: number,
  at: number,
) {
  const entry = entries.get(key);
  if (entry === undefined) return;
  if (most > 0 && entry.running >= most) {
    throw refusal(
      `limit ${concurrencyName} exceeded: ${entry.running} requests of this ${whose} are running, at most ${most} may at once`,
      1,
    );
  }
  if (rate === 0) return;
  const wait = entry.due - (burst(rate) - 1) * interval(rate) - at;
  // Less than a microsecond is what sums of fractions leave over.
  if (wait > 0.001) {
    throw refusal(
      `limit ${rateName} exceeded: the requests of this ${whose} come faster than ${rate} per second, more than ${burst(rate)} at once`,
      Math.ceil(wait / 1000),
    );
  }
}

/** One second's worth at once, and never less than one. */
function burst(rate: number): number {
  return Math.max(1, Math.floor(rate));
}

/** Milliseconds from one to the next at the allowed rate. */
function interval(rate: number): number {
  return 1000 / rate;
}

/** The entry goes to the end: those at the front have not been counted for longest. */
function count({ entries }: Gate, key: number | string, rate: number, at: number): Entry {
  const entry = entries.get(key) ?? { running: 0, due: at };
  entries.delete(key);
  dropIdle(entries, at);
  entries.set(key, entry);
  entry.running += 1;
  if (rate > 0) entry.due = Math.max(entry.due, at) + interval(rate);
  return entry;
}

/**
 * Looks at the first two while at most one is added, so that idle ones go faster than others come; those still in use go to
 * the end. No timer, and never more left over than are in use and came last.
 */
function dropIdle(entries: Map<number | string, Entry>, at: number): void {
  let looks = 2;
  for (const [key, entry] of entries) {
    entries.delete(key);
    if (entry.running > 0 || entry.due > at) entries.set(key, entry);
    looks -= 1;
    if (looks === 0) return;
  }
}

function refusal(message: string, seconds: number): PromgateError {
  const wait = Math.max(1, seconds);
  return new PromgateError('too_many_requests', `${message}; try again in ${wait}s`, {
    headers: { 'Retry-After': String(wait) },
  });
}
