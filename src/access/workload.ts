/**
 * Programs that come with a JWT of an issuer they have anyway: CI jobs, controllers. Who is believed, and what is opened to whom, is
 * in the configuration (`workload_identity`); nothing of it is stored.
 */
import { createHash } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import type { TrustedIssuer } from '../config/identity.ts';
import type { Directory } from '../directory/snapshot.ts';
import type { Log } from '../ops/log.ts';
import { contains } from './authenticate.ts';
import type { WorkloadCaller } from './caller.ts';
import { createKeySource, type KeySet, type KeySource } from './workload-keys.ts';
import { missesOf } from './workload-misses.ts';
import { openedNames, scopeOf } from './workload-rules.ts';

export interface Workloads {
  /** Whether it has the form of a JWT: nothing else that Promgate takes has. */
  looksLikeJwt(text: string): boolean;
  /**
   * Who brings this JWT; `null` for every kind of failure alike. A promise only where it was not seen before, or what was known of
   * it is stale. Never throws or rejects.
   */
  identify(jwt: string): WorkloadCaller | null | Promise<WorkloadCaller | null>;
}

export interface WorkloadParts {
  /** Another list, by identity, after every change of the settings. */
  readonly issuers: () => readonly TrustedIssuer[];
  readonly directory: () => Directory;
  readonly log: Log;
}

/** With a public key alone: whoever can verify a token must not be able to make one (RFC 8725, 3.1 and 3.2). */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
/** Characters. */
const LONGEST = 16 * 1024;
/** Tokens that are remembered. */
const REMEMBERED = 4_096;
/** Refusals, and tokens that open nothing, are each logged at most this often, in milliseconds: anybody can cause them. */
const LOG_INTERVAL = 10_000;

/** Characters of a subject in the log. */
const MAX_SUBJECT = 255;

interface Known {
  readonly caller: WorkloadCaller;
  readonly source: KeySource;
  /** The keys it was verified with: with others it has to be verified again. */
  readonly keys: KeySet;
  /** Unix milliseconds. */
  readonly until: number;
}

export function createWorkloads({ issuers, directory, log }: WorkloadParts): Workloads {
  /** By the SHA-256 of the token's text. */
  const known = new LRUCache<string, Known>({ max: REMEMBERED });
  const sources = new Map<string, KeySource>();
  let trusted: readonly TrustedIssuer[] = [];
  const sayRefused = seldom(log, 'a JWT was refused');
  const sayOpensNothing = seldom(log, 'a JWT opens nothing here');
  const refused = (reason: string, issuer?: TrustedIssuer): null => {
    sayRefused(() => ({ reason, ...(issuer === undefined ? {} : { issuer: issuer.name }) }));
    return null;
  };

  const follow = (): readonly TrustedIssuer[] => {
    const now = issuers();
    if (now === trusted) return now;
    trusted = now;
    known.clear();
    const places = new Set(now.map(placeOf));
    for (const place of sources.keys()) if (!places.has(place)) sources.delete(place);
    return now;
  };
  const sourceOf = (issuer: TrustedIssuer): KeySource => {
    const place = placeOf(issuer);
    let source = sources.get(place);
    if (source === undefined) {
      source = createKeySource(issuer, log);
      sources.set(place, source);
    }
    return source;
  };

  const look = async (jwt: string): Promise<Known | null> => {
    const issuer = chooseIssuer(trusted, jwt);
    if (typeof issuer === 'string') return refused(issuer);
    const source = sourceOf(issuer);
    const keys = await source.get(Date.now());
    if (keys === null) return refused('the keys of its issuer are not known', issuer);
    const verified = await verify(jwt, issuer, source, keys);
    if (typeof verified === 'string') return refused(verified, issuer);
    const { claims } = verified;
    const names = openedNames(issuer.rules, claims);
    if (names.every((name) => scopeOf(directory(), name) === null)) {
      const subject = claims.sub.slice(0, MAX_SUBJECT);
      sayOpensNothing(() => ({ issuer: issuer.name, subject, rules: missesOf(issuer.rules, claims) }));
    }
    const caller: WorkloadCaller = {
      kind: 'workload',
      issuer: issuer.name,
      subject: claims.sub,
      key: `workload ${issuer.name} ${claims.sub}`,
      opens: (target) => {
        const now = directory();
        return names.some((name) => {
          const scope = scopeOf(now, name);
          return scope !== null && contains(scope, target);
        });
      },
    };
    return { caller, source, keys: verified.keys, until: claims.exp * 1000 + issuer.clockSkew };
  };
  const identifyNew = async (jwt: string, hash: string): Promise<WorkloadCaller | null> => {
    for (;;) {
      const before = follow();
      const found = await look(jwt);
      // Whom the settings no longer name is refused, whatever was found meanwhile.
      if (follow() !== before) continue;
      if (found === null) return null;
      known.set(hash, found);
      return found.caller;
    }
  };

  return {
    looksLikeJwt: (text) => text.startsWith('eyJ') && text.includes('.'),
    identify(jwt) {
      if (follow().length === 0 || jwt.length > LONGEST) return null;
      const hash = createHash('sha256').update(jwt).digest('base64');
      const before = known.get(hash);
      const now = Date.now();
      if (before !== undefined && now < before.until && before.source.current(now) === before.keys) return before.caller;
      return identifyNew(jwt, hash);
    },
  };
}

/** Issuers that differ in nothing else share their keys. */
function placeOf({ issuer, jwksUrl, ca }: TrustedIssuer): string {
  return JSON.stringify([issuer, jwksUrl, ca]);
}

/** The issuer that the token says it is from, which is still to be verified; or why there is none. Of several the first. */
function chooseIssuer(issuers: readonly TrustedIssuer[], jwt: string): TrustedIssuer | string {
  try {
    const { alg, crit } = decodeProtectedHeader(jwt);
    if (alg === undefined || !ALGORITHMS.includes(alg)) return 'its algorithm is not one of those with a public key';
    // Extensions that have to be understood (RFC 7515, 4.1.11): none is.
    if (crit !== undefined) return 'its header has "crit"';
    const { iss, aud } = decodeJwt(jwt);
    const audiences: unknown[] = Array.isArray(aud) ? aud : [aud];
    const chosen = issuers.find(({ issuer, audience }) => issuer === iss && audiences.includes(audience));
    return chosen ?? 'no trusted issuer has its "iss" and "aud"';
  } catch {
    return 'it is malformed';
  }
}

interface Verified {
  readonly claims: JWTPayload & { readonly sub: string; readonly exp: number };
  readonly keys: KeySet;
}

/** The claims, or why they are not to be believed: never a word of the token itself. */
async function verify(jwt: string, issuer: TrustedIssuer, source: KeySource, keys: KeySet): Promise<Verified | string> {
  const now = Date.now();
  const clockTolerance = issuer.clockSkew / 1000;
  try {
    const { payload } = await jwtVerify(jwt, keys.key, {
      algorithms: ALGORITHMS,
      issuer: issuer.issuer,
      audience: issuer.audience,
      requiredClaims: ['iss', 'sub', 'aud', 'exp'],
      clockTolerance,
      currentDate: new Date(now),
    });
    const { sub, exp, iat } = payload;
    if (typeof sub !== 'string' || sub === '' || exp === undefined) return 'its "sub" is no text';
    if (iat !== undefined && iat > now / 1000 + clockTolerance) return 'it is from the future ("iat")';
    return { claims: { ...payload, sub, exp }, keys };
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) {
      const others = await source.otherThan(keys, Date.now());
      return others === null ? 'its key is none of its issuer' : verify(jwt, issuer, source, others);
    }
    return error instanceof errors.JOSEError ? error.message : 'it cannot be verified';
  }
}

/** Writes the message at most once in {@link LOG_INTERVAL}, and how often it was not written since. */
function seldom(log: Log, message: string): (fields: () => Readonly<Record<string, unknown>>) => void {
  let last = Number.NEGATIVE_INFINITY;
  let unsaid = 0;
  return (fields) => {
    const now = Date.now();
    if (now < last + LOG_INTERVAL) {
      unsaid++;
      return;
    }
    log.info(message, { ...fields(), ...(unsaid === 0 ? {} : { unsaid }) });
    last = now;
    unsaid = 0;
  };
}
