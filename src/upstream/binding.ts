/**
 * What asking one server on behalf of one endpoint always looks like: path, headers, fixed parameters. Made once for
 * each target, because templates in them are filled with the target's variables.
 */
import { type CacheRules, cacheRules, type InstanceCache, policyOf } from '../cache/policy.ts';
import type { PurgeEpochs } from '../cache/purge.ts';
import type { Server, Target } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import { scopeSelector } from '../guard/confine.ts';
import type { Limits } from '../guard/limits.ts';
import type { RateLimits } from '../guard/rates.ts';
import { resolveScope, type Scope } from '../guard/scope.ts';
import { fillTemplate, predefinedVariables } from '../guard/variables.ts';
import { print } from '../promql/print.ts';

export interface Binding {
  readonly server: Server;
  /** Path of the server's URL: empty, or such as `/prom`. */
  readonly basePath: string;
  /** Flat name, value, name, value: what undici takes without conversion. */
  readonly headers: readonly string[];
  /** Parameters with fixed values; they win over the client's. */
  readonly fixedParams: ReadonlyMap<string, string>;
  /** The same, urlencoded. */
  readonly fixedText: string;
  readonly limits: Limits & RateLimits;
  readonly variables: ReadonlyMap<string, string>;
  /** What confines the target on this server; `null`: nothing. */
  readonly scope: Scope | null;
  /** The same as text: equal for equal scopes. */
  readonly scopeKey: string;
  readonly cache: CacheRules;
  /** Equal for bindings that may share answers. See `cache/policy.ts`. */
  readonly policy: string;
}

/** What holds for all servers where their records say nothing else. */
export interface InstanceRules {
  readonly limits: Limits & RateLimits;
  readonly cache: InstanceCache;
}

/**
 * Binds a target to its server. Throws `unavailable` where the server must not be asked: its credentials cannot be
 * decrypted, a template gives something that is no header value, or what confines the target has no value.
 */
export function bind(target: Target, server: Server, instance: InstanceRules, purges: PurgeEpochs): Binding {
  const { connection } = server;
  if (connection === null) {
    throw new PromgateError(
      'unavailable',
      `server ${JSON.stringify(server.name)} cannot be used: its configuration cannot be read`,
      {
        operator: 'the stored connection cannot be decrypted: was secret_key changed?',
      },
    );
  }
  const variables = predefinedVariables(target);
  const scope = resolveScope(server, variables);
  const headers: string[] = [];
  if (connection.auth !== null) headers.push('authorization', authorization(connection.auth));
  for (const [name, template] of Object.entries(connection.headers)) {
    headers.push(name, headerValue(server, name, fillTemplate(template, variables)));
  }
  const fixedParams = new Map<string, string>();
  for (const [name, template] of Object.entries(connection.queryParams)) {
    const value = fillTemplate(template, variables);
    if (/\{\{\s*\w+\s*\}\}/.test(value)) throw noValue(server, `parameter ${name}`);
    fixedParams.set(name, value);
  }
  const scopeKey = JSON.stringify(scope);
  const cache = cacheRules(server.cache, instance.cache);
  if (scope !== null) confineNatively(fixedParams, scope);
  return {
    server,
    basePath: new URL(server.url).pathname.replace(/\/$/, ''),
    headers,
    fixedParams,
    fixedText: encodeFixed(fixedParams),
    limits: { ...instance.limits, ...server.limits },
    variables,
    scope,
    scopeKey,
    cache,
    policy: policyOf({ server, variables, scopeKey }, cache, purges),
  };
}

/** Fixed parameters as urlencoded text. */
export function encodeFixed(fixedParams: ReadonlyMap<string, string>): string {
  return Array.from(fixedParams, ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
}

/**
 * VictoriaMetrics confines by itself what comes with `extra_filters[]`; other servers pass over it, so it always goes
 * along. Several of them widen what is seen there (they are ORed), so there is only ever this one.
 */
function confineNatively(fixedParams: Map<string, string>, scope: Scope): void {
  fixedParams.delete('extra_filters');
  fixedParams.set('extra_filters[]', print(scopeSelector(scope)));
}

function authorization(auth: { basic: { username: string; password: string } } | { bearer: string }): string {
  if ('bearer' in auth) return `Bearer ${auth.bearer}`;
  return `Basic ${Buffer.from(`${auth.basic.username}:${auth.basic.password}`).toString('base64')}`;
}

/** An unfilled template or a character beyond Latin-1 would reach the server as something else than was meant. */
function headerValue(server: Server, name: string, value: string): string {
  if (/^[\t\x20-\x7e\xa0-\xff]*$/.test(value) && !/\{\{\s*\w+\s*\}\}/.test(value)) return value;
  throw noValue(server, `header ${name}`);
}

function noValue(server: Server, what: string): PromgateError {
  return new PromgateError(
    'unavailable',
    `server ${JSON.stringify(server.name)} cannot be used for this endpoint: its ${what} has no valid value here`,
  );
}
