import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError, formatProblem } from './problems.ts';
import { loadSettings, type Settings } from './settings.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'promgate-config-'));
});
afterEach(() => rmSync(cwd, { recursive: true }));

interface Given {
  flags?: Record<string, unknown>;
  env?: Record<string, string>;
  /** Text of promgate.yml. */
  file?: string;
}

function load({ flags = {}, env = {}, file }: Given = {}, warn?: (line: string) => void): Settings {
  if (file !== undefined) writeFileSync(join(cwd, 'promgate.yml'), file);
  return loadSettings({ flags, env, cwd }, warn);
}

function problemsOf(given: Given): string[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(formatProblem);
    throw error;
  }
  return [];
}

const key = Buffer.alloc(32, 7);

describe('where a setting comes from', () => {
  it('without any source every setting has the default of the reference', () => {
    expect(load()).toEqual({
      listen: { host: '127.0.0.1', port: 9490 },
      opsListen: { host: '127.0.0.1', port: 9491 },
      externalUrl: 'http://localhost:9490',
      dataDir: join(cwd, 'data'),
      databaseUrl: '',
      secretKey: null,
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
      },
      cache: {
        memory: 256 * 2 ** 20,
        recentWindow: 300_000,
        maxAge: 86_400_000,
        instant: true,
        metadataTtl: 10_000,
        shadow: 0,
        redisUrl: '',
      },
      cors: { origins: [] },
      trustedProxies: [],
      outbound: { allow: [] },
      sessions: { idle: 86_400_000, lifetime: 7 * 86_400_000 },
      audit: { retention: 365 * 86_400_000 },
      oidc: { providers: [] },
      workloadIdentity: { issuers: [] },
      logLevel: 'info',
    });
  });

  it('a flag wins over a variable, a variable over the file', () => {
    const file = 'limits:\n  timeout: 1s\n  max_range: 1d\n  max_points: 7\n';
    const env = { PROMGATE_LIMITS_TIMEOUT: '2s', PROMGATE_LIMITS_MAX_RANGE: '2d' };
    expect(load({ file, env, flags: { limitsTimeout: '3s' } }).limits).toMatchObject({
      timeout: 3000,
      maxRange: 2 * 86_400_000,
      maxPoints: 7,
    });
  });

  it('an empty variable counts as not set', () => {
    expect(load({ file: 'log_level: warn', env: { PROMGATE_LOG_LEVEL: '', PROMGATE_CONFIG: '' } }).logLevel).toBe('warn');
  });

  it('every kind of value can be given in the file', () => {
    const file = `
listen: "[::1]:80"
ops_listen: localhost:0
external_url: https://ops.example/promgate/
data_dir: state
database_url: postgres://u:p@db.example/promgate
secret_key: ${key.toString('base64')}
limits:
  timeout: 500ms
  max_range: 31d
  max_points: 50
  max_response: 10MB
  max_query_bytes: 4096
  max_depth: 20
  token_concurrency: 4
  token_rate: 0.5
  environment_concurrency: 30
  environment_rate: 100
cache:
  memory: 0
  recent_window: 90s
  max_age: 2w
  instant: false
  metadata_ttl: 0
  shadow: 0.25
  redis_url: valkeys://u:p@cache.example:6380/2
cors: { origins: [https://grafana.example, http://localhost:3000] }
trusted_proxies: [10.0.0.0/8, 192.0.2.1, "2001:db8::/32"]
outbound: { allow: [Prometheus.internal., 10.1.0.0/16, 192.0.2.7] }
sessions: { idle: 8h, lifetime: 30d }
audit: { retention: 0 }
oidc: { providers: [{ name: gitlab, issuer: "https://gitlab.example", client_id: promgate }] }
workload_identity:
  issuers:
    - { name: ci, issuer: "https://gitlab.example", audience: promgate, rules: [{ claims: { ref: main }, opens: acme/shop }] }
log_level: debug
`;
    expect(load({ file })).toEqual({
      listen: { host: '::1', port: 80 },
      opsListen: { host: 'localhost', port: 0 },
      externalUrl: 'https://ops.example/promgate',
      dataDir: join(cwd, 'state'),
      databaseUrl: 'postgres://u:p@db.example/promgate',
      secretKey: key,
      limits: {
        timeout: 500,
        maxRange: 31 * 86_400_000,
        maxPoints: 50,
        maxResponse: 10_000_000,
        maxQueryBytes: 4096,
        maxDepth: 20,
        tokenConcurrency: 4,
        tokenRate: 0.5,
        environmentConcurrency: 30,
        environmentRate: 100,
      },
      cache: {
        memory: 0,
        recentWindow: 90_000,
        maxAge: 14 * 86_400_000,
        instant: false,
        metadataTtl: 0,
        shadow: 0.25,
        redisUrl: 'rediss://u:p@cache.example:6380/2',
      },
      cors: { origins: ['https://grafana.example', 'http://localhost:3000'] },
      trustedProxies: ['10.0.0.0/8', '192.0.2.1/32', '2001:db8::/32'],
      outbound: { allow: ['prometheus.internal', '10.1.0.0/16', '192.0.2.7/32'] },
      sessions: { idle: 8 * 3_600_000, lifetime: 30 * 86_400_000 },
      audit: { retention: 0 },
      oidc: { providers: [expect.objectContaining({ name: 'gitlab', clientId: 'promgate' })] },
      workloadIdentity: { issuers: [expect.objectContaining({ name: 'ci', audience: 'promgate' })] },
      logLevel: 'debug',
    });
  });

  it('lists stand apart by commas in variables and flags', () => {
    const settings = load({
      env: { PROMGATE_CORS_ORIGINS: 'https://a.example, https://b.example' },
      flags: { trustedProxies: '10.0.0.0/8,127.0.0.1' },
    });
    expect(settings.cors.origins).toEqual(['https://a.example', 'https://b.example']);
    expect(settings.trustedProxies).toEqual(['10.0.0.0/8', '127.0.0.1/32']);
  });

  it('the default external URL follows the port of listen', () => {
    expect(load({ flags: { listen: '0.0.0.0:8080' } }).externalUrl).toBe('http://localhost:8080');
  });

  it('--config and PROMGATE_CONFIG name the file instead of promgate.yml, and its relative paths start from its directory', () => {
    const elsewhere = mkdtempSync(join(cwd, 'etc-'));
    const other = join(elsewhere, 'other.yml');
    writeFileSync(other, 'data_dir: ./here\nlog_level: error\n');
    for (const given of [{ flags: { config: other } }, { env: { PROMGATE_CONFIG: other } }]) {
      expect(load({ ...given, file: 'log_level: trace' })).toMatchObject({
        dataDir: join(elsewhere, 'here'),
        logLevel: 'error',
      });
    }
  });

  it('a file that was asked for and cannot be read is a problem', () => {
    expect(problemsOf({ flags: { config: 'none.yml' } })).toEqual(['--config: cannot read "none.yml": there is no such file']);
    expect(problemsOf({ env: { PROMGATE_CONFIG: '.' } })).toEqual(['PROMGATE_CONFIG: cannot read ".": it is a directory']);
  });

  it.each(['', '# only a comment\n', 'limits:\n  # all defaults\n', '---\n'])('%j is a file without settings', (file) => {
    expect(load({ file })).toEqual(load());
  });

  it('an alias in the file stands for what it names', () => {
    const file = 'limits: { timeout: &t 5s, max_range: *t }\ntrusted_proxies: &n [10.0.0.0/8]\n';
    expect(load({ file }).limits).toMatchObject({ timeout: 5000, maxRange: 5000 });
  });
});

describe('secrets', () => {
  it('can be read from files named in each of the sources', () => {
    writeFileSync(join(cwd, 'key'), `${key.toString('base64')}\n`);
    writeFileSync(join(cwd, 'url'), 'postgres://db.example/x\n');
    const expected = { secretKey: key, databaseUrl: 'postgres://db.example/x' };
    expect(load({ flags: { secretKeyFile: 'key', databaseUrlFile: 'url' } })).toMatchObject(expected);
    expect(load({ env: { PROMGATE_SECRET_KEY_FILE: 'key', PROMGATE_DATABASE_URL_FILE: join(cwd, 'url') } })).toMatchObject(
      expected,
    );
    expect(load({ file: 'secret_key_file: key\ndatabase_url_file: ./url\n' })).toMatchObject(expected);
    writeFileSync(join(cwd, 'redis'), 'redis://:s3cret@cache.example\n');
    for (const given of [
      { flags: { cacheRedisUrlFile: 'redis' } },
      { env: { PROMGATE_CACHE_REDIS_URL_FILE: 'redis' } },
      { file: 'cache: { redis_url_file: redis }' },
    ]) {
      expect(load(given).cache.redisUrl).toBe('redis://:s3cret@cache.example');
    }
  });

  it('a key may be URL-safe base64', () => {
    const bytes = Buffer.alloc(32, 0xfb);
    expect(load({ env: { PROMGATE_SECRET_KEY: bytes.toString('base64url') } }).secretKey).toEqual(bytes);
  });

  it('a key and its file in one source are a problem, in two sources the stronger one wins', () => {
    writeFileSync(join(cwd, 'url'), 'postgres://file.example/x');
    const both = { PROMGATE_DATABASE_URL: 'postgres://plain.example/x', PROMGATE_DATABASE_URL_FILE: 'url' };
    expect(problemsOf({ env: both })).toEqual([
      'PROMGATE_DATABASE_URL_FILE: is given together with PROMGATE_DATABASE_URL; give one of the two',
    ]);
    expect(problemsOf({ file: 'database_url: ""\ndatabase_url_file: url\n' })).toEqual([
      'promgate.yml:2: database_url_file: is given together with database_url; give one of the two',
    ]);
    expect(load({ file: 'database_url: postgres://plain.example/x', flags: { databaseUrlFile: 'url' } }).databaseUrl).toBe(
      'postgres://file.example/x',
    );
  });

  it('a file that cannot be read is a problem and is never replaced by a weaker source', () => {
    expect(problemsOf({ env: { PROMGATE_SECRET_KEY_FILE: 'gone' }, file: `secret_key: ${key.toString('base64')}` })).toEqual([
      'PROMGATE_SECRET_KEY_FILE: cannot read "gone": there is no such file',
    ]);
  });

  it('a wrong secret is never shown', () => {
    writeFileSync(join(cwd, 'key'), 'hunter2hunter2');
    for (const given of [
      { env: { PROMGATE_SECRET_KEY: 'hunter2', PROMGATE_DATABASE_URL: 'mysql://root:hunter2@db' } },
      { env: { PROMGATE_SECRET_KEY_FILE: 'key' }, file: 'database_url: mysql://root:hunter2@db' },
    ]) {
      const problems = problemsOf(given);
      expect(problems).toHaveLength(2);
      expect(problems.join()).toContain('must be 32 bytes in base64');
      expect(problems.join()).toContain('must be empty (SQLite in data_dir) or a URL such as postgres://');
      expect(problems.join()).not.toContain('hunter2');
    }
    expect(problemsOf({ file: '', env: { PROMGATE_CACHE_REDIS_URL: 'http://u:hunter2@cache' } })).toEqual([
      'PROMGATE_CACHE_REDIS_URL: must be empty (none) or a URL such as redis://user:password@host:6379/0, or rediss:// for TLS',
    ]);
  });
});

describe('what is accepted as it is', () => {
  /** The sample of the contract, §8, as it stands there. */
  const sample = `listen: 127.0.0.1:9490            # the gateway: data plane, API, web
ops_listen: 127.0.0.1:9491        # /metrics, /-/healthy, /-/ready
external_url: http://localhost:9490
data_dir: ./data                  # SQLite file, generated keys (0600)
database_url: ""                  # empty: SQLite in data_dir; or postgres://…
cache: { memory: 256MiB, recent_window: 5m, redis_url: "" }
limits: { timeout: 60s, max_range: 0, max_points: 11000, max_response: 64MiB, max_query_bytes: 128KiB }
outbound: { allow: [] }            # hosts and networks, beside public addresses, that servers set by people other
                                   # than administrators may point to (gitlab.md); administrators and files are free
`;

  it("the contract's sample means the defaults, without a warning", () => {
    const defaults = load();
    const warnings: string[] = [];
    expect(load({ file: sample }, (line) => warnings.push(line))).toEqual(defaults);
    expect(warnings).toEqual([]);
  });

  it('a warning names a shared cache that is not used', () => {
    const warnings: string[] = [];
    const warn = (line: string) => warnings.push(line);
    load({ file: 'cache: { redis_url: "redis://u:p@localhost" }' }, warn);
    load({ file: 'cache: { memory: 0 }' }, warn);
    expect(warnings).toEqual([]);
    load({ file: 'cache: { memory: 0, redis_url: "redis://u:p@localhost" }' }, warn);
    expect(warnings).toEqual(['cache.redis_url: has no effect, because cache.memory is 0']);
  });

  it('where there are problems no warning is told: what they are about may be what is wrong', () => {
    const warnings: string[] = [];
    const file = 'cache: { memory: 0, redis_url: "redis://localhost" }\nlimit: {}\n';
    expect(() => load({ file }, (line) => warnings.push(line))).toThrow('promgate.yml:2: limit: unknown key');
    expect(warnings).toEqual([]);
  });

  it('hosts and networks that people may point servers to come from every source', () => {
    for (const given of [
      { env: { PROMGATE_OUTBOUND_ALLOW: 'prometheus.internal, 10.1.0.0/16' } },
      { flags: { outboundAllow: 'prometheus.internal,10.1.0.0/16' } },
      { file: 'outbound: { allow: [prometheus.internal, 10.1.0.0/16] }' },
    ]) {
      expect(load(given).outbound.allow).toEqual(['prometheus.internal', '10.1.0.0/16']);
    }
  });
});

describe('problems', () => {
  it('all problems of all sources are told at once, each with its place, the wrong value and what would be right', () => {
    const file = `listen: here
limits:
  timeout: 60
  max_pionts: 5
cors:
  origins: [https://ok.example, "https://bad.example/path"]
`;
    const env = { PROMGATE_LOG_LEVEL: 'loud', PROMGATE_LISTN: 'x' };
    expect(problemsOf({ file, env, flags: { limitsMaxResponse: '64 parsecs' } }).sort()).toEqual([
      '--limits-max-response: "64 parsecs" must be a size over 0, such as 64MiB, 128KiB, 10MB or plain bytes',
      'PROMGATE_LISTN: unknown variable (did you mean "PROMGATE_LISTEN"?)',
      'PROMGATE_LOG_LEVEL: "loud" must be one of fatal, error, warn, info, debug, trace',
      'promgate.yml:1: listen: "here" must be host:port, such as 127.0.0.1:9490, or 0.0.0.0:9490 or [::]:9490 for every interface',
      'promgate.yml:3: limits.timeout: "60" must be a duration with a unit, such as 500ms, 30s, 1h30m or 31d',
      'promgate.yml:4: limits.max_pionts: unknown key (did you mean "limits.max_points"?)',
      'promgate.yml:6: cors.origins: "https://bad.example/path" must be an origin as browsers write it, such as https://grafana.example, or *',
    ]);
  });

  it('a configuration error carries the problems as data and reads well as a message', () => {
    let error: unknown;
    try {
      load({ file: 'log_level: loud', env: { PROMGATE_LISTEN: 'x' } });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /^the configuration has 2 problems:\n {2}PROMGATE_LISTEN: .+\n {2}promgate.yml:1: log_level: /,
      ),
      problems: [
        { source: 'PROMGATE_LISTEN', path: 'listen' },
        { source: 'promgate.yml', path: 'log_level', line: 1 },
      ],
    });
  });

  it.each([
    ['limits: 5', 'promgate.yml:1: limits: holds keys of its own, it has no value'],
    ['listen: [a]', 'promgate.yml:1: listen: must be one plain value'],
    ['listen: { host: a }', 'promgate.yml:1: listen: must be one plain value'],
    ['\n\nlisten:\n', 'promgate.yml:3: listen: has no value; leave the key out for the default'],
    ['cors: { origins: [[a]] }', 'promgate.yml:1: cors.origins: must be a list of plain values'],
    ['- a', 'promgate.yml:1: must hold keys with values, such as `listen: 127.0.0.1:9490`'],
    ['limit: {}', 'promgate.yml:1: limit: unknown key (did you mean "limits"?)'],
    ['cache: { memry: 1MiB }', 'promgate.yml:1: cache.memry: unknown key (did you mean "cache.memory"?)'],
    ['limits: { cache: 1MiB }', 'promgate.yml:1: limits.cache: unknown key'],
    ['caches: {}', 'promgate.yml:1: caches: unknown key (did you mean "cache"?)'],
    ['__proto__: 1', 'promgate.yml:1: __proto__: unknown key'],
    ['? [a]\n: 1', 'promgate.yml:1: ?: unknown key'],
  ])('%j is refused', (file, problem) => {
    expect(problemsOf({ file })).toEqual([problem]);
  });

  it('broken YAML and a key that stands twice are told with their line', () => {
    expect(problemsOf({ file: 'listen: a\nlisten: b\n' })).toEqual([expect.stringMatching(/^promgate.yml:2: .*unique/)]);
    expect(problemsOf({ file: 'a: "\n' })).toEqual([expect.stringMatching(/^promgate.yml:\d: /)]);
  });

  it.each([
    ['listen', ['', '9490', ':9490', '1.2.3.4', '1.2.3.4:65536', '::1:80', '[1.2.3.4]:80', 'a b:80', 'http://a:80']],
    [
      'externalUrl',
      ['ftp://a', 'a.example', 'https://u:p@a', 'https://a/?q', 'https://a/#f', 'https:a', 'http://', 'http://a b'],
    ],
    ['dataDir', ['', 'a\0b']],
    ['limitsTimeout', ['0', '0s', '25h', '-1s', 'soon']],
    ['limitsMaxRange', ['-1', 'none', '1']],
    ['limitsMaxPoints', ['0', '-1', '1.5', '1e3', 'many']],
    ['limitsMaxResponse', ['0', '-1', '64M']],
    ['limitsMaxQueryBytes', ['0', 'lots']],
    ['limitsMaxDepth', ['0', '-1', '1.5', 'deep']],
    ['limitsTokenConcurrency', ['-1', '1.5', 'many']],
    ['limitsTokenRate', ['-1', '1e3', '.5', '0.000001', '1000001', 'Infinity', '10/s']],
    ['limitsEnvironmentConcurrency', ['-1', '']],
    ['limitsEnvironmentRate', ['-0.1', 'slow']],
    ['cacheMemory', ['', '-1', '256M', 'all']],
    ['cacheRecentWindow', ['', '-1s', '5', 'soon']],
    ['cacheMaxAge', ['0', '0s', '1', 'ever']],
    ['cacheInstant', ['', 'yes', '1', 'True']],
    ['cacheMetadataTtl', ['-1', '10', 'short']],
    ['cacheShadow', ['', '-0.1', '1.01', '2', '.5', '1e-3', '10%', 'NaN']],
    ['corsOrigins', ['grafana.example', 'https://a/', 'HTTPS://a', 'null', 'file:///x', 'https://a:443']],
    ['trustedProxies', ['10.0.0.0/33', '10.0.0.1/8', 'proxy.example', '10.0.0.0/', '1.2.3', 'fe80::1%eth0', '::/129']],
    ['outboundAllow', ['*.internal', 'http://a', 'a:9090', '10.1.0.1/16', '0x7f.1', '1.2.3', 'a b', `${'a'.repeat(64)}.example`]],
    ['sessionsIdle', ['', '0', '59s', '1', 'ever']],
    ['sessionsLifetime', ['', '0', '59s', '401d']],
    ['auditRetention', ['', '-1', '30', 'ever']],
    ['logLevel', ['', 'INFO', 'verbose']],
  ])('%s refuses what it cannot mean', (flag, texts) => {
    for (const text of texts) expect(problemsOf({ flags: { [flag]: text } }), JSON.stringify(text)).toHaveLength(1);
  });

  it.each([
    'cache.example:6379',
    'http://cache.example',
    'redis:///0',
    'redis://cache.example/name',
    'redis://cache.example/0?x=1',
    'redis://cache.example/0#x',
    'redis://cache.example:70000',
    'redis:cache.example',
    'valkey://',
    'REDIS://cache.example',
  ])('%s is no URL of a shared cache', (url) => {
    expect(problemsOf({ env: { PROMGATE_CACHE_REDIS_URL: url } })).toHaveLength(1);
  });

  it.each([
    ['', ''],
    ['redis://cache.example', 'redis://cache.example'],
    ['redis://[::1]:6379/', 'redis://[::1]:6379/'],
    ['rediss://:p%40ss@cache.example:6380/15', 'rediss://:p%40ss@cache.example:6380/15'],
    ['valkey://u:p@cache.example/1', 'redis://u:p@cache.example/1'],
  ])('%j is the shared cache %j', (given, taken) => {
    expect(load({ env: { PROMGATE_CACHE_REDIS_URL: given } }).cache.redisUrl).toBe(taken);
  });

  it.each([Buffer.alloc(31), Buffer.alloc(33), Buffer.alloc(0)])('a key of another length is refused (%#)', (bytes) => {
    const text = bytes.toString('base64') || '=';
    expect(problemsOf({ env: { PROMGATE_SECRET_KEY: text } })).toHaveLength(1);
  });

  it('the gateway and the operations listener cannot share an address', () => {
    expect(problemsOf({ flags: { listen: '127.0.0.1:9491' } })).toEqual(['--listen: listen and ops_listen must differ']);
    expect(problemsOf({ flags: { listen: '127.0.0.1:0', opsListen: '127.0.0.1:0' } })).toEqual([]);
  });

  it('a long wrong value is cut', () => {
    expect(problemsOf({ flags: { logLevel: 'x'.repeat(10_000) } }).join().length).toBeLessThan(300);
  });
});
