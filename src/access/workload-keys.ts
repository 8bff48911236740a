/** The public keys of a token issuer (JWKS, RFC 7517), fetched when they are needed and kept for a while. */
import { createLocalJWKSet, type JWTVerifyGetKey } from 'jose';
import { Agent, type Dispatcher, request } from 'undici';
import type { TrustedIssuer } from '../config/identity.ts';
import { issuerUrlProblem } from '../config/identity-values.ts';
import type { Log } from '../ops/log.ts';

/** For the discovery document and the keys together. */
const TIMEOUT = 5_000;
/** Bytes of each of the two documents. */
const MAX_SIZE = 256 * 1024;
/** How long keys are used without asking whether they are still the issuer's. */
const FRESH = 600_000;
/** And how long where the issuer cannot be asked. */
const STALE = 3_600_000;
/** How long is waited after a failure. */
const RETRY = 5_000;
/** How often at most the issuer is asked because a token names a key that is not known: anybody can make up such tokens. */
const UNKNOWN = 30_000;

/** The keys as they were fetched once. The same object for as long as the issuer gives the same. */
export interface KeySet {
  readonly key: JWTVerifyGetKey;
}

/** Times are Unix milliseconds. */
export interface KeySource {
  /** The keys that may be used at this moment without asking the issuer. */
  current(now: number): KeySet | null;
  /** Those keys, or what the issuer says now; `null` where it cannot be asked and nothing lately known is left. */
  get(now: number): Promise<KeySet | null>;
  /** Other keys than these, where the issuer has any and it is not too soon to ask; else `null`. */
  otherThan(known: KeySet, now: number): Promise<KeySet | null>;
}

export type KeyPlace = Pick<TrustedIssuer, 'issuer' | 'jwksUrl' | 'ca'>;

export function createKeySource(place: KeyPlace, log: Log): KeySource {
  let keys: (KeySet & { readonly text: string }) | null = null;
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let failedAt = Number.NEGATIVE_INFINITY;
  let unknownAt = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | null = null;

  const refresh = (): Promise<void> => {
    running ??= fetchKeys(place)
      .then((text) => {
        // A set that cannot be read throws, and the old one stays.
        if (keys?.text !== text) keys = { key: createLocalJWKSet(JSON.parse(text)), text };
        fetchedAt = Date.now();
      })
      .catch((error: unknown) => {
        failedAt = Date.now();
        log.warn('the keys of a token issuer could not be fetched', { issuer: place.issuer }, error);
      })
      .finally(() => {
        running = null;
      });
    return running;
  };
  const isUsable = (now: number) => isLess(STALE, fetchedAt, now);
  const failedLately = (now: number) => isLess(RETRY, failedAt, now);
  const current = (now: number): KeySet | null => {
    if (isLess(FRESH, fetchedAt, now)) return keys;
    return failedLately(now) && isUsable(now) ? keys : null;
  };

  return {
    current,
    async get(now) {
      const known = current(now);
      if (known !== null || failedLately(now)) return known;
      const refreshing = refresh();
      // The last attempt failed already: nobody has to wait for the next one as long as there are keys.
      if (failedAt > fetchedAt && isUsable(now)) return keys;
      await refreshing;
      return isUsable(Date.now()) ? keys : null;
    },
    async otherThan(known, now) {
      if (running === null && keys === known) {
        if (isLess(UNKNOWN, unknownAt, now)) return null;
        unknownAt = now;
        void refresh();
      }
      await running;
      return keys === known ? null : keys;
    },
  };
}

/** Whether less than so long has passed since then. Not where the clock was set back: else it would be true for as long as that. */
function isLess(duration: number, since: number, now: number): boolean {
  return since <= now && now < since + duration;
}

/** The text of the key set. */
async function fetchKeys({ issuer, jwksUrl, ca }: KeyPlace): Promise<string> {
  const dispatcher = new Agent({ connect: ca === null ? {} : { ca }, maxResponseSize: MAX_SIZE });
  try {
    const options = { dispatcher, signal: AbortSignal.timeout(TIMEOUT) };
    return await fetchText(jwksUrl ?? (await discover(issuer, options)), options);
  } finally {
    await dispatcher.destroy();
  }
}

/** OpenID Connect Discovery 1.0, section 4. */
async function discover(issuer: string, options: FetchOptions): Promise<string> {
  const found: unknown = JSON.parse(await fetchText(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, options));
  const { issuer: named, jwks_uri: url } = (found ?? {}) as { issuer?: unknown; jwks_uri?: unknown };
  if (named !== issuer) throw new Error('its discovery document names another issuer');
  if (typeof url !== 'string' || issuerUrlProblem(url, { query: true }) !== null) {
    throw new Error('the jwks_uri of its discovery document is not an https URL');
  }
  return url;
}

interface FetchOptions {
  readonly dispatcher: Dispatcher;
  readonly signal: AbortSignal;
}

/** Follows no redirect: only where the configuration points is believed. */
async function fetchText(url: string, options: FetchOptions): Promise<string> {
  const { statusCode, body } = await request(url, {
    ...options,
    headers: { accept: 'application/json, application/jwk-set+json' },
  });
  if (statusCode !== 200) {
    // What is left of the body goes with the connection.
    body.on('error', () => {}).destroy();
    throw new Error(`${new URL(url).pathname} was answered with ${statusCode}, not 200`);
  }
  return await body.text();
}
