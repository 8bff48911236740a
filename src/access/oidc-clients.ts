/** Speaking with OpenID providers: what each says of itself, kept for a while, and how it is connected to. */
import { BlockList, isIP } from 'node:net';
import {
  allowInsecureRequests,
  ClientError,
  ClientSecretBasic,
  ClientSecretPost,
  Configuration,
  type CustomFetch,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  None,
  type ServerMetadata,
} from 'openid-client';
import { Agent, fetch } from 'undici';
import type { OidcProvider } from '../config/identity.ts';

/** Milliseconds for which a discovery document is believed. */
const KEPT = 600_000;
/** And how long at least: whoever has sign-ins fail must not have the provider asked each time. */
const KEPT_AT_LEAST = 30_000;
/** Seconds for one answer of a provider, its body included. */
const TIMEOUT = 5;
/** Bytes of one answer; discovery documents and keys have a few thousand. */
const MAX_ANSWER = 1024 * 1024;
/** Characters of an issuer in the log. */
const MAX_SHOWN = 200;

export interface OidcClients {
  /**
   * What speaks with the provider for one sign-in. The signing keys are asked for anew with each, so one that the provider has
   * withdrawn signs nobody in. Throws what `openid-client` throws, and an Error where the discovery document is not the issuer's.
   */
  client(provider: OidcProvider): Promise<Configuration>;
  /** Has the discovery document asked for anew, unless it was just now. */
  forget(provider: OidcProvider): void;
}

interface Kept {
  readonly metadata: Promise<ServerMetadata>;
  /** `performance.now()`. */
  readonly at: number;
}

export function createOidcClients(): OidcClients {
  // A reload brings new objects, and with them all is asked anew.
  const kept = new WeakMap<OidcProvider, Kept>();
  const fetchers = new WeakMap<OidcProvider, CustomFetch>();

  function fetchOf(provider: OidcProvider): CustomFetch {
    const known = fetchers.get(provider);
    if (known !== undefined) return known;
    const made = fetcher(provider.ca);
    fetchers.set(provider, made);
    return made;
  }

  /** Asked once, however many sign-ins wait for it. */
  function metadataOf(provider: OidcProvider): Promise<ServerMetadata> {
    const known = kept.get(provider);
    if (known !== undefined && performance.now() - known.at < KEPT) return known.metadata;
    const asked = { metadata: discover(provider, fetchOf(provider)), at: performance.now() };
    kept.set(provider, asked);
    asked.metadata.catch(() => {
      if (kept.get(provider) === asked) kept.delete(provider);
    });
    return asked.metadata;
  }

  return {
    async client(provider) {
      const metadata = await metadataOf(provider);
      const client = new Configuration(metadata, provider.clientId, undefined, authentication(provider, metadata));
      client.timeout = TIMEOUT;
      client[customFetch] = fetchOf(provider);
      // The signature of the ID token, which comes straight from the provider, could go unchecked (OpenID Connect Core 1.0, 3.1.3.7).
      enableNonRepudiationChecks(client);
      if (isInsecure(provider)) allowInsecureRequests(client);
      return client;
    },
    forget(provider) {
      const known = kept.get(provider);
      if (known !== undefined && performance.now() - known.at >= KEPT_AT_LEAST) kept.delete(provider);
    },
  };
}

async function discover(provider: OidcProvider, fetch: CustomFetch): Promise<ServerMetadata> {
  const found = await discovery(new URL(provider.issuer), provider.clientId, undefined, None(), {
    [customFetch]: fetch,
    timeout: TIMEOUT,
    execute: isInsecure(provider) ? [allowInsecureRequests] : [],
  }).catch((thrown: unknown) => {
    const named = otherIssuer(thrown);
    throw named === null ? thrown : callsItself(named);
  });
  const { supportsPKCE: _, ...metadata } = found.serverMetadata();
  // To the letter: the library takes some that differ, and those of providers that speak for many organisations.
  if (metadata.issuer !== provider.issuer) throw callsItself(metadata.issuer);
  return metadata;
}

/** For the log alone. */
function callsItself(issuer: string): Error {
  return new Error(
    `the provider calls itself ${JSON.stringify(issuer.slice(0, MAX_SHOWN))}: that has to be the issuer in the configuration`,
  );
}

/** The issuer of a discovery document that the library refused because of it. */
function otherIssuer(thrown: unknown): string | null {
  if (!(thrown instanceof ClientError) || thrown.code !== 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED') return null;
  const { attribute, body } = thrown.cause as { attribute?: unknown; body?: { issuer?: unknown } };
  return attribute === 'issuer' && typeof body?.issuer === 'string' ? body.issuer : null;
}

/** Basic where the provider does not say that it has only the other one (OpenID Connect Discovery 1.0, 3). */
function authentication({ clientSecret }: OidcProvider, metadata: ServerMetadata): ReturnType<typeof None> {
  if (clientSecret === null) return None();
  const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  const takesPostOnly = !methods.includes('client_secret_basic') && methods.includes('client_secret_post');
  return takesPostOnly ? ClientSecretPost(clientSecret) : ClientSecretBasic(clientSecret);
}

/** Without redirects, which `openid-client` never follows; every answer bounded in size. */
function fetcher(ca: string | null): CustomFetch {
  const connect = ca === null ? {} : { ca };
  // Connections are not kept: sign-ins are rare.
  const dispatcher = new Agent({ connect, maxResponseSize: MAX_ANSWER, pipelining: 0 });
  return async (url, options) => {
    if (new URL(url).protocol !== 'https:' && !isLoopback(new URL(url)))
      throw new TypeError('only loopback is asked without TLS');
    const { body = null, ...rest } = options;
    // Node.js' own types and undici's differ in nothing that is used here.
    return (await fetch(url, { ...rest, body, dispatcher } as Parameters<typeof fetch>[1])) as unknown as Response;
  };
}

/** TLS is left out for providers on this machine alone. */
function isInsecure({ issuer }: OidcProvider): boolean {
  const url = new URL(issuer);
  return url.protocol === 'http:' && isLoopback(url);
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function isLoopback({ hostname }: URL): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  const family = isIP(host);
  return family === 0 ? host === 'localhost' : loopback.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
