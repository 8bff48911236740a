/**
 * Every setting of the server, once: the flags, the variables, the file's keys and `docs/configuration.md` all come from
 * this table. Source of the keys and defaults: contract §8.
 */
import {
  baseUrl,
  boolean,
  databaseUrl,
  directoryPath,
  duration,
  fraction,
  hostOrNetwork,
  listenAddress,
  listOf,
  network,
  oneOf,
  origin,
  positiveInteger,
  type Reader,
  rate,
  redisUrl,
  secretKey,
  size,
  sizeOrNone,
  wholeNumber,
} from './values.ts';

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;

export interface Key<T> {
  /** Dotted path in the file. */
  readonly path: string;
  /** The default as one would write it. */
  readonly default: string;
  /** Of the default, for people, where its text does not say it. */
  readonly defaultMeaning?: string;
  readonly meaning: string;
  /** Several values: a list in the file, commas or repetition elsewhere. */
  readonly list?: true;
  /** Never shown, and may also be given as the path of a file that holds it, under the key's name with `_file` added. */
  readonly secret?: true;
  /** No flag of its own: every user of the machine could read it in the list of processes. */
  readonly noFlag?: true;
  /** Also a flag of the commands that only work on the database. */
  readonly storage?: true;
  readonly read: Reader<T>;
}

function key<T>(definition: Key<T>): Key<T> {
  return definition;
}

const none = '`0`: no limit';
const perProcess = 'Counted in each process for itself.';
const minute = 60_000;
const day = 24 * 60 * minute;

export const schema = {
  listen: key({
    path: 'listen',
    default: '127.0.0.1:9490',
    meaning: 'Address of the gateway. Port 0 takes any free one.',
    read: listenAddress,
  }),
  opsListen: key({
    path: 'ops_listen',
    default: '127.0.0.1:9491',
    meaning:
      'Address of `/metrics`, `/-/healthy`, `/-/ready` and `/-/cache/purge`, for the people who run Promgate. Without credentials: keep it private.',
    read: listenAddress,
  }),
  externalUrl: key({
    path: 'external_url',
    default: '',
    defaultMeaning: '`http://localhost:` and the port of `listen`',
    meaning: 'URL under which clients reach the gateway; may have a path. It stands in the endpoint URLs that are printed.',
    storage: true,
    read: baseUrl,
  }),
  dataDir: key({
    path: 'data_dir',
    default: './data',
    meaning: 'Directory of the SQLite file and the generated key. Relative: to the configuration file where it is given there.',
    storage: true,
    read: directoryPath,
  }),
  databaseUrl: key({
    path: 'database_url',
    default: '',
    defaultMeaning: 'empty: SQLite in `data_dir`',
    meaning: 'Keeps everything in PostgreSQL: `postgres://user:password@host:5432/promgate`. A secret.',
    secret: true,
    noFlag: true,
    storage: true,
    read: databaseUrl,
  }),
  secretKey: key({
    path: 'secret_key',
    default: '',
    defaultMeaning: 'generated once, in `secret.key` in `data_dir`',
    meaning: "Encrypts servers' credentials in the database: 32 bytes in base64 (`openssl rand -base64 32`). A secret.",
    secret: true,
    noFlag: true,
    storage: true,
    read: secretKey,
  }),
  timeout: key({
    path: 'limits.timeout',
    default: '60s',
    meaning: 'How long a server may take to answer; over 0, at most `1d`.',
    // Longer ones would overflow a timer's 32 bits and fire at once.
    read: duration(1, day, 'over 0 and at most 1d'),
  }),
  maxRange: key({
    path: 'limits.max_range',
    default: '0',
    defaultMeaning: none,
    meaning:
      'Longest time that a question touches: from `start` to `end`, and what its ranges, offsets, subqueries and `@` add. Of an instant query they alone count.',
    read: duration(0, Number.MAX_SAFE_INTEGER, 'of 0 or more'),
  }),
  maxPoints: key({
    path: 'limits.max_points',
    default: '11000',
    meaning:
      "Most points per series of a range query. Prometheus' own limit is the same. A subquery may be evaluated at 1,100,000 times at most, whatever is set here.",
    read: positiveInteger,
  }),
  maxResponse: key({
    path: 'limits.max_response',
    default: '64MiB',
    meaning: 'Largest answer of a server, as it comes over the network (compressed where it is).',
    read: size,
  }),
  maxQueryBytes: key({
    path: 'limits.max_query_bytes',
    default: '128KiB',
    meaning: 'Longest query, after its variables were put in.',
    read: size,
  }),
  maxDepth: key({
    path: 'limits.max_depth',
    default: '100',
    meaning:
      'Deepest nesting of a query: calls, aggregations, parentheses, subqueries and signs inside one another. More than 250 levels cannot be read at all.',
    read: positiveInteger,
  }),
  tokenConcurrency: key({
    path: 'limits.token_concurrency',
    default: '0',
    defaultMeaning: none,
    meaning: `Most requests of one token that may run at once. ${perProcess}`,
    read: wholeNumber,
  }),
  tokenRate: key({
    path: 'limits.token_rate',
    default: '0',
    defaultMeaning: none,
    meaning: `Most requests of one token per second; one second's worth, and at least one, may come at once. ${perProcess}`,
    read: rate,
  }),
  environmentConcurrency: key({
    path: 'limits.environment_concurrency',
    default: '0',
    defaultMeaning: none,
    meaning: `Most requests to one endpoint (of an environment, project or group) that may run at once. ${perProcess}`,
    read: wholeNumber,
  }),
  environmentRate: key({
    path: 'limits.environment_rate',
    default: '0',
    defaultMeaning: none,
    meaning: `Most requests to one endpoint per second, as for \`limits.token_rate\`. ${perProcess}`,
    read: rate,
  }),
  cacheMemory: key({
    path: 'cache.memory',
    default: '256MiB',
    meaning: `Most memory for kept answers; \`0\` keeps none, in Redis neither. ${perProcess} A change needs a restart.`,
    read: sizeOrNone,
  }),
  cacheRecentWindow: key({
    path: 'cache.recent_window',
    default: '5m',
    meaning:
      'Points that are newer than this are asked of the server each time: it may still change them. Over the longest delay with which samples arrive.',
    read: duration(0, Number.MAX_SAFE_INTEGER, 'of 0 or more'),
  }),
  cacheMaxAge: key({
    path: 'cache.max_age',
    default: '1d',
    meaning: 'How long an answer is kept at most.',
    read: duration(1, Number.MAX_SAFE_INTEGER, 'over 0'),
  }),
  cacheInstant: key({
    path: 'cache.instant',
    default: 'true',
    meaning: 'Whether instant queries for a time before the recent window are kept: `true` or `false`.',
    read: boolean,
  }),
  cacheMetadataTtl: key({
    path: 'cache.metadata_ttl',
    default: '10s',
    meaning: 'How long answers about series, labels and metadata are kept; `0`: not at all.',
    read: duration(0, Number.MAX_SAFE_INTEGER, 'of 0 or more'),
  }),
  cacheShadow: key({
    path: 'cache.shadow',
    default: '0',
    meaning: 'Which part of the answers from the cache is also asked of the server and compared: from `0` (none) to `1` (all).',
    read: fraction,
  }),
  cacheRedisUrl: key({
    path: 'cache.redis_url',
    default: '',
    defaultMeaning: 'empty: none',
    meaning:
      'Valkey or Redis in which several processes share kept answers: `redis://user:password@host:6379/0`, with TLS `rediss://`. A secret. A change needs a restart.',
    secret: true,
    noFlag: true,
    read: redisUrl,
  }),
  corsOrigins: key({
    path: 'cors.origins',
    default: '',
    defaultMeaning: 'empty: CORS is off',
    meaning: 'Origins whose pages may ask from the browser, such as `https://grafana.example`; `*` for every one.',
    list: true,
    read: listOf(origin),
  }),
  trustedProxies: key({
    path: 'trusted_proxies',
    default: '',
    defaultMeaning: 'empty: none',
    meaning: "Networks of the reverse proxies whose `X-Forwarded-For` is believed for the client's address.",
    list: true,
    read: listOf(network),
  }),
  outboundAllow: key({
    path: 'outbound.allow',
    default: '',
    defaultMeaning: 'empty: public addresses alone',
    meaning:
      'Hosts and networks, beside public addresses, that servers may point to which people other than administrators set: `prometheus.internal`, `10.1.0.0/16`. Servers of the resource file and of administrators may point anywhere.',
    list: true,
    read: listOf(hostOrNetwork),
  }),
  sessionsIdle: key({
    path: 'sessions.idle',
    default: '1d',
    meaning: 'A signed-in session ends when it was not used for this long.',
    read: duration(minute, Number.MAX_SAFE_INTEGER, 'of at least 1m'),
  }),
  sessionsLifetime: key({
    path: 'sessions.lifetime',
    default: '7d',
    meaning: 'A signed-in session ends this long after the sign-in, however much it is used.',
    read: duration(minute, 400 * day, 'of at least 1m and at most 400d'),
  }),
  auditRetention: key({
    path: 'audit.retention',
    default: '365d',
    meaning: 'How long the audit log is kept; `0`: for ever.',
    read: duration(0, Number.MAX_SAFE_INTEGER, 'of 0 or more'),
  }),
  logLevel: key({
    path: 'log_level',
    default: 'info',
    meaning: `Least important lines that are logged: ${logLevels.join(', ')}.`,
    read: oneOf(logLevels),
  }),
} as const;

/** What reading the sources needs to know of every key. */
export type KeyName = Omit<Key<unknown>, 'read'>;
export const keys: readonly KeyName[] = Object.values(schema);

/** `limits.max_range` → `limits-max-range`: the flag without its dashes. */
export const flagName = (path: string): string => path.replaceAll(/[._]/g, '-');

/** `limits.max_range` → `PROMGATE_LIMITS_MAX_RANGE`. */
export const variableName = (path: string): string => `PROMGATE_${path.replaceAll('.', '_').toUpperCase()}`;

/** The keys with their `_file` forms, as they may stand in the file. */
export function pathsOf(key: KeyName): string[] {
  return key.secret ? [key.path, `${key.path}_file`] : [key.path];
}
