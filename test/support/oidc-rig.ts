/** Signing in with providers through real HTTP: the product's routes and database, without the rest of it. */
import Fastify from 'fastify';
import { createOidc, type Oidc, type OidcParts } from '../../src/access/oidc.ts';
import { hashSessionCookie } from '../../src/access/session-cookie.ts';
import type { OidcProvider } from '../../src/config/identity.ts';
import type { Directory } from '../../src/directory/snapshot.ts';
import { watchDirectory } from '../../src/directory/watch.ts';
import type { AuditEvent } from '../../src/ops/audit.ts';
import { createLog } from '../../src/ops/log.ts';
import { oidcPages } from '../../src/pages/oidc.ts';
import { openKeyring } from '../../src/storage/crypto.ts';
import type { Database, DatabaseDialect } from '../../src/storage/database.ts';
import type { Row } from '../../src/storage/schema.ts';
import { type Answer, Browser } from './cookie-jar.ts';
import { createTestDatabase } from './database.ts';

export interface OidcRig {
  readonly url: string;
  readonly database: Database;
  readonly oidc: Oidc;
  /** As another process with the same database and secret key has it. */
  secondProcess(): Oidc;
  /** As configured; may be changed. */
  providers: readonly OidcProvider[];
  readonly directory: () => Directory;
  /** Has the directory read at once. */
  readonly refresh: () => Promise<void>;
  /** Refusals that were noted. */
  readonly refusals: AuditEvent[];
  /** Lines of the log. */
  readonly log: string[];
  /** Goes the whole way, until the browser is sent to a page of ours. */
  signIn(provider: string, browser?: Browser, returnTo?: string): Promise<Answer>;
  /** Whose session the browser's cookie is. */
  signedIn(browser: Browser): Promise<Row<'users'> | undefined>;
  /** Roles with their sources, as `acme/shop developer oidc:main`. */
  roles(username: string): Promise<string[]>;
  stop(): Promise<void>;
}

const memory = { note: () => undefined, lastSeen: () => 0 };

export async function startOidcRig({ dialect = 'sqlite' }: { dialect?: DatabaseDialect } = {}): Promise<OidcRig> {
  const home = await createTestDatabase(dialect);
  const { database } = home;
  const lines: string[] = [];
  const log = createLog('debug', (line) => lines.push(line));
  const keyring = openKeyring({ dataDir: home.settings.dataDir, secretKey: null });
  const watch = await watchDirectory(database, keyring, log, () => undefined);
  const refusals: AuditEvent[] = [];
  const sessions = { idle: 3_600_000, lifetime: 86_400_000 };
  const app = Fastify();
  let externalUrl = '';
  const rig = { providers: [] as readonly OidcProvider[] };
  const oidcParts: OidcParts = {
    database,
    keyring,
    log,
    refusals: { note: (event) => refusals.push(event) },
    providers: () => rig.providers,
    externalUrl: () => externalUrl,
    sessions: () => sessions,
  };
  const oidc = createOidc(oidcParts);
  await app.register(
    oidcPages({
      oidc,
      refresh: watch.refresh,
      directory: () => watch.current(),
      activity: memory,
      settings: () => ({ externalUrl, basePath: '', sessions, isTrustedProxy: () => false, providers: rig.providers }),
      metrics: { request: () => undefined },
      log,
      stopping: () => false,
    }),
  );
  externalUrl = await app.listen({ host: '127.0.0.1', port: 0 });
  return Object.assign(rig, {
    url: externalUrl,
    database,
    oidc,
    secondProcess: () => createOidc(oidcParts),
    directory: () => watch.current(),
    refresh: watch.refresh,
    refusals,
    log: lines,
    signIn(provider: string, browser = new Browser(), returnTo = '') {
      const query = returnTo === '' ? '' : `?return_to=${encodeURIComponent(returnTo)}`;
      return browser.follow(`${externalUrl}/login/oidc/${provider}${query}`, ({ url }) => url.includes('/callback?'));
    },
    async signedIn(browser: Browser) {
      const value = /promgate_session=([^;]+)/.exec(browser.cookieHeader(`${externalUrl}/`))?.[1];
      if (value === undefined) return undefined;
      return database.db
        .selectFrom('users')
        .innerJoin('sessions', 'sessions.user_id', 'users.id')
        .selectAll('users')
        .where('hash', '=', hashSessionCookie(value))
        .executeTakeFirst();
    },
    async roles(username: string) {
      const rows = await database.db
        .selectFrom('memberships')
        .innerJoin('users', 'users.id', 'memberships.user_id')
        .leftJoin('groups', 'groups.id', 'memberships.group_id')
        .leftJoin('projects', 'projects.id', 'memberships.project_id')
        .select(['groups.path as group', 'projects.path as project', 'role', 'source'])
        .where('username', '=', username)
        .execute();
      return rows.map(({ group, project, role, source }) => `${group ?? project} ${role} ${source}`).sort();
    },
    async stop() {
      await app.close();
      await watch.close();
      await home.remove();
    },
  });
}

/** A provider as configured. */
export function configured(
  from: Pick<OidcProvider, 'issuer' | 'clientId' | 'clientSecret'>,
  change: Partial<OidcProvider> = {},
): OidcProvider {
  return {
    name: 'main',
    label: 'Main',
    issuer: from.issuer,
    clientId: from.clientId,
    clientSecret: from.clientSecret,
    scopes: ['profile', 'email', 'groups'],
    ca: null,
    usernameClaim: 'preferred_username',
    signUp: true,
    linkByEmail: false,
    rules: [],
    ...change,
  };
}
