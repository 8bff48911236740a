/** The control API as its users have it: signed in with a cookie and its CSRF token, or with a personal token. */
import { createAccount, type NewAccount } from '../../src/access/accounts.ts';
import { csrfToken } from '../../src/access/csrf.ts';
import type { Scope } from '../../src/access/permissions.ts';
import type { Role } from '../../src/access/roles.ts';
import { hashSessionCookie, sessionCookie } from '../../src/access/session-cookie.ts';
import { startSession } from '../../src/access/sessions.ts';
import { openKeyring } from '../../src/storage/crypto.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { findGroup } from '../../src/storage/groups.ts';
import { insertMember } from '../../src/storage/members.ts';
import { findProject } from '../../src/storage/projects.ts';
import { tester } from './actor.ts';
import type { TestPromgate } from './promgate.ts';

export interface ApiQuestion {
  readonly body?: unknown;
  /** Value of `If-Match`. */
  readonly ifMatch?: string;
  /** Over those of the client; `undefined` takes one away. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** As it came. */
  readonly text: string;
  /** Parsed; `null` where there is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape.
  readonly body: any;
  /** Empty: none. */
  readonly etag: string;
}

/** Somebody who asks. Paths are below `/-/api/v1`. */
export interface ApiClient {
  ask(method: string, path: string, question?: ApiQuestion): Promise<ApiAnswer>;
  get(path: string, question?: ApiQuestion): Promise<ApiAnswer>;
  post(path: string, body: unknown, question?: ApiQuestion): Promise<ApiAnswer>;
  put(path: string, body: unknown, question?: ApiQuestion): Promise<ApiAnswer>;
  /** With `If-Match: *` where the question says nothing else. */
  patch(path: string, body: unknown, question?: ApiQuestion): Promise<ApiAnswer>;
  delete(path: string, question?: ApiQuestion): Promise<ApiAnswer>;
}

/** With a session. */
export interface ApiUser extends ApiClient {
  readonly id: number;
  readonly username: string;
  /** Value of a `Cookie` header. */
  readonly cookie: string;
  readonly csrf: string;
  /** The same user with a personal token, made through the API. */
  personalToken(...scopes: Scope[]): Promise<ApiClient & { readonly text: string }>;
  /** The same user with another session. */
  again(): Promise<ApiUser>;
  /** Gives the role by hand on the group or project with this path. */
  join(path: string, role: Role): Promise<number>;
}

export interface ApiRig {
  /** A connection of its own to the database of the running Promgate. */
  readonly database: Database;
  readonly anonymous: ApiClient;
  /** Somebody new, signed in. Default: a username of its own, no administrator, no password. */
  user(account?: Partial<NewAccount>): Promise<ApiUser>;
  close(): Promise<void>;
}

export async function apiOf({ url, settings }: Pick<TestPromgate, 'url' | 'settings'>): Promise<ApiRig> {
  const database = await openDatabase(settings);
  const base = `${url}${new URL(settings.externalUrl).pathname.replace(/\/$/, '')}/-/api/v1`;
  const csrfKey = openKeyring(settings).derive('csrf');
  let count = 0;

  const session = async (id: number, username: string): Promise<ApiUser> => {
    const origin = { address: '127.0.0.1', userAgent: 'test', provider: null, previousCookie: null };
    const { lifetime } = settings.sessions;
    const { cookie: value } = await database.write((trx) => startSession(trx, { id }, origin, { lifetime, now: Date.now() }));
    const csrf = csrfToken(csrfKey, { hash: hashSessionCookie(value) });
    const cookie = `${sessionCookie(settings.externalUrl).name}=${value}`;
    const client = clientWith(base, { cookie, 'x-csrf-token': csrf });
    return {
      ...client,
      id,
      username,
      cookie,
      csrf,
      async personalToken(...scopes) {
        const { status, text, body } = await client.post('/user/personal_tokens', { name: 'test', scopes });
        if (status !== 201) throw new Error(`no personal token: ${text}`);
        return { ...clientWith(base, { authorization: `Bearer ${body.token}` }), text: body.token };
      },
      again: () => session(id, username),
      join: (path, role) =>
        database.write(async (trx) => {
          const group = await findGroup(trx, path);
          const project = group === undefined ? await findProject(trx, path) : undefined;
          const on = group === undefined ? { level: 'project' as const, row: project } : { level: 'group' as const, row: group };
          if (on.row === undefined) throw new Error(`there is no ${path}`);
          return (await insertMember(trx, { level: on.level, id: on.row.id }, { userId: id, role, at: Date.now() })).id;
        }),
    };
  };

  return {
    database,
    anonymous: clientWith(base, {}),
    async user({ username = `user-${++count}`, passwordHash = null, ...account } = {}) {
      const user = await database.write((trx) => createAccount(trx, { ...account, username, passwordHash }, tester, Date.now()));
      return session(user.id, username);
    },
    close: () => database.close(),
  };
}

/** `own`: headers of each request. */
export function clientWith(base: string, own: Readonly<Record<string, string>>): ApiClient {
  const ask: ApiClient['ask'] = async (method, path, { body, ifMatch, headers = {} } = {}) => {
    const all = {
      ...own,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
      ...headers,
    };
    const response = await fetch(base + path, {
      method,
      headers: Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: text === '' ? null : JSON.parse(text),
      etag: response.headers.get('etag') ?? '',
    };
  };
  return {
    ask,
    get: (path, question) => ask('GET', path, question),
    post: (path, body, question) => ask('POST', path, { ...question, body }),
    put: (path, body, question) => ask('PUT', path, { ...question, body }),
    patch: (path, body, question) => ask('PATCH', path, { ifMatch: '*', ...question, body }),
    delete: (path, question) => ask('DELETE', path, question),
  };
}
