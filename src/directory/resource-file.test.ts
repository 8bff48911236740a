import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCertificates, type TestCertificates } from '../../test/support/tls.ts';
import { parseResourceFile, type ResourceFile, ResourceFileError } from './resource-file.ts';

let directory: string;
let certificates: TestCertificates;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'promgate-resources-'));
  certificates = await createCertificates();
  const files = { 'secret.txt': 's3cret\n', 'empty.txt': '\n', 'ca.pem': certificates.ca };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
});
afterAll(() => rmSync(directory, { recursive: true }));

function read(text: string, env: Record<string, string> = {}): ResourceFile {
  return parseResourceFile(text, { fileName: 'r.yml', env, directory }).resources;
}

/** `line:column: path: message` of every problem. */
function problems(text: string, env: Record<string, string> = {}): string[] {
  try {
    read(text, env);
  } catch (error) {
    if (!(error instanceof ResourceFileError)) throw error;
    expect(error.message.split('\n').slice(1)).toHaveLength(error.problems.length);
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.replace(/^r\.yml:/, ''));
  }
  return [];
}

/** The problems of one instance server with these keys, without their positions. */
function serverProblems(keys: string, env: Record<string, string> = {}): string[] {
  const found = problems(`servers:\n  - name: main\n    url: http://127.0.0.1:9090\n${keys.replaceAll(/^/gm, '    ')}`, env);
  return found.map((line) => line.replace(/^\d+:\d+: servers\[0\]\./, ''));
}

function server(keys: string, env: Record<string, string> = {}) {
  const [first] = read(`servers: [{ name: main, url: "http://127.0.0.1:9090", ${keys} }]`, env).servers;
  if (first === undefined) throw new Error('no server');
  return first;
}

describe('a good resource file', () => {
  it('is read as the contract writes it', () => {
    const file = read(
      `
servers:
  - { name: shared, url: "http://10.0.0.9:9090" }
groups:
  - path: acme
    servers: []
projects:
  - path: acme/shop
    environments:
      - { name: production, kube_namespace: shop-prod }
      - { name: review/login }
    servers:
      - name: main
        url: http://127.0.0.1:9090
        environment_scope: "*"
        auth: { basic: { username: u, password: { env: PROM_PASSWORD } } }
        kind: prometheus
        headers: { X-Scope-OrgID: "{{ci_project_namespace}}" }
        query_params: { }
        enforce: { namespace: "{{kube_namespace}}" }
        limits: { timeout: 30s, max_range: 31d }
        expose: []
`,
      { PROM_PASSWORD: 'p' },
    );
    expect(file.groups).toEqual([{ path: 'acme', servers: [] }]);
    expect(file.projects[0]?.environments).toEqual([
      { name: 'production', slug: 'production', kubeNamespace: 'shop-prod', servers: [] },
      { name: 'review/login', slug: 'review-login-py9mn2', kubeNamespace: '', servers: [] },
    ]);
    expect(file.projects[0]?.servers).toEqual([
      {
        name: 'main',
        url: 'http://127.0.0.1:9090',
        environmentScope: '*',
        enabled: true,
        kind: 'prometheus',
        enforce: { namespace: ['{{kube_namespace}}'] },
        limits: { timeout: 30_000, maxRange: 31 * 86_400_000 },
        expose: [],
        cache: {},
        verify: 'server',
        connection: {
          auth: { basic: { username: 'u', password: 'p' } },
          headers: { 'X-Scope-OrgID': '{{ci_project_namespace}}' },
          queryParams: {},
          tls: {},
        },
      },
    ]);
  });

  it('is the one in docs/resource-file.md', () => {
    const guide = readFileSync(join(import.meta.dirname, '../../docs/resource-file.md'), 'utf8');
    const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(guide) ?? [];
    expect(read(example, { PROM_PASSWORD: 'p' }).projects).toHaveLength(1);
  });

  it('gives a server that says nothing more the defaults', () => {
    expect(server('')).toMatchObject({
      environmentScope: '*',
      enabled: true,
      kind: null,
      enforce: {},
      limits: {},
      expose: [],
      cache: {},
      verify: 'server',
      connection: { auth: null, headers: {}, queryParams: {}, tls: {} },
    });
  });

  it.each([
    ['enabled: true, recent_window: 5m, max_age: 1d, instant: true, metadata_ttl: 10s', 300_000, 86_400_000, true, 10_000],
    ['enabled: true, recent_window: 0, max_age: 1ms, instant: false, metadata_ttl: 0s', 0, 1, false, 0],
  ])('takes rules of the cache: %s', (keys, recentWindow, maxAge, instant, metadataTtl) => {
    expect(server(`cache: { ${keys} }`).cache).toEqual({ enabled: true, recentWindow, maxAge, instant, metadataTtl });
  });

  it('keeps of the cache only the rules that are given', () => {
    expect(server('cache: { enabled: false }').cache).toEqual({ enabled: false });
    expect([server('cache: {}').cache, server('cache: ').cache]).toEqual([{}, {}]);
  });

  it('may hold servers on environments, which need no scope', () => {
    const file = read('projects: [{ path: a/b, environments: [{ name: x, servers: [{ name: own, url: "https://p/x/" }] }] }]');
    expect(file.projects[0]?.environments[0]?.servers[0]).toMatchObject({ url: 'https://p/x', environmentScope: '*' });
  });

  it('takes secrets from the file itself, the environment and files beside it', () => {
    expect(server('auth: { bearer: plain }').connection.auth).toEqual({ bearer: 'plain' });
    expect(server('auth: { bearer: { env: T } }', { T: 'e' }).connection.auth).toEqual({ bearer: 'e' });
    expect(server('auth: { bearer: { file: secret.txt } }').connection.auth).toEqual({ bearer: 's3cret' });
    const { connection } = server('headers: { X-Key: { env: K } }, query_params: { dedup: "true", k: { file: secret.txt } }', {
      K: 'k',
    });
    expect(connection).toMatchObject({ headers: { 'X-Key': 'k' }, queryParams: { dedup: 'true', k: 's3cret' } });
  });

  it('takes certificates and keys that belong together', () => {
    const { cert, key } = certificates.client;
    const tls =
      'tls: { ca: { file: ca.pem }, cert: { env: CERT }, key: { env: KEY }, server_name: prom, insecure_skip_verify: true }';
    expect(server(tls, { CERT: cert, KEY: key }).connection.tls).toEqual({
      ca: certificates.ca.trimEnd(),
      cert,
      key,
      serverName: 'prom',
      insecureSkipVerify: true,
    });
  });

  it('takes one value or several to enforce, and reads numbers where a duration or size is written as one', () => {
    expect(server('enforce: { namespace: [a, b, a], job: x }').enforce).toEqual({ namespace: ['a', 'b'], job: ['x'] });
    expect(server('limits: { max_range: 0, max_points: 5, max_response: 1MiB, max_query_bytes: 4096 }').limits).toEqual({
      maxRange: 0,
      maxPoints: 5,
      maxResponse: 2 ** 20,
      maxQueryBytes: 4096,
    });
    expect(server('limits: { max_depth: 7, concurrency: 0, rate: 2.5 }').limits).toEqual({
      maxDepth: 7,
      concurrency: 0,
      rate: 2.5,
    });
  });

  it('may leave lists empty and use anchors', () => {
    expect(read('servers:\ngroups:\nprojects: []')).toEqual({ servers: [], groups: [], projects: [] });
    const file = read('servers: [&s { name: a, url: "http://a" }]\ngroups: [{ path: g, servers: [*s] }]');
    expect(file.groups[0]?.servers).toEqual(file.servers);
  });
});

describe('a bad resource file', () => {
  it('has all its problems told at once, in order, with line, column and path', () => {
    const text = `
server: []
servers:
  - url: ftp://a
    enforce: { job: "" }
groups:
  - path: acme
  - path: acme
projects:
  - path: shop
    environments:
      - name: a
      - name: a
`;
    expect(problems(text)).toEqual([
      '2:1: server: unknown key (did you mean "servers"?)',
      '4:5: servers[0].name: is missing',
      '4:5: servers[0].url: must start with http:// or https://',
      '5:16: servers[0].enforce.job: must not be empty',
      '8:5: groups[1].path: the group "acme" is declared twice',
      '10:5: projects[0].path: must name a group and a project, such as acme/shop',
      '13:9: projects[0].environments[1].name: the environment "a" is declared twice',
    ]);
  });

  it.each([
    ['servers: [\n', /^2:1: .*flow/i],
    ['servers: []\nservers: []\n', /^2:1: .*unique/],
    ['servers: !!x []', /^1:10: .*tag/i],
    ['servers: *a', /^1:10: there is no anchor &a before/],
    ['servers: []\n---\nservers: []', /^2:1: a second document/],
    ['? [a]\n: b', /^1:3: a key must be text/],
    ['', /^1:1: the file declares nothing/],
    ['{}', /^1:1: the file declares nothing/],
    ['- a', /^1:1: must be keys with values/],
    ['servers: 5', /^1:1: servers: must be a list/],
    ['servers: [5]', /^1:11: servers\[0\]: must be keys with values/],
    ['servers:\n - name: 5\n   url: http://a', /^2:4: servers\[0\]\.name: must be text \(put it in quotes\)/],
  ])('that is %j has its place named', (text, message) => {
    expect(problems(text)).toEqual([expect.stringMatching(message)]);
  });

  it('that would expand to a huge document through aliases is refused', () => {
    const levels = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`);
    expect(problems(`a0: &a0 [x]\n${levels.join('\n')}`)).toEqual([expect.stringMatching(/alias/i)]);
  });

  it('that names one thing twice in other words is refused', () => {
    const paths = 'groups: [{ path: Acme }, { path: acme/shop }]\nprojects: [{ path: acme/shop }, { path: acme/shop/below }]';
    expect(problems(paths).map((line) => line.replace(/^[\d:]+ /, ''))).toEqual([
      'groups[1].path: "acme" is written "Acme" elsewhere in this file',
      'projects[0].path: "acme" is written "Acme" elsewhere in this file',
      'projects[0].path: "acme/shop" is a group as well',
      'projects[1].path: "acme" is written "Acme" elsewhere in this file',
      'projects[1].path: lies below "acme/shop", which is a project',
    ]);
    expect(problems('projects: [{ path: a/b, environments: [{ name: foo }, { name: foo- }] }]')).toEqual([
      expect.stringContaining('"foo-" and "foo" have the same slug, foo'),
    ]);
    expect(problems('servers: [{ name: a, url: "http://a" }, { name: a, url: "http://b" }]')).toEqual([
      expect.stringContaining('the server "a" is declared twice here'),
    ]);
  });

  it('cannot put a group below a project', () => {
    expect(problems('groups: [{ path: acme/shop/sub }]\nprojects: [{ path: acme/shop }]')).toEqual([
      expect.stringContaining('groups[0].path: lies below "acme/shop", which is a project'),
    ]);
  });
});

describe('a server of a resource file is refused', () => {
  it.each([
    ['http://u:p@a', 'user name or password'],
    ['http://a?x=1', 'query'],
    ['http://a#x', 'fragment'],
    ['ftp://a', 'http:// or https://'],
    ['http:a', 'http:// or https://'],
    ['http://a b', 'not a URL'],
    ['http://a\\\\b', 'not a URL'],
    ['http://', 'not a URL'],
    ['http://a:99999', 'not a URL'],
  ])('with the URL %s', (url, reason) => {
    const found = problems(`servers: [{ name: a, url: "${url}" }]`);
    expect(found).toEqual([expect.stringContaining(reason)]);
    expect(found.join()).not.toContain('u:p');
  });

  it.each([
    ['headers: { Authorization: Bearer x }\nauth: { bearer: y }', 'headers.Authorization: collides with "auth"'],
    ['headers: { Host: x }', 'headers.Host: is set by Promgate'],
    ['headers: { accept-encoding: x }', 'headers.accept-encoding: is set by Promgate'],
    ['headers: { Transfer-Encoding: x }', 'headers.Transfer-Encoding: belongs to a single connection'],
    ['headers: { "X Y": x }', 'headers.X Y: is not a header name'],
    ['headers: { X-A: a, x-a: b }', 'headers.x-a: is given twice'],
    ['headers: { X-A: "a\\nb" }', 'headers.X-A: must not hold control characters'],
    ['headers: { X-A: " a" }', 'headers.X-A: must not start or end with a blank'],
    ['headers: { X-A: 5 }', 'headers.X-A: must be text'],
    ['headers: { X-A: "{{nope}}" }', 'headers.X-A: may hold only these variables'],
    ['headers: { X-A: "{{kube_namespace}" }', 'headers.X-A: may hold only these variables'],
    ['headers: { X-A: "{{__range}}" }', 'headers.X-A: may hold only these variables'],
    ['headers: { X-A: "{{environment_filter}}" }', 'headers.X-A: may hold only these variables'],
    ['query_params: { "match[]": x }', 'query_params.match[]: is a parameter of Prometheus'],
    ['query_params: { lookback_delta: 5m }', 'query_params.lookback_delta: is a parameter of Prometheus'],
    ['query_params: { a: "{{nope}}" }', 'query_params.a: may hold only these variables'],
    ['enforce: { namespace: "" }', 'enforce.namespace: must not be empty'],
    ['enforce: { namespace: [] }', 'enforce.namespace: must not be empty'],
    ['enforce: { namespace: [a, ""] }', 'enforce.namespace[1]: must not be empty'],
    ['enforce: { namespace: 5 }', 'enforce.namespace: must be text: write "5", with quotes'],
    ['enforce: { name-space: a }', 'enforce.name-space: is not a label name'],
    ['enforce: { __name__: a }', 'enforce.__name__: cannot be enforced'],
    ['enforce: { __proto__: a }', 'enforce.__proto__: is no usable name'],
    ['enforce: { namespace: "{{nope}}" }', 'enforce.namespace: may hold only these variables'],
    ['enforce: { a: b }\nexpose: [targets]', 'expose: is not possible together with "enforce"'],
    ['expose: [rules]', 'expose[0]: must be one of targets, federate, status/tsdb'],
    ['kind: prometeus', 'kind: must be one of prometheus, victoriametrics, mimir, thanos (did you mean "prometheus"?)'],
    ['enabled: "yes"', 'enabled: must be true or false'],
    ['environment_scope: "a?"', 'environment_scope: may hold only'],
    ['auth: {}', 'auth: must hold one of "basic" and "bearer"'],
    ['auth: { bearer: x, basic: { username: u, password: p } }', 'auth: must hold one of "basic" and "bearer"'],
    ['auth: { basic: { username: u } }', 'auth.basic.password: is missing'],
    ['auth: { basic: { username: "a:b", password: p } }', 'auth.basic.username: must not hold a colon'],
    ['auth: { bearer: "a b" }', 'auth.bearer: must be printable characters'],
    ['auth: { bearer: { env: NOT_SET } }', 'auth.bearer: the environment variable NOT_SET is not set'],
    ['auth: { bearer: { env: EMPTY } }', 'auth.bearer: the environment variable EMPTY is empty'],
    ['auth: { bearer: { file: missing.txt } }', /auth\.bearer: cannot read the file .*missing\.txt: ENOENT/],
    ['auth: { bearer: { file: empty.txt } }', /auth\.bearer: the file .*empty\.txt is empty/],
    ['auth: { bearer: { vault: x } }', 'auth.bearer: must be text, { env: NAME } or { file: path }'],
    ['auth: { bearer: { env: A, file: b } }', 'auth.bearer: must be text, { env: NAME } or { file: path }'],
    ['tls: { ca: x }', 'tls.ca: is not a certificate in PEM form'],
    ['tls: { ca: "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----" }', 'tls.ca: holds a damaged certificate'],
    ['tls: { cert: { file: ca.pem } }', 'tls: "cert" and "key" go together'],
    ['tls: { server_name: "a b" }', 'tls.server_name: must be a host name'],
    ['limits: { timeout: 0 }', 'limits.timeout: must be over 0'],
    ['limits: { timeout: 2d }', 'limits.timeout: must be over 0 and at most 1d'],
    ['limits: { max_range: soon }', 'limits.max_range: must be a duration'],
    ['limits: { max_points: 1.5 }', 'limits.max_points: must be a whole number over 0'],
    ['limits: { max_points: 0 }', 'limits.max_points: must be a whole number over 0'],
    ['limits: { max_depth: 0 }', 'limits.max_depth: must be a whole number over 0'],
    ['limits: { concurrency: -1 }', 'limits.concurrency: must be a whole number of 0 or more'],
    ['limits: { concurrency: 1.5 }', 'limits.concurrency: must be a whole number of 0 or more'],
    ['limits: { rate: -1 }', 'limits.rate: must be a number of requests per second'],
    ['limits: { rate: fast }', 'limits.rate: must be a number of requests per second'],
    ['limits: { token_rate: 1 }', 'limits.token_rate: unknown key'],
    ['limits: { max_response: 0 }', 'limits.max_response: must be a size over 0'],
    ['cache: off', 'cache: must be keys with values'],
    ['cache: { enabled: "no" }', 'cache.enabled: must be true or false'],
    ['cache: { recent_window: -1s }', 'cache.recent_window: must be a duration'],
    ['cache: { recent_window: 300 }', 'cache.recent_window: must be a duration'],
    ['cache: { max_age: 0 }', 'cache.max_age: must be over 0'],
    ['cache: { instant: 1 }', 'cache.instant: must be true or false'],
    ['cache: { metadata_ttl: soon }', 'cache.metadata_ttl: must be a duration'],
    ['cache: { max_ag: 1d }', 'cache.max_ag: unknown key (did you mean "max_age"?)'],
    ['cache: { memory: 1MiB }', 'cache.memory: unknown key'],
    ['limits: { max_rnge: 1d }', 'limits.max_rnge: unknown key (did you mean "max_range"?)'],
  ])('for %s', (keys, message) => {
    const found = serverProblems(keys, { EMPTY: '' });
    expect(found).toEqual([typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message)]);
  });

  it('for a key that is not the certificate’s', () => {
    const env = { CERT: certificates.client.cert, KEY: certificates.server.key };
    expect(serverProblems('tls: { cert: { env: CERT }, key: { env: KEY } }', env)).toEqual([
      expect.stringContaining('tls.key: is not the key of the certificate'),
    ]);
    expect(serverProblems('tls: { cert: { env: CERT }, key: { env: CERT } }', env)).toEqual([
      expect.stringContaining('tls.key: is not a private key'),
    ]);
  });

  it('with a scope where it belongs to one environment', () => {
    const text =
      'projects: [{ path: a/b, environments: [{ name: x, servers: [{ name: s, url: "http://a", environment_scope: y }] }] }]';
    expect(problems(text)).toEqual([expect.stringContaining('environment_scope: unknown key')]);
  });

  it('without a word of its secrets', () => {
    const env = { S: 'SECRET{{x}}\n' };
    const keys =
      'headers: { X-A: { env: S } }\nquery_params: { a: { env: S } }\nauth: { bearer: { env: S } }\ntls: { key: { env: S }, cert: { env: S } }';
    const found = serverProblems(keys, env);
    expect(found).toHaveLength(5);
    expect(found.join('\n')).not.toContain('SECRET');
  });
});
