import { createHmac, createPublicKey, type JsonWebKey, randomBytes } from 'node:crypto';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WorkloadCaller } from '../src/access/caller.ts';
import { createWorkloads, type Workloads } from '../src/access/workload.ts';
import type { TrustedIssuer } from '../src/config/identity.ts';
import type { Target } from '../src/directory/model.ts';
import { Directory } from '../src/directory/snapshot.ts';
import { createLog } from '../src/ops/log.ts';
import { fc } from './support/fast-check.ts';
import { createCertificates, type TestCertificates } from './support/tls.ts';
import { goodClaims, startTokenIssuer, type TokenIssuer } from './support/token-issuer.ts';

const directory = new Directory();
directory.putGroup({ id: 1, path: 'acme', parent_id: null });
for (const [index, path] of ['acme/shop', 'acme/other'].entries()) {
  directory.putProject({ id: index + 1, path, group_id: 1 });
  for (const [each, name] of ['production', 'staging'].entries()) {
    directory.putEnvironment({ id: index * 10 + each + 1, project_id: index + 1, name, slug: name, kube_namespace: '' });
  }
}
const named: Readonly<Record<string, Target | null>> = {
  acme: directory.group('acme'),
  ...Object.fromEntries(
    ['acme/shop', 'acme/other'].flatMap((path) => [
      [path, directory.project(path)],
      ...['production', 'staging'].map((name) => [`${path}:${name}`, directory.environment(path, name)]),
    ]),
  ),
};

let issuer: TokenIssuer;
let trusted: readonly TrustedIssuer[];
let workloads: Workloads;
let logged: string[];
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  // Time moves when a test says so; timers and the network are real.
  vi.useFakeTimers({ toFake: ['Date'] });
  issuer = await startTokenIssuer();
  cleanups.push(issuer.stop);
  trusted = [issuer.trusted()];
  logged = [];
  const log = createLog('debug', (line) => logged.push(line));
  workloads = createWorkloads({ issuers: () => trusted, directory: () => directory, log });
});

afterEach(async () => {
  vi.useRealTimers();
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

function passes(milliseconds: number): void {
  vi.setSystemTime(Date.now() + milliseconds);
}

/** What the token opens, by name; `null`: nobody comes with it. */
async function opened(jwt: string): Promise<string[] | null> {
  const caller = await workloads.identify(jwt);
  return caller === null ? null : openedBy(caller);
}

function openedBy(caller: WorkloadCaller): string[] {
  return Object.entries(named).flatMap(([name, target]) => (target !== null && caller.opens(target) ? [name] : []));
}

const keyFetches = () => issuer.asked.filter((path) => path === '/keys').length;
const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a good token', () => {
  it('opens what its rule names with its claims, and nothing else', async () => {
    expect(await opened(await issuer.sign())).toEqual(['acme/shop:production']);
    expect(await opened(await issuer.sign({ project_path: 'acme/other', environment: 'staging' }))).toEqual([
      'acme/other:staging',
    ]);
    expect(await opened(await issuer.sign({ environment: 'unknown' }))).toEqual([]);
    expect(await opened(await issuer.sign({ ref_protected: 'false' }))).toEqual([]);
    expect(await opened(await issuer.sign({ project_path: 'foreign/shop' }))).toEqual([]);
  });

  it('is known by its issuer and subject', async () => {
    expect(await workloads.identify(await issuer.sign())).toMatchObject({
      kind: 'workload',
      issuer: 'ci',
      subject: goodClaims.sub,
      key: `workload ci ${goodClaims.sub}`,
    });
  });

  it('is looked at once: after that the answer is there at once, the same, and asks nobody', async () => {
    const jwt = await issuer.sign();
    const first = await workloads.identify(jwt);
    const { asked } = issuer;
    const before = [...asked];
    expect(first).not.toBeNull();
    expect(workloads.identify(jwt)).toBe(first);
    expect(asked).toEqual(before);
  });

  it('opens what the directory has at the time of the question', async () => {
    const jwt = await issuer.sign({ environment: 'later' });
    const caller = await workloads.identify(jwt);
    const row = { id: 99, project_id: 1, name: 'later', slug: 'later', kube_namespace: '' };
    directory.putEnvironment(row);
    const target = directory.environment('acme/shop', 'later') as Target;
    expect(caller?.opens(target)).toBe(true);
    directory.removeEnvironment(99);
    expect(caller?.opens(target)).toBe(false);
  });

  it.each(['RS256', 'PS384', 'ES384', 'EdDSA'])('may be signed with %s', async (alg) => {
    await issuer.addKey(alg, { alg });
    expect(await opened(await issuer.sign())).toEqual(['acme/shop:production']);
  });

  it('may have several audiences, of which one is ours', async () => {
    expect(await opened(await issuer.sign({ aud: ['other', 'promgate'] }))).toEqual(['acme/shop:production']);
  });

  it('may come without a key id from an issuer with one key', async () => {
    expect(await opened(await issuer.sign({}, { kid: undefined }))).toEqual(['acme/shop:production']);
  });

  it('has a form that nothing else has that Promgate takes', async () => {
    expect(workloads.looksLikeJwt(await issuer.sign())).toBe(true);
    expect(workloads.looksLikeJwt(`promgate_${'a'.repeat(38)}`)).toBe(false);
    expect(workloads.looksLikeJwt('')).toBe(false);
  });
});

describe('times', () => {
  it('an expired token is refused, one within the clock skew is not', async () => {
    const now = Math.floor(Date.now() / 1000);
    expect(await opened(await issuer.sign({ exp: now - 40 }))).toBeNull();
    expect(await opened(await issuer.sign({ exp: now - 20 }))).not.toBeNull();
  });

  it('a token is forgotten when it expires', async () => {
    const jwt = await issuer.sign();
    expect(await opened(jwt)).not.toBeNull();
    passes(329_000);
    expect(await opened(jwt)).not.toBeNull();
    passes(2_000);
    expect(await opened(jwt)).toBeNull();
  });

  it.each(['nbf', 'iat'])('a token whose "%s" lies in the future is refused, within the clock skew it is not', async (claim) => {
    const now = Math.floor(Date.now() / 1000);
    expect(await opened(await issuer.sign({ [claim]: now + 40 }))).toBeNull();
    expect(await opened(await issuer.sign({ [claim]: now + 20 }))).not.toBeNull();
  });

  it.each([
    ['exp', 'soon'],
    ['exp', null],
    ['nbf', 'then'],
    ['iat', '1'],
  ])('a token whose "%s" is %j is refused', async (claim, value) => {
    expect(await opened(await issuer.sign({ [claim]: value }))).toBeNull();
  });
});

describe('who it is from and for', () => {
  it.each([
    ['another issuer', { iss: 'https://elsewhere.example' }],
    ['no issuer', { iss: undefined }],
    ['another audience', { aud: 'other' }],
    ['other audiences', { aud: ['other', 'promgate2'] }],
    ['an audience that begins like ours', { aud: 'promgate/other' }],
    ['no audience', { aud: undefined }],
    ['no subject', { sub: undefined }],
    ['an empty subject', { sub: '' }],
    ['a subject that is no text', { sub: 5 }],
    ['no expiry', { exp: undefined }],
  ])('a token with %s is refused', async (_, claims) => {
    expect(await opened(await issuer.sign(claims))).toBeNull();
    expect(await opened(await issuer.sign())).not.toBeNull();
  });

  it('a token with an issuer of another spelling is refused', async () => {
    expect(await opened(await issuer.sign({ iss: `${issuer.url}/` }))).toBeNull();
    expect(await opened(await issuer.sign({ iss: issuer.url.toUpperCase() }))).toBeNull();
  });

  it('a key of one issuer signs nothing for another', async () => {
    const other = await startTokenIssuer();
    cleanups.push(other.stop);
    await other.addKey('theirs');
    trusted = [issuer.trusted(), other.trusted({ name: 'other' })];
    expect(await opened(await other.sign())).toEqual(['acme/shop:production']);
    for (const kid of ['theirs', 'first']) expect(await opened(await other.sign({ iss: issuer.url }, { kid })), kid).toBeNull();
  });

  it('of two entries for one issuer the one with the audience counts, with its keys and its rules', async () => {
    const other = await startTokenIssuer();
    cleanups.push(other.stop);
    const rules = [{ claims: { sub: ['*shop*'] }, opens: 'acme/other' }];
    // Such as two clusters with the same name for themselves.
    const second = { name: 'second', issuer: issuer.url, jwksUrl: `${other.url}/keys`, audience: 'second', rules };
    trusted = [issuer.trusted(), other.trusted(second)];
    expect(await opened(await issuer.sign())).toEqual(['acme/shop:production']);
    expect(await opened(await other.sign({ iss: issuer.url, aud: 'second' }))).toEqual([
      'acme/other',
      'acme/other:production',
      'acme/other:staging',
    ]);
    expect(await opened(await issuer.sign({ aud: 'second' }))).toBeNull();
  });
});

describe('signatures', () => {
  it('a changed token is refused', async () => {
    const [header, , signature] = (await issuer.sign()).split('.');
    const [, payload] = (await issuer.sign({ environment: 'staging' })).split('.');
    expect(await opened(`${header}.${payload}.${signature}`)).toBeNull();
  });

  it.each(['none', 'None', 'NONE', ''])('the algorithm %j is refused, with or without a signature', async (alg) => {
    const [, payload, signature] = (await issuer.sign()).split('.');
    for (const end of ['', signature]) {
      expect(await opened(`${base64({ alg, kid: 'first' })}.${payload}.${end}`)).toBeNull();
      expect(await opened(`${base64({ alg })}.${payload}.${end}`)).toBeNull();
    }
    expect(issuer.asked).toEqual([]);
  });

  it('a token signed by HMAC with the public key is refused, in every form of that key', async () => {
    await issuer.addKey('rsa', { alg: 'RS256' });
    const jwk = issuer.jwks.keys.find(({ kid }) => kid === 'rsa');
    const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    const [, payload] = (await issuer.sign()).split('.');
    const forms = [
      key.export({ format: 'pem', type: 'spki' }),
      key.export({ format: 'der', type: 'spki' }),
      key.export({ format: 'pem', type: 'pkcs1' }),
      JSON.stringify(jwk),
    ];
    for (const form of forms) {
      const signed = `${base64({ alg: 'HS256', kid: 'rsa' })}.${payload}`;
      expect(await opened(`${signed}.${createHmac('sha256', form).update(signed).digest('base64url')}`)).toBeNull();
    }
  });

  it('a symmetric key among those of the issuer is never used', async () => {
    const secret = randomBytes(32);
    issuer.jwks.keys.push({ kty: 'oct', kid: 'shared', k: secret.toString('base64url') });
    const [, payload] = (await issuer.sign()).split('.');
    const signed = `${base64({ alg: 'HS256', kid: 'shared' })}.${payload}`;
    expect(await opened(`${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`)).toBeNull();
  });

  it('keys that the token itself brings or points to are never used', async () => {
    await opened(await issuer.sign());
    const stranger = await startTokenIssuer();
    cleanups.push(stranger.stop);
    await stranger.addKey('stranger');
    const [jwk] = stranger.jwks.keys.slice(-1);
    const header = { jwk, jku: `${stranger.url}/keys`, x5u: `${stranger.url}/keys` };
    for (const kid of ['stranger', 'first', undefined]) {
      expect(await opened(await stranger.sign({ iss: issuer.url }, { ...header, kid })), kid).toBeNull();
    }
    expect(stranger.asked).toEqual([]);
  });

  it('a header with "crit" is refused', async () => {
    expect(await opened(await issuer.sign({}, { crit: ['b64'], b64: true }))).toBeNull();
  });
});

describe('the keys of an issuer', () => {
  it('many tokens with unknown key ids cost one request for keys', async () => {
    await opened(await issuer.sign());
    const before = keyFetches();
    const storm = await Promise.all(Array.from({ length: 50 }, (_, index) => issuer.sign({}, { kid: `made-up-${index}` })));
    expect(await Promise.all(storm.map(opened))).toEqual(storm.map(() => null));
    for (const jwt of storm) expect(await opened(jwt)).toBeNull();
    passes(29_000);
    expect(await opened(await issuer.sign({}, { kid: 'another' }))).toBeNull();
    expect(keyFetches()).toBe(before + 1);
    passes(2_000);
    expect(await opened(await issuer.sign({}, { kid: 'another' }))).toBeNull();
    expect(keyFetches()).toBe(before + 2);
  });

  it('many first tokens at once cost one request for keys', async () => {
    const jwts = await Promise.all(Array.from({ length: 20 }, (_, index) => issuer.sign({ n: index })));
    for (const result of await Promise.all(jwts.map(opened))) expect(result).toEqual(['acme/shop:production']);
    expect(keyFetches()).toBe(1);
  });

  it('a new key is found at once', async () => {
    const old = await issuer.sign();
    expect(await opened(old)).not.toBeNull();
    await issuer.addKey('second');
    expect(await opened(await issuer.sign())).not.toBeNull();
    expect(await opened(old)).not.toBeNull();
    expect(keyFetches()).toBe(2);
  });

  it('what a key signed that the issuer has withdrawn is refused after ten minutes, remembered or not', async () => {
    const exp = Math.floor(Date.now() / 1000) + 86_400;
    const [seen, unseen] = [await issuer.sign({ exp }), await issuer.sign({ exp, n: 2 })];
    expect(await opened(seen)).not.toBeNull();
    issuer.jwks.keys.splice(0);
    await issuer.addKey('second');
    passes(599_000);
    expect(await opened(seen)).not.toBeNull();
    passes(2_000);
    expect(await opened(seen)).toBeNull();
    expect(await opened(unseen)).toBeNull();
    expect(await opened(await issuer.sign())).not.toBeNull();
  });

  it('what a withdrawn key signed is refused as soon as the new keys are known, remembered or not', async () => {
    const seen = await issuer.sign();
    expect(await opened(seen)).not.toBeNull();
    issuer.jwks.keys.splice(0);
    await issuer.addKey('second');
    expect(await opened(await issuer.sign())).not.toBeNull();
    expect(await opened(seen)).toBeNull();
  });

  it('while the issuer does not answer, nobody with a token of a known key waits for it twice', async () => {
    const failures = () => logged.filter((line) => line.includes('could not be fetched')).length;
    const exp = Math.floor(Date.now() / 1000) + 86_400;
    const seen = await issuer.sign({ exp });
    expect(await opened(seen)).not.toBeNull();
    issuer.answer((_request, response) => response.writeHead(503).end());
    passes(601_000);
    expect(await opened(seen)).not.toBeNull();
    expect(failures()).toBe(1);
    const asked = Promise.withResolvers<void>();
    issuer.answer(() => asked.resolve());
    passes(5_001);
    expect(await opened(seen)).not.toBeNull();
    await asked.promise;
    expect(await opened(await issuer.sign({ exp, n: 2 }))).not.toBeNull();
    expect(failures()).toBe(1);
  });

  it('while the issuer gives none, the known ones stay in use for an hour and no longer', async () => {
    const exp = Math.floor(Date.now() / 1000) + 86_400;
    const seen = await issuer.sign({ exp });
    expect(await opened(seen)).not.toBeNull();
    issuer.answer((_request, response) => response.writeHead(503).end());
    passes(601_000);
    expect(await opened(seen)).not.toBeNull();
    expect(await opened(await issuer.sign({ exp, n: 2 }))).not.toBeNull();
    passes(2_990_000);
    expect(await opened(seen)).not.toBeNull();
    passes(20_000);
    expect(await opened(seen)).toBeNull();
    issuer.answer(null);
    passes(6_000);
    expect(await opened(seen)).not.toBeNull();
  });

  it('a clock that is set back by a day makes the keys old, not new for a day', async () => {
    const exp = Math.floor(Date.now() / 1000) + 3_600;
    expect(await opened(await issuer.sign({ exp }))).not.toBeNull();
    const fetches = keyFetches();
    passes(-86_400_000);
    expect(await opened(await issuer.sign())).not.toBeNull();
    expect(keyFetches()).toBe(fetches + 1);
  });

  it('a clock that is set back after a failure holds nobody up', async () => {
    issuer.answer((_request, response) => response.writeHead(500).end());
    expect(await opened(await issuer.sign())).toBeNull();
    issuer.answer(null);
    passes(-86_400_000);
    expect(await opened(await issuer.sign())).not.toBeNull();
  });

  it('an issuer that gives no keys is asked again only after five seconds', async () => {
    issuer.answer((_request, response) => response.writeHead(500).end());
    const jwt = await issuer.sign();
    for (let times = 0; times < 5; times++) expect(await opened(jwt)).toBeNull();
    expect(issuer.asked).toHaveLength(1);
    issuer.answer(null);
    passes(5_001);
    expect(await opened(jwt)).not.toBeNull();
  });

  it.each<[string, (keys: string) => string]>([
    ['no JSON', (keys) => `${keys},`],
    ['no keys', () => '{}'],
    ['keys that are none', () => '{"keys":[5]}'],
    ['null', () => 'null'],
    ['more than 256 KiB', (keys) => `${keys}${' '.repeat(256 * 1024)}`],
  ])('%s in place of its keys opens nothing', async (_, body) => {
    trusted = [issuer.trusted({ jwksUrl: `${issuer.url}/keys` })];
    issuer.answer((_request, response) => response.end(body(JSON.stringify(issuer.jwks))));
    expect(await opened(await issuer.sign())).toBeNull();
    expect(JSON.parse(logged[0] ?? '')).toMatchObject({ level: 'warn', issuer: issuer.url });
    issuer.answer(null);
    passes(5_001);
    expect(await opened(await issuer.sign())).not.toBeNull();
  });

  it('no redirect is followed, and nothing beside it is read', async () => {
    const other = await startTokenIssuer();
    cleanups.push(other.stop);
    const redirect = `${other.url}/keys`;
    trusted = [issuer.trusted({ jwksUrl: `${issuer.url}/keys` })];
    issuer.answer((_request, response) => response.writeHead(302, { location: redirect }).end(JSON.stringify(other.jwks)));
    expect(await opened(await other.sign({ iss: issuer.url }))).toBeNull();
    expect(other.asked).toEqual([]);
  });

  it.each<[string, (url: string) => unknown, string]>([
    ['of another issuer', (url) => ({ issuer: `${url}/`, jwks_uri: `${url}/keys` }), 'names another issuer'],
    ['without a place for keys', (url) => ({ issuer: url }), 'is not an https URL'],
    ['with keys over plain http', (url) => ({ issuer: url, jwks_uri: 'http://192.0.2.1/keys' }), 'is not an https URL'],
    ['that is a list', () => [], 'names another issuer'],
    ['that is null', () => null, 'names another issuer'],
  ])('a discovery document %s is refused', async (_, document, reason) => {
    issuer.answer((request, response) => {
      response.end(JSON.stringify(request.url === '/keys' ? issuer.jwks : document(issuer.url)));
    });
    expect(await opened(await issuer.sign())).toBeNull();
    expect(keyFetches()).toBe(0);
    expect(logged[0]).toContain(reason);
  });

  it('with a place for its keys in the configuration no discovery document is asked for', async () => {
    trusted = [issuer.trusted({ jwksUrl: `${issuer.url}/keys` })];
    expect(await opened(await issuer.sign())).not.toBeNull();
    expect(issuer.asked).toEqual(['/keys']);
  });
});

describe('over https', () => {
  let certificates: TestCertificates;
  beforeAll(async () => {
    certificates = await createCertificates();
  });

  it('the certificate has to be of the authority in the configuration', async () => {
    const secure = await startTokenIssuer({ tls: certificates.server });
    cleanups.push(secure.stop);
    trusted = [secure.trusted({ ca: certificates.ca })];
    expect(await opened(await secure.sign())).toEqual(['acme/shop:production']);
    for (const ca of [null, certificates.stranger.cert]) {
      trusted = [secure.trusted({ ca })];
      expect(await opened(await secure.sign())).toBeNull();
    }
  });
});

describe('other settings', () => {
  it('an issuer that is taken out is refused at once, with tokens that were good before too', async () => {
    const jwt = await issuer.sign();
    expect(await opened(jwt)).not.toBeNull();
    trusted = [];
    expect(await opened(jwt)).toBeNull();
    trusted = [issuer.trusted({ audience: 'other' })];
    expect(await opened(jwt)).toBeNull();
  });

  it('an issuer that is taken out while its keys are fetched is refused', async () => {
    const asked = Promise.withResolvers<() => void>();
    issuer.answer((request, response) => {
      asked.resolve(() => response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: `${issuer.url}/keys`, ...issuer.jwks })));
      if (request.url === '/keys') response.end(JSON.stringify(issuer.jwks));
    });
    const answer = opened(await issuer.sign());
    const release = await asked.promise;
    trusted = [];
    release();
    expect(await answer).toBeNull();
  });

  it('other rules hold at once, and known keys stay known', async () => {
    const jwt = await issuer.sign();
    expect(await opened(jwt)).toEqual(['acme/shop:production']);
    const fetches = keyFetches();
    trusted = [issuer.trusted({ rules: [{ claims: { environment: ['production'] }, opens: 'acme/other:staging' }] })];
    expect(await opened(jwt)).toEqual(['acme/other:staging']);
    expect(keyFetches()).toBe(fetches);
  });
});

describe('what is no token', () => {
  it('over 16 KiB is refused unread, a little less is not', async () => {
    expect(await opened(await issuer.sign({ padding: 'x'.repeat(11_000) }))).not.toBeNull();
    expect(await opened(await issuer.sign({ padding: 'x'.repeat(12_500) }))).toBeNull();
  });

  it.each([
    '',
    '.',
    '..',
    'eyJ',
    'eyJ..',
    'a.b.c',
    'eyJhbGciOiJFUzI1NiJ9',
    'eyJhbGciOiJFUzI1NiJ9.e30',
    'eyJhbGciOiJFUzI1NiJ9.e30.',
    'eyJhbGciOiJFUzI1NiJ9.bnVsbA.x',
    'eyJhbGciOiJFUzI1NiJ9.W10.x',
    'bnVsbA.e30.x',
    'a.b.c.d.e',
    '\0.\u{10ffff}.\ud800',
  ])('%j is refused', async (text) => {
    expect(await opened(text)).toBeNull();
    expect(issuer.asked).toEqual([]);
  });

  it('no text throws or opens anything', async () => {
    const good = await issuer.sign();
    const parts = good.split('.');
    const part = fc.oneof(
      fc.constantFrom(...parts, 'e30', 'bnVsbA', 'eyJhbGciOiJub25lIn0'),
      fc.string(),
      fc.json().map((json) => Buffer.from(json).toString('base64url')),
    );
    const whole = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(part, { maxLength: 6 }).map((all) => all.join('.')),
      fc
        .tuple(fc.nat(good.length - 1), fc.string({ minLength: 1, maxLength: 3 }))
        .map(([at, text]) => good.slice(0, at) + text + good.slice(at + 1)),
    );
    await fc.assert(
      fc.asyncProperty(whole, async (text) => {
        workloads.looksLikeJwt(text);
        const found = await opened(text);
        // What is changed may still be the same to the decoder: bits of the last character that do not count.
        if (found !== null) expect(text.split('.').map(decoded)).toEqual(parts.map(decoded));
      }),
      { numRuns: 500 },
    );
  });
});

function decoded(part: string): string {
  return Buffer.from(part, 'base64url').toString('hex');
}

it('the log says why a token was refused, not what it holds, and not for each of many', async () => {
  const jwt = await issuer.sign({ aud: 'hunter2', sub: 'hunter2' });
  for (let times = 0; times < 10; times++) await opened(jwt);
  passes(10_001);
  const expired = await issuer.sign({ exp: 1, secret: 'hunter2' });
  await opened(expired);
  expect(logged.map((line) => JSON.parse(line))).toMatchObject([
    { level: 'info', msg: 'a JWT was refused', reason: 'no trusted issuer has its "iss" and "aud"' },
    { level: 'info', msg: 'a JWT was refused', reason: '"exp" claim timestamp check failed', issuer: 'ci', unsaid: 9 },
  ]);
  for (const text of ['hunter2', ...jwt.split('.'), ...expired.split('.')]) expect(logged.join()).not.toContain(text);
});

describe('of a good token that opens nothing the log says', () => {
  const lines = () => logged.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'a JWT opens nothing here');

  it('by which claim each rule fails, and no claim that is in no rule', async () => {
    trusted = [
      issuer.trusted({
        rules: [
          { claims: { project_path: ['acme/*'], ref_protected: ['true'] }, opens: 'acme' },
          { claims: { groups: ['ops', 'sre'] }, opens: 'acme' },
          { claims: { '/k8s/ns': ['shop'] }, opens: 'acme' },
          { claims: { project_path: ['acme/*'] }, opens: '{{project_path}}:{{tier}}' },
          { claims: { project_path: ['acme/*'] }, opens: '{{project_path}}:{{environment}}' },
        ],
      }),
    ];
    const groups = ['dev', 5, { deep: 'hunter2' }, 'g'.repeat(300)];
    const claims = { ref_protected: 'false', groups, environment: 'prod', email: 'hunter2', k8s: { name: 'hunter2' } };
    expect(await opened(await issuer.sign(claims))).toEqual([]);
    expect(lines()).toEqual([
      {
        level: 'info',
        time: expect.any(String),
        msg: 'a JWT opens nothing here',
        issuer: 'ci',
        subject: goodClaims.sub,
        rules: [
          { rule: 1, claim: 'ref_protected', wants: ['true'], has: 'false' },
          { rule: 2, claim: 'groups', wants: ['ops', 'sre'], has: ['dev', '5', `${'g'.repeat(100)}…`] },
          { rule: 3, claim: '/k8s/ns', wants: ['shop'], has: null },
          { rule: 4, opens: '{{project_path}}:{{tier}}', claim: 'tier', has: null },
          { rule: 5, opens: 'acme/shop:prod', missing: true },
        ],
      },
    ]);
    expect(logged.join('')).not.toMatch(/hunter2|eyJ/);
  });

  it('nothing where any rule opens something', async () => {
    const [rule] = issuer.trusted().rules;
    const others = [
      { claims: { sub: ['x'] }, opens: 'acme' },
      { claims: { sub: ['*shop*'] }, opens: 'acme/shop:none' },
    ];
    trusted = [issuer.trusted({ rules: [...others, ...(rule === undefined ? [] : [rule])] })];
    expect(await opened(await issuer.sign())).toEqual(['acme/shop:production']);
    expect(lines()).toEqual([]);
  });

  it('once for one token, and once in ten seconds for many', async () => {
    const jwt = await issuer.sign({ environment: 'none' });
    for (let times = 0; times < 3; times++) expect(await opened(jwt)).toEqual([]);
    for (const environment of ['a', 'b']) expect(await opened(await issuer.sign({ environment }))).toEqual([]);
    expect(lines()).toHaveLength(1);
    passes(10_001);
    await opened(await issuer.sign({ environment: 'c' }));
    expect(lines().slice(1)).toMatchObject([{ rules: [{ opens: 'acme/shop:c', missing: true }], unsaid: 2 }]);
  });

  it('nothing of a token that is not verified', async () => {
    await issuer.addKey('unpublished', { publish: false });
    expect(await opened(await issuer.sign({ environment: 'none' }))).toBeNull();
    expect(lines()).toEqual([]);
  });
});
