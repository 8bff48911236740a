import type { Warn } from './file.ts';
import type { OidcProvider, TrustedIssuer } from './identity.ts';
import { ConfigError, type ConfigProblem } from './problems.ts';
import { type Key, type logLevels, schema } from './schema.ts';
import { readSources, type Sources } from './sources.ts';
import type { ListenAddress } from './values.ts';

/** The server's configuration, checked and complete. */
export interface Settings {
  readonly listen: ListenAddress;
  readonly opsListen: ListenAddress;
  /** No trailing slash. */
  readonly externalUrl: string;
  /** Absolute. */
  readonly dataDir: string;
  /** Empty: SQLite in `dataDir`. */
  readonly databaseUrl: string;
  /** 32 bytes; `null`: generated, in `secret.key` in `dataDir`. */
  readonly secretKey: Buffer | null;
  readonly limits: {
    /** Milliseconds. */
    readonly timeout: number;
    /** Milliseconds; 0: no limit. */
    readonly maxRange: number;
    readonly maxPoints: number;
    readonly maxDepth: number;
    /** Bytes. */
    readonly maxResponse: number;
    /** Bytes. */
    readonly maxQueryBytes: number;
    /** At once; 0: no limit. */
    readonly tokenConcurrency: number;
    /** Per second; 0: no limit. */
    readonly tokenRate: number;
    /** At once; 0: no limit. */
    readonly environmentConcurrency: number;
    /** Per second; 0: no limit. */
    readonly environmentRate: number;
  };
  readonly cache: {
    /** Bytes; 0: nothing is kept. */
    readonly memory: number;
    /** Milliseconds. */
    readonly recentWindow: number;
    /** Milliseconds. */
    readonly maxAge: number;
    readonly instant: boolean;
    /** Milliseconds; 0: not kept. */
    readonly metadataTtl: number;
    /** From 0 to 1. */
    readonly shadow: number;
    /** `redis://` or `rediss://`; empty: none. */
    readonly redisUrl: string;
  };
  readonly cors: { readonly origins: readonly string[] };
  /** CIDR notations. */
  readonly trustedProxies: readonly string[];
  /** Hosts and CIDR notations, in lower case. */
  readonly outbound: { readonly allow: readonly string[] };
  /** Milliseconds. */
  readonly sessions: { readonly idle: number; readonly lifetime: number };
  /** Milliseconds; 0: for ever. */
  readonly audit: { readonly retention: number };
  readonly oidc: { readonly providers: readonly OidcProvider[] };
  readonly workloadIdentity: { readonly issuers: readonly TrustedIssuer[] };
  readonly logLevel: (typeof logLevels)[number];
}

/**
 * Flags over `PROMGATE_…` variables over the file (`--config`, `PROMGATE_CONFIG`, else `promgate.yml` where there is one)
 * over the defaults. Throws `ConfigError` with every problem of every source; what is accepted but has no effect goes to
 * `warn`, a line each. Source: contract §8.
 */
export function loadSettings(sources: Sources, warn: Warn = () => {}): Settings {
  const problems: ConfigProblem[] = [];
  const { values: raw, identity } = readSources(sources, problems);

  /** The key's value, or its default where it is not given or wrong (and then the default is never used). */
  function take<T>(key: Key<T>): T {
    const given = raw.get(key.path);
    if (given) {
      const reading = key.read(given.text, given.baseDir);
      if ('value' in reading) return reading.value;
      if ('problem' in reading) complain(key, reading.problem);
      else complain(key, `${key.secret ? '' : `${quote(reading.part ?? given.text)} `}must be ${reading.expected}`);
    }
    const standard = key.read(key.default, sources.cwd);
    if (!('value' in standard)) throw new Error(`the default of ${key.path} is not valid`);
    return standard.value;
  }

  function complain<T>(key: Key<T>, message: string): void {
    const { source, line } = raw.get(key.path) ?? { source: 'default' };
    problems.push({ source, path: key.path, ...(line === undefined ? {} : { line }), message });
  }

  const listen = take(schema.listen);
  const opsListen = take(schema.opsListen);
  if (listen.port !== 0 && listen.port === opsListen.port && listen.host === opsListen.host) {
    complain(raw.has('ops_listen') ? schema.opsListen : schema.listen, 'listen and ops_listen must differ');
  }
  const settings: Settings = {
    listen,
    opsListen,
    externalUrl: take(schema.externalUrl) || `http://localhost:${listen.port}`,
    dataDir: take(schema.dataDir),
    databaseUrl: take(schema.databaseUrl),
    secretKey: take(schema.secretKey),
    limits: {
      timeout: take(schema.timeout),
      maxRange: take(schema.maxRange),
      maxPoints: take(schema.maxPoints),
      maxResponse: take(schema.maxResponse),
      maxQueryBytes: take(schema.maxQueryBytes),
      maxDepth: take(schema.maxDepth),
      tokenConcurrency: take(schema.tokenConcurrency),
      tokenRate: take(schema.tokenRate),
      environmentConcurrency: take(schema.environmentConcurrency),
      environmentRate: take(schema.environmentRate),
    },
    cache: {
      memory: take(schema.cacheMemory),
      recentWindow: take(schema.cacheRecentWindow),
      maxAge: take(schema.cacheMaxAge),
      instant: take(schema.cacheInstant),
      metadataTtl: take(schema.cacheMetadataTtl),
      shadow: take(schema.cacheShadow),
      redisUrl: take(schema.cacheRedisUrl),
    },
    cors: { origins: take(schema.corsOrigins) },
    trustedProxies: take(schema.trustedProxies),
    outbound: { allow: take(schema.outboundAllow) },
    sessions: { idle: take(schema.sessionsIdle), lifetime: take(schema.sessionsLifetime) },
    audit: { retention: take(schema.auditRetention) },
    oidc: { providers: identity.providers },
    workloadIdentity: { issuers: identity.issuers },
    logLevel: take(schema.logLevel),
  };
  if (problems.length > 0) throw new ConfigError(problems);
  if (settings.cache.redisUrl !== '' && settings.cache.memory === 0) {
    warn('cache.redis_url: has no effect, because cache.memory is 0');
  }
  return settings;
}

/** In quotes, with escapes, and not at any length. */
function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
