import { setTimeout as delay } from 'node:timers/promises';
import { createToken, type IssuedToken, type NewToken } from '../../src/access/tokens.ts';
import { type Promgate, startPromgate } from '../../src/app.ts';
import type { Settings } from '../../src/config/settings.ts';
import { applyResources } from '../../src/directory/apply.ts';
import type { TargetName } from '../../src/directory/find.ts';
import { environmentSlug } from '../../src/directory/slug.ts';
import type { Log } from '../../src/ops/log.ts';
import { openKeyring } from '../../src/storage/crypto.ts';
import { type Database, type DatabaseDialect, openDatabase } from '../../src/storage/database.ts';
import { tester } from './actor.ts';
import { createDatabaseHome } from './database.ts';

export interface TestPromgateOptions {
  /** Text of a resource file (contract §9). */
  resources: string;
  /** Over the defaults; `limits` and `cache` are merged key by key. */
  settings?: Partial<Omit<Settings, 'limits' | 'cache'>> & {
    limits?: Partial<Settings['limits']>;
    cache?: Partial<Settings['cache']>;
  };
  /** Default: SQLite. */
  database?: DatabaseDialect;
  /** For `{ env: NAME }` in the resource file. */
  env?: Record<string, string>;
  /** Default: errors go to stderr. */
  log?: Log;
}

export interface TestPromgate {
  /** Of the gateway: no trailing slash, no path. */
  readonly url: string;
  readonly opsUrl: string;
  /** The link of the first administrator, as `serve` prints it. */
  readonly setupUrl: string | null;
  readonly settings: Settings;
  /** The prefix of an environment's endpoint (`acme/shop:production`), a project's (`acme/shop`) or a group's (`groups/acme`). */
  endpoint(target: string): string;
  /** Makes a token for a target written as for `endpoint`, and waits until the gateway knows it. */
  token(target: string, options?: Partial<NewToken>): Promise<TestToken>;
  /** Applies another resource file. The gateway knows it within a second. */
  apply(resources: string, options?: { prune?: boolean }): Promise<void>;
  /** Takes over other settings, as on SIGHUP. */
  reload(settings: Settings): void;
  close(): Promise<void>;
}

export interface TestToken extends IssuedToken {
  /** Value of an `Authorization` header. */
  readonly basic: string;
}

/** Starts the product in this process on ports of its own, with a fresh data directory. */
export async function startTestPromgate(options: TestPromgateOptions): Promise<TestPromgate> {
  const { resources, settings: given = {}, env = {} } = options;
  const home = await createDatabaseHome(options.database ?? 'sqlite');
  const settings: Settings = {
    ...home.settings,
    listen: { host: '127.0.0.1', port: 0 },
    opsListen: { host: '127.0.0.1', port: 0 },
    externalUrl: 'http://127.0.0.1',
    secretKey: null,
    cors: { origins: [] },
    trustedProxies: [],
    outbound: { allow: [] },
    sessions: { idle: 86_400_000, lifetime: 7 * 86_400_000 },
    audit: { retention: 365 * 86_400_000 },
    oidc: { providers: [] },
    workloadIdentity: { issuers: [] },
    logLevel: 'error',
    ...given,
    limits: {
      timeout: 60_000,
      maxRange: 0,
      maxPoints: 11_000,
      maxResponse: 64 * 2 ** 20,
      maxQueryBytes: 128 * 2 ** 10,
      maxDepth: 100,
      tokenConcurrency: 0,
      tokenRate: 0,
      environmentConcurrency: 0,
      environmentRate: 0,
      ...given.limits,
    },
    cache: {
      memory: 256 * 2 ** 20,
      recentWindow: 300_000,
      maxAge: 86_400_000,
      instant: true,
      metadataTtl: 10_000,
      shadow: 0,
      redisUrl: '',
      ...given.cache,
    },
  };
  const cleanUp = [home.remove];
  const close = async (): Promise<void> => {
    for (const step of cleanUp.splice(0).reverse()) await step();
  };
  try {
    const database = await openDatabase(settings);
    cleanUp.push(database.close);
    const keyring = openKeyring(settings);
    const apply = async (text: string, { prune = false } = {}): Promise<void> => {
      await applyResources(database, keyring, text, { fileName: 'test.yml', dryRun: false, prune, env, actor: tester });
    };
    await apply(resources);
    const promgate = await startPromgate(settings, options.log === undefined ? {} : { log: options.log });
    cleanUp.push(promgate.close);
    return { ...controls(promgate, settings, database), apply, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What tests do with a running Promgate, beside applying and closing. */
function controls(promgate: Promgate, settings: Settings, database: Database): Omit<TestPromgate, 'apply' | 'close'> {
  const origin = new URL(promgate.url).origin;
  const basePath = new URL(settings.externalUrl).pathname.replace(/\/$/, '');
  const endpoint = (target: string): string => {
    const [path, environment] = target.split(':');
    const middle = environment === undefined ? '' : `/environments/${environmentSlug(environment)}`;
    return `${origin}${basePath}/${path}/-${middle}/prometheus`;
  };
  return {
    url: origin,
    opsUrl: promgate.opsUrl,
    setupUrl: promgate.setupUrl,
    settings,
    endpoint,
    reload: promgate.reload,
    token: async (target, options = {}) => {
      const issue = async (options: Partial<NewToken>): Promise<TestToken> => {
        const issued = await createToken(database, tokenTarget(target), { name: 'test', ...options }, tester);
        return { ...issued, basic: basicAuth(issued.username, issued.token) };
      };
      const token = await issue(options);
      // One that may be refused for good says nothing; but changes arrive in order, so another that is known will do.
      const restricted = options.expiresAt !== undefined || options.allowedNetworks !== undefined;
      await knows(endpoint(target), restricted ? await issue({}) : token);
      return token;
    },
  };
}

export function basicAuth(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function tokenTarget(target: string): TargetName {
  if (target.startsWith('groups/')) return { level: 'group', path: target.slice('groups/'.length) };
  return { level: target.includes(':') ? 'environment' : 'project', path: target };
}

/** Below an endpoint, an unknown path is 401 without and 404 with credentials. */
async function knows(endpoint: string, token: TestToken): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (Date.now() < deadline) {
    const answer = await fetch(`${endpoint}/api/v1/unknown`, { headers: { authorization: token.basic } });
    await answer.arrayBuffer();
    if (answer.status !== 401) return;
    await delay(25);
  }
  throw new Error(`the gateway does not know the token for ${endpoint}`);
}
