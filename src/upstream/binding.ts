/**
 * What asking one server on behalf of one endpoint always looks like: path, headers, fixed parameters. Made once for
 * each target, because templates in them are filled with the target's variables.
 */
import type { Server, Target } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import type { Limits } from '../guard/limits.ts';
import { fillTemplate, predefinedVariables } from '../guard/variables.ts';

export interface Binding {
  readonly server: Server;
  /** Path of the server's URL: empty, or such as `/prom`. */
  readonly basePath: string;
  /** Flat name, value, name, value: what undici takes without conversion. */
  readonly headers: readonly string[];
  /** Parameters with fixed values; they win over the client's. */
  readonly fixedParams: ReadonlyMap<string, string>;
  readonly limits: Limits;
  readonly variables: ReadonlyMap<string, string>;
}

/**
 * Binds a target to its server. Throws `unavailable` where the server must not be asked: its credentials cannot be
 * decrypted, a template gives something that is no header value, or it confines (`enforce`).
 */
export function bind(target: Target, server: Server, instanceLimits: Limits): Binding {
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
  if (Object.keys(server.enforce).length > 0) {
    throw new PromgateError(
      'unavailable',
      `server ${JSON.stringify(server.name)} confines its environments (enforce), which this version of Promgate cannot do; it is not asked`,
    );
  }
  const variables = predefinedVariables(target);
  const headers: string[] = [];
  if (connection.auth !== null) headers.push('authorization', authorization(connection.auth));
  for (const [name, template] of Object.entries(connection.headers)) {
    headers.push(name, headerValue(server, name, fillTemplate(template, variables)));
  }
  const fixedParams = new Map<string, string>();
  for (const [name, template] of Object.entries(connection.queryParams)) fixedParams.set(name, fillTemplate(template, variables));
  return {
    server,
    basePath: new URL(server.url).pathname.replace(/\/$/, ''),
    headers,
    fixedParams,
    limits: { ...instanceLimits, ...server.limits },
    variables,
  };
}

function authorization(auth: { basic: { username: string; password: string } } | { bearer: string }): string {
  if ('bearer' in auth) return `Bearer ${auth.bearer}`;
  return `Basic ${Buffer.from(`${auth.basic.username}:${auth.basic.password}`).toString('base64')}`;
}

/** An unfilled template or a character beyond Latin-1 would reach the server as something else than was meant. */
function headerValue(server: Server, name: string, value: string): string {
  if (/^[\t\x20-\x7e\xa0-\xff]*$/.test(value) && !/\{\{\s*\w+\s*\}\}/.test(value)) return value;
  throw new PromgateError(
    'unavailable',
    `server ${JSON.stringify(server.name)} cannot be used for this endpoint: its header ${name} has no valid value here`,
  );
}
