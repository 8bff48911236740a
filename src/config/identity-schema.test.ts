import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { issuerUrlProblem } from './identity-values.ts';
import { ConfigError, formatProblem } from './problems.ts';
import { loadSettings, type Settings } from './settings.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'promgate-identity-'));
});
afterEach(() => rmSync(cwd, { recursive: true }));

function load(file: string, env: Record<string, string> = {}): Settings {
  writeFileSync(join(cwd, 'promgate.yml'), file);
  return loadSettings({ flags: {}, env, cwd });
}

function problemsOf(file: string, env: Record<string, string> = {}): string[] {
  try {
    load(file, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(formatProblem);
    throw error;
  }
  return [];
}

/** What is said of a provider or issuer with this over the least that it needs, without the place. JSON is YAML. */
function providerProblems(over: Record<string, unknown>): string[] {
  const provider = { name: 'a', issuer: 'https://a.example', client_id: 'c', ...over };
  return problemsOf(JSON.stringify({ oidc: { providers: [provider] } })).map((line) => line.slice('promgate.yml:1: '.length));
}

const rule = { claims: { sub: 'x' }, opens: 'acme/shop' };

function issuerProblems(over: Record<string, unknown>): string[] {
  const issuer = { name: 'a', issuer: 'https://a.example', audience: 'promgate', rules: [rule], ...over };
  const text = JSON.stringify({ workload_identity: { issuers: [issuer] } });
  return problemsOf(text).map((line) => line.slice('promgate.yml:1: '.length));
}

function ruleProblems(over: Record<string, unknown>): string[] {
  return issuerProblems({ rules: [{ ...rule, ...over }] });
}

describe('the sections', () => {
  it('have the documented defaults', () => {
    const { oidc, workloadIdentity } = load(`
oidc: { providers: [{ name: gitlab, issuer: https://gitlab.example/, client_id: c }] }
workload_identity:
  issuers: [{ name: ci, issuer: https://gitlab.example, audience: promgate, rules: [{ claims: { sub: x }, opens: acme }] }]
`);
    expect(oidc.providers).toEqual([
      {
        name: 'gitlab',
        label: 'gitlab',
        issuer: 'https://gitlab.example/',
        clientId: 'c',
        clientSecret: null,
        scopes: ['profile', 'email'],
        ca: null,
        usernameClaim: 'preferred_username',
        signUp: true,
        linkByEmail: false,
        rules: [],
      },
    ]);
    expect(workloadIdentity.issuers).toEqual([
      {
        name: 'ci',
        issuer: 'https://gitlab.example',
        jwksUrl: null,
        ca: null,
        audience: 'promgate',
        clockSkew: 30_000,
        rules: [{ claims: { sub: ['x'] }, opens: 'acme' }],
      },
    ]);
  });

  it.each(['oidc:\nworkload_identity:\n', 'oidc: {}\nworkload_identity: { issuers: }\n', 'oidc: { providers: [] }'])(
    '%j names nobody',
    (file) => {
      expect(load(file)).toMatchObject({ oidc: { providers: [] }, workloadIdentity: { issuers: [] } });
    },
  );

  it('all problems of both are told at once with those of other keys, each with its line', () => {
    const file = `listen: here
oidc:
  providers:
    - name: Gitlab
      isuer: https://gitlab.example
      client_id: 5
      client_secret: { env: NO_SUCH }
      ca: { file: none.pem }
      rules:
        - { value: a, role: reportr, on: acme }
        - { value: a, role: owner }
    - &again
      name: two
      issuer: http://gitlab.example
      client_id: c
    - *again
workload_identity:
  issuers:
    - name: ci
      issuer: https://gitlab.example?x
      audience: ""
      clock_skew: 6m
      rules:
        - claims: { a: "*", iss: x }
          opens: nowhere:production
  isuers: []
`;
    expect(problemsOf(file).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))).toEqual(
      [
        'promgate.yml:1: listen: "here" must be host:port, such as 127.0.0.1:9490, or 0.0.0.0:9490 or [::]:9490 for every interface',
        'promgate.yml:4: oidc.providers[0].issuer: is missing',
        'promgate.yml:4: oidc.providers[0].name: must be at most 32 lower-case letters, digits and "-", a letter first',
        'promgate.yml:5: oidc.providers[0].isuer: unknown key (did you mean "issuer"?)',
        'promgate.yml:6: oidc.providers[0].client_id: must be text (put it in quotes)',
        'promgate.yml:7: oidc.providers[0].client_secret: the environment variable NO_SUCH is not set',
        `promgate.yml:8: oidc.providers[0].ca: cannot read the file ${join(cwd, 'none.pem')}: ENOENT`,
        'promgate.yml:10: oidc.providers[0].rules[0].role: must be one of guest, reporter, developer, maintainer, owner (did you mean "reporter"?)',
        'promgate.yml:11: oidc.providers[0].rules[1]: must give either "role" with "on", the path of a group or project, or "admin: true"',
        'promgate.yml:14: oidc.providers[1].issuer: must start with https://: whoever is on the way of plain http could let in anybody',
        'promgate.yml:14: oidc.providers[2].issuer: must start with https://: whoever is on the way of plain http could let in anybody',
        'promgate.yml:13: oidc.providers[2].name: two providers have this name',
        'promgate.yml:14: oidc.providers[2].issuer: two providers have this issuer',
        'promgate.yml:20: workload_identity.issuers[0].issuer: must not hold a query (?…)',
        'promgate.yml:21: workload_identity.issuers[0].audience: must not be empty',
        'promgate.yml:22: workload_identity.issuers[0].clock_skew: must be at most 5m',
        'promgate.yml:24: workload_identity.issuers[0].rules[0].claims: would open it to every token of the issuer: name a claim, beside iss and aud, with a value that is not "*" alone',
        'promgate.yml:25: workload_identity.issuers[0].rules[0].opens: must name a group and a project, such as acme/shop',
        'promgate.yml:26: workload_identity.isuers: unknown key (did you mean "issuers"?)',
      ].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })),
    );
  });

  it('take secrets from the environment and from files beside the configuration', () => {
    const [ca = ''] = rootCertificates;
    writeFileSync(join(cwd, 'secret'), 's3cret\n');
    writeFileSync(join(cwd, 'ca.pem'), `${ca}\n`);
    const provider = (secret: string) =>
      `oidc: { providers: [{ name: a, issuer: https://a.example, client_id: c, client_secret: ${secret}, ca: { file: ca.pem } }] }`;
    for (const secret of ['s3cret', '{ env: THE_SECRET }', '{ file: secret }']) {
      const { oidc } = load(provider(secret), { THE_SECRET: 's3cret' });
      expect(oidc.providers[0], secret).toMatchObject({ clientSecret: 's3cret', ca });
    }
  });

  it('never show a secret in a problem', () => {
    const secrets = { client_secret: ['hunter2'], ca: 'hunter2' };
    expect(providerProblems(secrets)).toHaveLength(2);
    expect(providerProblems(secrets).join()).not.toContain('hunter2');
  });

  it('are in the file alone', () => {
    expect(problemsOf('', { PROMGATE_OIDC_PROVIDERS: '[]' })).toEqual(['PROMGATE_OIDC_PROVIDERS: unknown variable']);
  });

  it.each([
    ['oidc: 5', 'promgate.yml:1: oidc: must be keys with values'],
    ['oidc: []', 'promgate.yml:1: oidc: must be keys with values'],
    ['oidc: { providers: { a: b } }', 'promgate.yml:1: oidc.providers: must be a list'],
    ['oidc: { providers: [a] }', 'promgate.yml:1: oidc.providers[0]: must be keys with values'],
    ['oidc: { provider: [] }', 'promgate.yml:1: oidc.provider: unknown key (did you mean "providers"?)'],
    ['oicd: {}', 'promgate.yml:1: oicd: unknown key (did you mean "oidc"?)'],
    ['workload-identity: {}', 'promgate.yml:1: workload-identity: unknown key (did you mean "workload_identity"?)'],
    ['oidc: *nobody', expect.stringMatching(/^promgate.yml:1: oidc: .*nobody/)],
    ['limits: { oidc: 1 }', 'promgate.yml:1: limits.oidc: unknown key'],
  ])('%j is refused', (file, problem) => {
    expect(problemsOf(file)).toEqual([problem]);
  });
});

describe('a provider', () => {
  it.each([
    [{ name: '' }, 'name'],
    [{ name: '1a' }, 'name'],
    [{ name: 'a_b' }, 'name'],
    [{ name: 'a'.repeat(33) }, 'name'],
    [{ label: '' }, 'label'],
    [{ label: 'a\nb' }, 'label'],
    [{ client_id: '' }, 'client_id'],
    [{ client_secret: '' }, 'client_secret'],
    [{ scopes: ['two words'] }, 'scopes[0]'],
    [{ scopes: 'email' }, 'scopes'],
    [{ ca: 'no certificate' }, 'ca'],
    [{ username_claim: '' }, 'username_claim'],
    [{ sign_up: 'yes' }, 'sign_up'],
    [{ link_by_email: 1 }, 'link_by_email'],
    [{ rules: [{ value: 'a' }] }, 'rules[0]'],
    [{ rules: [{ value: 'a', on: 'acme' }] }, 'rules[0]'],
    [{ rules: [{ value: 'a', admin: true, role: 'owner', on: 'acme' }] }, 'rules[0]'],
    [{ rules: [{ value: 'a', admin: false }] }, 'rules[0].admin'],
    [{ rules: [{ value: '', admin: true }] }, 'rules[0].value'],
    [{ rules: [{ admin: true }] }, 'rules[0].value'],
    [{ rules: [{ value: 'a', role: 'owner', on: 'acme:production' }] }, 'rules[0].on'],
    [{ rules: [{ value: 'a', claim: '/a//b', admin: true }] }, 'rules[0].claim'],
  ])('with %j is refused', (over, path) => {
    expect(providerProblems(over).map((line) => line.slice(0, line.indexOf(': ')))).toEqual([`oidc.providers[0].${path}`]);
  });

  it('is asked for each scope once, and never for openid twice', () => {
    const scopes = 'scopes: [openid, email, email]';
    const { oidc } = load(`oidc: { providers: [{ name: a, issuer: https://a.example, client_id: c, ${scopes} }] }`);
    expect(oidc.providers[0]?.scopes).toEqual(['email']);
  });
});

describe('an issuer of tokens', () => {
  it.each([
    [{ audience: undefined }, 'audience'],
    [{ audience: ['a'] }, 'audience'],
    [{ rules: [] }, 'rules'],
    [{ rules: undefined }, 'rules'],
    [{ clock_skew: '-1s' }, 'clock_skew'],
    [{ clock_skew: 'soon' }, 'clock_skew'],
    [{ jwks_url: 'http://a.example/keys' }, 'jwks_url'],
    [{ jwks_url: 'https://a.example/keys#x' }, 'jwks_url'],
  ])('with %j is refused', (over, path) => {
    expect(issuerProblems(over)).toEqual([expect.stringMatching(`^workload_identity\\.issuers\\[0\\]\\.${path}: `)]);
  });

  it('may be there twice with two audiences, and not with one', () => {
    const two = (second: string) => `workload_identity:
  issuers:
    - { name: a, issuer: https://a.example, audience: one, rules: [${JSON.stringify(rule)}] }
    - { name: b, issuer: https://a.example, audience: ${second}, rules: [${JSON.stringify(rule)}] }
`;
    expect(load(two('two')).workloadIdentity.issuers).toHaveLength(2);
    expect(problemsOf(two('one'))).toEqual([
      'promgate.yml:4: workload_identity.issuers[1].audience: two entries for one issuer must have different audiences',
    ]);
    expect(problemsOf(two('two').replace('name: b', 'name: a'))).toEqual([
      'promgate.yml:4: workload_identity.issuers[1].name: two issuers have this name',
    ]);
  });
});

describe('a rule for tokens', () => {
  it.each([
    {},
    { sub: '*' },
    { sub: ['a', '*'] },
    { sub: '***', project: '*' },
    { iss: 'https://a.example' },
    { aud: 'promgate', sub: '*' },
  ])('whose claims every token has is refused: %j', (claims) => {
    expect(ruleProblems({ claims })).toEqual([expect.stringContaining('would open it to every token of the issuer')]);
  });

  it.each([
    [{ claims: { sub: 5 } }, 'claims.sub: must be text: write "5", with quotes'],
    [{ claims: { sub: 'x', protected: true } }, 'claims.protected: must be text: write "true", with quotes'],
    [{ claims: { sub: 1.5 } }, 'claims.sub: must be a value or a list of values; numbers in quotes'],
    [{ claims: { sub: 2 ** 60 } }, 'claims.sub: must be a value or a list of values; numbers in quotes'],
    [{ claims: { sub: ['x', true] } }, 'claims.sub[1]: must be text (put it in quotes)'],
    [{ claims: { sub: '' } }, 'claims.sub: must not be empty'],
    [{ claims: { sub: [] } }, 'claims.sub: must not be empty'],
    [
      { claims: { sub: 'x', '/a/': 'x' } },
      'claims./a/: must be a path such as /kubernetes.io/namespace (RFC 6901), or not start',
    ],
    [{ claims: { sub: 'x', '': 'x' } }, 'claims.: must not be empty'],
    [{ claims: undefined }, 'claims: is missing'],
    [{ claims: ['sub'] }, 'claims: must be keys with values'],
    [{ opens: undefined }, 'opens: is missing'],
    [{ opens: '' }, 'opens: must not be empty'],
    [{ opens: 'instance' }, 'opens: must not start with "instance", which stands for the whole installation'],
    [{ opens: 'instance/{{name}}' }, 'opens: must not start with "instance"'],
    [{ opens: '*' }, 'opens: may hold only letters'],
    [{ opens: 'acme/*' }, 'opens: may hold only letters'],
    [{ opens: 'acme/shop:' }, 'opens: names an environment that must not be empty'],
    [{ opens: ':production' }, 'opens: must name a group and a project'],
    [{ opens: 'acme/shop:a:b' }, 'opens: names an environment that may hold only'],
    [{ opens: 'acme/{{name}' }, 'opens: has double braces that do not hold the name of a claim'],
    [{ opens: 'acme/shop:{{}}' }, 'opens: has braces whose content must not be empty'],
    [{ opens: 'x-{{name}}' }, 'opens: must name a group and a project'],
    [{ claim: {} }, 'claim: unknown key (did you mean "claims"?)'],
  ])('with %j is refused', (over, problem) => {
    const found = ruleProblems(over);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`workload_identity.issuers[0].rules[0].${problem}`);
  });

  it('with a claim that would be dropped unseen is refused', () => {
    const claims = '{ sub: x, __proto__: y }';
    const file = `workload_identity: { issuers: [{ name: a, issuer: https://a.example, audience: p, rules: [{ claims: ${claims}, opens: acme }] }] }`;
    expect(problemsOf(file)).toEqual([
      'promgate.yml:1: workload_identity.issuers[0].rules[0].claims.__proto__: is no usable name',
    ]);
  });

  it.each([
    'acme',
    'acme/platform/shop',
    'acme/shop:review/login',
    '{{project_path}}',
    '{{ project_path }}:{{environment}}',
    'acme/{{/kubernetes.io/namespace}}:production',
    '{{https://acme.example/project}}:review/{{branch}}',
  ])('may open %s', (opens) => {
    expect(ruleProblems({ opens })).toEqual([]);
  });
});

describe('the URL of an issuer', () => {
  it.each([
    'https://gitlab.example',
    'https://gitlab.example:8443/a/b/',
    'http://localhost:8080',
    'http://127.0.0.1',
    'http://127.9.9.9:1',
    'http://[::1]:8080/realms/a',
  ])('may be %s', (url) => {
    expect(issuerUrlProblem(url)).toBeNull();
  });

  it.each([
    '',
    'gitlab.example',
    'https:gitlab.example',
    'ftp://gitlab.example',
    'https://',
    'https://a b',
    'https://a\\b',
    'https://u:p@gitlab.example',
    'https://gitlab.example?a',
    'https://gitlab.example#a',
    'http://gitlab.example',
    'http://localhost.example',
    'http://127.0.0.1.example',
    'http://10.0.0.1',
    'http://[::2]',
    'http://0.0.0.0',
  ])('must not be %j', (url) => {
    expect(issuerUrlProblem(url)).not.toBeNull();
  });
});
