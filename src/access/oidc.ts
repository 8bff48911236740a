/**
 * Signing in with an OpenID provider (OpenID Connect Core 1.0, 3.1): authorization code flow with PKCE, state and nonce. Nothing is
 * remembered here between the two requests of a sign-in: that is in the browser's sealed cookie.
 */
import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  fetchUserInfo,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client';
import type { OidcProvider } from '../config/identity.ts';
import { PromgateError } from '../errors.ts';
import type { AuditEvent } from '../ops/audit.ts';
import type { Log } from '../ops/log.ts';
import type { Keyring } from '../storage/crypto.ts';
import type { Database } from '../storage/database.ts';
import type { Claims } from './claims.ts';
import { type Arrival, ArrivalRefused, linkArrival, signInArrival } from './oidc-account.ts';
import { mergeClaims } from './oidc-claims.ts';
import { createOidcClients } from './oidc-clients.ts';
import { SIGN_IN_LIFETIME, type StartedSignIn, signInCookies } from './oidc-cookie.ts';
import { providerTrouble } from './oidc-trouble.ts';

export interface OidcParts {
  readonly database: Database;
  readonly keyring: Pick<Keyring, 'seal' | 'open'>;
  readonly log: Log;
  readonly refusals: { note(event: AuditEvent): void };
  /** As configured now; the same objects until they change. */
  readonly providers: () => readonly OidcProvider[];
  /** Without trailing slash. */
  readonly externalUrl: () => string;
  /** Milliseconds. */
  readonly sessions: () => { readonly lifetime: number };
}

/** Where to send the browser, and the cookies (values of `Set-Cookie`) to send along. */
export interface Departure {
  readonly location: string;
  readonly cookies: readonly string[];
}

/** The browser's way back from a provider. */
export interface Return {
  /** Name of the provider, from the URL. */
  readonly provider: string;
  /** Of the URL, without the `?`. */
  readonly query: string;
  readonly cookieHeader: string | undefined;
  /** Id of whoever is signed in. */
  readonly signedIn: number | null;
  readonly from: Arrival['from'];
  readonly requestId: string;
}

export interface Finished {
  /** The path that was asked for at the start. */
  readonly returnTo: string;
  /** Value of the new session's cookie; `null`: an account was linked, and the session is the one that there was. */
  readonly session: string | null;
}

export interface Oidc {
  /**
   * `returnTo`: a path that was found good; `cookieHeader`: what the browser sent. Throws `not_found` where there is no such
   * provider, `unavailable` where it does not answer.
   */
  start(provider: string, returnTo: string, cookieHeader: string | undefined): Promise<Departure>;
  /** The same, to link an account at the provider to the user, who has to be signed in when coming back, too. */
  linkStart(user: { readonly id: number }, provider: string, returnTo: string): Promise<{ location: string; cookie: string }>;
  /**
   * Ends a sign-in. Throws `not_found` where there is no such provider, `bad_data` where this browser began no such sign-in,
   * `forbidden` or `conflict` where nobody is let in, `unavailable` where the provider does not answer.
   */
  finish(back: Return): Promise<Finished>;
  /** Value of `Set-Cookie` that forgets the sign-in that this query belongs to, however it ended; `null` where it names none. */
  forget(query: string): string | null;
}

export function createOidc(parts: OidcParts): Oidc {
  const { database, log } = parts;
  const clients = createOidcClients();
  /** Paths in the rules of each provider that were said to be missing. */
  const complained = new WeakMap<OidcProvider, Set<string>>();
  const cookies = () => signInCookies(parts.externalUrl(), parts.keyring);

  function configured(name: string): OidcProvider {
    const provider = parts.providers().find((each) => each.name === name);
    if (provider === undefined) throw new PromgateError('not_found', 'There is no such way to sign in.');
    return provider;
  }

  /** The provider as configured now. One of the same name that is another one by now must not get the code, nor let anybody in. */
  function stillConfigured({ provider: name, issuer }: StartedSignIn): OidcProvider {
    const provider = configured(name);
    if (provider.issuer !== issuer) throw notBegun();
    return provider;
  }

  async function begin(name: string, returnTo: string, link: number | null): Promise<{ location: string; cookie: string }> {
    const provider = configured(name);
    const { issuer } = provider;
    const [state, nonce, verifier] = [randomState(), randomNonce(), randomPKCECodeVerifier()];
    const started = { provider: name, issuer, state, nonce, verifier, returnTo, link, expiresAt: Date.now() + SIGN_IN_LIFETIME };
    const location = await withProvider(provider, async () =>
      buildAuthorizationUrl(await clients.client(provider), {
        redirect_uri: redirectUri(parts.externalUrl(), name),
        scope: [...new Set(['openid', ...provider.scopes])].join(' '),
        state,
        nonce,
        code_challenge: await calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      }),
    );
    return { location: location.href, cookie: cookies().set(started) };
  }

  /** What the provider says of whoever comes with this code. */
  function redeem(provider: OidcProvider, { state, nonce, verifier }: StartedSignIn, query: string): Promise<Claims> {
    return withProvider(provider, async () => {
      const client = await clients.client(provider);
      const url = new URL(redirectUri(parts.externalUrl(), provider.name));
      url.search = query;
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true };
      const tokens = await authorizationCodeGrant(client, url, checks);
      const idToken = tokens.claims();
      if (idToken === undefined) throw new Error('there is no ID token');
      if (client.serverMetadata().userinfo_endpoint === undefined) return mergeClaims(idToken, {});
      return mergeClaims(idToken, await fetchUserInfo(client, tokens.access_token, idToken.sub));
    });
  }

  /** What goes wrong in `work` is told, logged, and has the provider asked anew what it is. */
  async function withProvider<T>(provider: OidcProvider, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      clients.forget(provider);
      const trouble = providerTrouble(provider, thrown);
      log.warn('a sign-in with a provider failed', { provider: provider.name }, trouble);
      throw trouble;
    }
  }

  function missing(provider: OidcProvider): (path: string) => void {
    const paths = complained.get(provider) ?? new Set();
    complained.set(provider, paths);
    return (path) => {
      if (paths.has(path)) return;
      paths.add(path);
      log.warn('a rule of a provider names no group and no project', { provider: provider.name, path });
    };
  }

  return {
    async start(name, returnTo, cookieHeader) {
      const { location, cookie } = await begin(name, returnTo, null);
      return { location, cookies: [...cookies().makeRoom(cookieHeader), cookie] };
    },
    linkStart: (user, name, returnTo) => begin(name, returnTo, user.id),
    async finish({ provider: name, query, cookieHeader, signedIn, from, requestId }) {
      configured(name);
      const state = stateIn(query);
      const started = state === null ? null : cookies().read(cookieHeader, state, Date.now());
      if (started === null || started.provider !== name) throw notBegun();
      const provider = stillConfigured(started);
      if (started.link !== null && started.link !== signedIn) throw signedOut(provider);
      const claims = await redeem(provider, started, query);
      try {
        return await database.write(async (trx) => {
          // Meanwhile the settings may be others.
          const provider = stillConfigured(started);
          const arrival: Arrival = { provider, claims, from, requestId, missing: missing(provider) };
          const now = Date.now();
          if (started.link === null) {
            const { cookie } = await signInArrival(trx, arrival, { lifetime: parts.sessions().lifetime, now });
            return { returnTo: started.returnTo, session: cookie };
          }
          await linkArrival(trx, arrival, started.link, now);
          return { returnTo: started.returnTo, session: null };
        });
      } catch (thrown) {
        if (thrown instanceof ArrivalRefused) parts.refusals.note(thrown.event);
        throw thrown;
      }
    },
    forget(query) {
      const state = stateIn(query);
      return state === null ? null : cookies().clear(state);
    },
  };
}

/** What is to be registered at the provider, to the letter. */
function redirectUri(externalUrl: string, provider: string): string {
  return new URL(`${externalUrl}/login/oidc/${provider}/callback`).href;
}

function stateIn(query: string): string | null {
  const [state, ...others] = new URLSearchParams(query).getAll('state');
  return state === undefined || others.length > 0 ? null : state;
}

function notBegun(): PromgateError {
  return new PromgateError(
    'bad_data',
    'This sign-in was not begun in this browser, was ended already, or took longer than ten minutes. Begin again.',
  );
}

function signedOut({ label }: OidcProvider): PromgateError {
  return new PromgateError(
    'forbidden',
    `You are no longer signed in as the user who wanted to link an account of ${label}. Sign in and begin again.`,
  );
}
