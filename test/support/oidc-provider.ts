/** A real OpenID provider (the package `oidc-provider`) on loopback that signs in whom it is told to, without asking anybody. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair } from 'jose';
// @ts-expect-error The package brings no types.
import Provider from 'oidc-provider';

/** Somebody who has an account there. */
export interface Account {
  readonly sub: string;
  /** Given out by the userinfo endpoint, for the scopes `profile`, `email` and `groups`. */
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface TestOidcProvider {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Who signs in from now on; `null`: nobody, the provider says `access_denied`. */
  signsIn(account: Account | null): void;
  /** Paths that were asked for, in their order. */
  readonly asked: string[];
  stop(): Promise<void>;
}

const scopes = 'openid profile email groups';

/** What of the package is used here. */
interface ProviderLike {
  callback(): (request: IncomingMessage, response: ServerResponse) => void;
  interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>;
  on(event: 'server_error', listener: (context: unknown, error: Error) => void): void;
}
interface Context {
  oidc: {
    provider: {
      Grant: new (of: { clientId: string; accountId: string }) => { addOIDCScope(scope: string): void; save(): Promise<void> };
    };
    client: { clientId: string };
    session: { accountId: string };
  };
}

/** @param redirectUris where it may send a browser, to the letter */
export async function startOidcProvider(redirectUris: readonly string[]): Promise<TestOidcProvider> {
  let handle = (_request: IncomingMessage, response: ServerResponse): void => void response.end();
  const server = createServer((request, response) => handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [clientId, clientSecret] = ['promgate', 'a secret with spaces, + and %'];
  const known = new Map<string, Account>();
  const asked: string[] = [];
  let current: Account | null = null;

  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const provider: ProviderLike = new Provider(issuer, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: redirectUris }],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), use: 'sig', alg: 'RS256', kid: 'k1' }] },
    cookies: { keys: ['for tests'] },
    scopes: scopes.split(' '),
    claims: { profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], groups: ['groups', 'realm_access'] },
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    interactions: { url: () => '/interaction' },
    ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 60, IdToken: 60, Interaction: 60, Session: 60 },
    findAccount: (_context: unknown, sub: string) => ({
      accountId: sub,
      claims: () => ({ sub, ...known.get(sub)?.claims }),
    }),
    loadExistingGrant: async ({ oidc }: Context) => {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope(scopes);
      await grant.save();
      return grant;
    },
  });
  provider.on('server_error', (_context, error) => {
    throw error;
  });
  const callback = provider.callback();
  handle = (request, response) => {
    const path = new URL(request.url ?? '/', issuer).pathname;
    asked.push(path);
    if (path !== '/interaction') return callback(request, response);
    const result = current === null ? { error: 'access_denied' } : { login: { accountId: current.sub, remember: false } };
    provider.interactionFinished(request, response, result).catch((error: Error) => response.destroy(error));
  };
  return {
    issuer,
    clientId,
    clientSecret,
    signsIn(account) {
      current = account;
      if (account !== null) known.set(account.sub, account);
    },
    asked,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
