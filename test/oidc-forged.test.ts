import { createHmac } from 'node:crypto';
import type { CryptoKey } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { OidcProvider } from '../src/config/identity.ts';
import { Browser } from './support/cookie-jar.ts';
import { type ForgedProvider, type Forgery, signed, startForgedProvider } from './support/forged-oidc-provider.ts';
import { configured, type OidcRig, startOidcRig } from './support/oidc-rig.ts';
import { createCertificates, type TestCertificates } from './support/tls.ts';

let rig: OidcRig;
let forged: ForgedProvider;
let certificates: TestCertificates;

beforeAll(async () => {
  rig = await startOidcRig();
  forged = await startForgedProvider();
  certificates = await createCertificates();
});
afterAll(async () => {
  await rig?.stop();
  await forged?.stop();
});
afterEach(() => {
  vi.restoreAllMocks();
  expect(forged.violations.splice(0)).toEqual([]);
  forged.forge({});
});

/** As configured anew, so that nothing of an earlier test is remembered. */
async function signIn(forgery: Forgery) {
  rig.providers = [configured(forged)];
  forged.forge(forgery);
  const browser = new Browser();
  const answer = await rig.signIn('main', browser);
  return { browser, answer };
}

async function outcome(forgery: Forgery): Promise<{ status: number; signedIn: boolean }> {
  const { browser, answer } = await signIn(forgery);
  return { status: answer.status, signedIn: (await rig.signedIn(browser)) !== undefined };
}

const now = () => Math.floor(Date.now() / 1000);
const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

it('a provider that does all right signs in', async () => {
  expect(await outcome({})).toEqual({ status: 303, signedIn: true });
});

describe('nobody is signed in by an ID token with', () => {
  it.each<[string, Forgery]>([
    ['another nonce', { claims: (claims) => ({ ...claims, nonce: 'other' }) }],
    ['no nonce', { claims: ({ nonce: _, ...claims }) => claims }],
    ['another issuer', { claims: (claims) => ({ ...claims, iss: 'https://other.example' }) }],
    ['another audience', { claims: (claims) => ({ ...claims, aud: 'other' }) }],
    [
      'several audiences, made for another one',
      { claims: (claims) => ({ ...claims, aud: ['promgate', 'other'], azp: 'other' }) },
    ],
    ['no audience', { claims: ({ aud: _, ...claims }) => claims }],
    ['a time that is over', { claims: (claims) => ({ ...claims, exp: now() - 120 }) }],
    ['a time that has not come', { claims: (claims) => ({ ...claims, nbf: now() + 300 }) }],
    ['no subject', { claims: ({ sub: _, ...claims }) => claims }],
    ['a key that is not the provider’s', { sign: (claims, { stranger }) => signed(claims, stranger) }],
    ['a key id that is unknown', { sign: (claims, { current }) => signed(claims, current, 'k9') }],
    ['no signature', { sign: async (claims) => `${base64url({ alg: 'none' })}.${base64url(claims)}.` }],
    ['a signature by the client’s secret', { sign: async (claims) => hs256(claims) }],
  ])('%s', async (_, forgery) => {
    expect(await outcome(forgery)).toEqual({ status: 403, signedIn: false });
  });

  it('such signatures even where the provider says that it makes them', async () => {
    const discovery = (document: object) => ({ ...document, id_token_signing_alg_values_supported: ['RS256', 'HS256', 'none'] });
    const none: Forgery = { discovery, sign: async (claims) => `${base64url({ alg: 'none' })}.${base64url(claims)}.` };
    expect(await outcome(none)).toEqual({ status: 403, signedIn: false });
    expect(await outcome({ discovery, sign: async (claims) => hs256(claims) })).toEqual({ status: 403, signedIn: false });
  });
});

function hs256(claims: object): string {
  const content = `${base64url({ alg: 'HS256' })}.${base64url(claims)}`;
  return `${content}.${createHmac('sha256', 'secret').update(content).digest('base64url')}`;
}

describe('nobody is signed in where', () => {
  it.each<[string, Forgery]>([
    ['the userinfo are somebody else’s', { userinfo: (claims) => ({ ...claims, sub: 's2' }) }],
    [
      'the browser brings the issuer of another provider',
      { back: (parameters) => parameters.set('iss', 'https://other.example') },
    ],
    [
      'the provider says that it names itself, and does not',
      { discovery: (document) => ({ ...document, authorization_response_iss_parameter_supported: true }) },
    ],
    ['the browser brings two codes', { back: (parameters) => parameters.append('code', 'another') }],
    ['the code is refused', { instead: { '/token': { status: 400, body: '{"error":"invalid_grant"}' } } }],
  ])('%s', async (_, forgery) => {
    expect(await outcome(forgery)).toEqual({ status: 403, signedIn: false });
  });

  it.each<[string, Forgery]>([
    ['the userinfo endpoint fails', { instead: { '/userinfo': { status: 500, body: '' } } }],
    ['the token endpoint fails', { instead: { '/token': { status: 502, body: '<html>' } } }],
    ['the keys are no JSON', { instead: { '/jwks': { status: 200, body: '<html>' } } }],
    ['an answer has no end', { instead: { '/userinfo': { status: 200, body: `{"a":"${'x'.repeat(1_100_000)}"}` } } }],
  ])('%s', async (_, forgery) => {
    expect(await outcome(forgery)).toEqual({ status: 503, signedIn: false });
  });

  it('the provider does not answer at all, which is waited for only a while', async () => {
    expect(await outcome({ instead: { '/token': null } })).toEqual({ status: 503, signedIn: false });
  });

  it.each(['https://other.example', 'a slash more'])(
    'the provider is another issuer than configured, throughout (%s)',
    async (issuer) => {
      const other = issuer === 'a slash more' ? `${forged.issuer}/` : issuer;
      const discovery = (document: object) => ({ ...document, issuer: other });
      const claims: Forgery['claims'] = (each) => ({ ...each, iss: other });
      expect(await outcome({ discovery, claims })).toEqual({ status: 403, signedIn: false });
    },
  );
});

describe('what a provider writes', () => {
  it('is neither on the page nor in the log', async () => {
    const body = '{"error":"<script>alert(1)</script>","error_description":"<b>hidden-text</b>"}';
    const { answer } = await signIn({ instead: { '/token': { status: 400, body } } });
    const told = await signIn({
      back: (parameters) => {
        parameters.delete('code');
        parameters.set('error', '<script>alert(2)</script>');
        parameters.set('error_description', 'hidden-text');
      },
    });
    for (const { text, status } of [answer, told.answer]) {
      expect(status).toBe(403);
      expect(text).not.toMatch(/alert\(|hidden-text/);
    }
    const page = await signIn({ claims: (claims) => ({ ...claims, nonce: 'hidden-text' }) });
    expect(page.answer.text).not.toContain('hidden-text');
    expect(rig.log.join('')).toContain('a sign-in with a provider failed');
    expect(rig.log.join('')).not.toMatch(/alert\(|hidden-text|eyJ/);
  });

  it('is told to the operator where it is a plain code', async () => {
    await signIn({ instead: { '/token': { status: 401, body: '{"error":"invalid_client"}' } } });
    expect(rig.log.join('')).toContain(
      'the provider answered 401 with the error invalid_client: client_id or client_secret is wrong',
    );
  });
});

it('new keys of the provider count at once, and old ones no more', async () => {
  rig.providers = [configured(forged)];
  const old: CryptoKey[] = [];
  forged.forge({
    sign: (claims, { current }) => {
      old.push(current);
      return signed(claims, current);
    },
  });
  expect((await rig.signIn('main')).status).toBe(303);
  await forged.rotate();
  forged.forge({});
  expect((await rig.signIn('main')).status).toBe(303);
  forged.forge({ sign: (claims) => signed(claims, old[0] as CryptoKey) });
  expect((await rig.signIn('main')).status).toBe(403);
});

it('the discovery document is asked for once for many sign-ins, and again after one that failed, once in 30 seconds', async () => {
  const now = performance.now.bind(performance);
  let later = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now() + later);
  rig.providers = [configured(forged)];
  const discoveries = () => forged.asked.filter((path) => path.startsWith('/.well-known')).length;
  const before = discoveries();
  await Promise.all([rig.signIn('main'), rig.signIn('main'), rig.signIn('main')]);
  await rig.signIn('main');
  expect(discoveries()).toBe(before + 1);
  // Nobody can have the provider asked again and again by sign-ins that fail.
  const browser = new Browser();
  forged.forge({ back: (parameters) => parameters.set('error', 'access_denied') });
  for (let times = 0; times < 3; times++) expect((await rig.signIn('main', browser)).status).toBe(403);
  expect(discoveries()).toBe(before + 1);
  later = 30_000;
  expect((await rig.signIn('main', browser)).status).toBe(403);
  forged.forge({});
  expect((await rig.signIn('main')).status).toBe(303);
  expect(discoveries()).toBe(before + 2);
});

it.each<[string, (provider: OidcProvider) => readonly OidcProvider[], number]>([
  ['is taken out of the configuration', () => [], 404],
  ['gets another issuer', (provider) => [{ ...provider, issuer: 'https://other.example' }], 400],
])('nobody is signed in by a provider that %s while it answers', async (_, become, status) => {
  const userinfo: Forgery['userinfo'] = (claims) => {
    rig.providers = rig.providers.flatMap(become);
    return claims;
  };
  expect(await outcome({ userinfo })).toEqual({ status, signedIn: false });
});

it('the rules count that are configured when the provider has answered', async () => {
  const userinfo: Forgery['userinfo'] = (claims) => {
    rig.providers = [configured(forged, { rules: [{ claim: 'sub', value: 's1', gives: { admin: true } }] })];
    return claims;
  };
  const { browser } = await signIn({ userinfo });
  expect((await rig.signedIn(browser))?.admin_by).toBe('main');
});

describe('the way to a provider', () => {
  it('is TLS with the authority that is configured, and no other', async () => {
    const server = await startForgedProvider({ tls: certificates.server });
    try {
      rig.providers = [
        configured(server, { ca: certificates.ca }),
        configured(server, { name: 'unknown' }),
        configured(server, { name: 'wrong', ca: certificates.stranger.cert }),
      ];
      const start = async (name: string) => (await new Browser().get(`${rig.url}/login/oidc/${name}`)).status;
      expect(await start('main')).toBe(303);
      expect(await start('unknown')).toBe(503);
      expect(await start('wrong')).toBe(503);
      expect(rig.log.join('')).toMatch(/certificate/);
    } finally {
      await server.stop();
    }
  });

  it('is never without TLS beyond this machine, even where the provider says so', async () => {
    const discovery = (document: object) => ({ ...document, token_endpoint: 'http://192.0.2.1/token' });
    expect(await outcome({ discovery })).toEqual({ status: 503, signedIn: false });
    expect(rig.log.join('')).toContain('only loopback is asked without TLS');
    rig.providers = [configured(forged, { issuer: 'http://192.0.2.1' })];
    expect((await rig.signIn('main')).status).toBe(403);
  });

  it('follows no redirects', async () => {
    const server = await startForgedProvider();
    try {
      forged.forge({});
      const moved = { ...configured(forged), issuer: server.issuer };
      server.forge({ instead: { '/.well-known/openid-configuration': { status: 302, body: '' } } });
      rig.providers = [moved];
      expect((await rig.signIn('main')).status).toBe(503);
    } finally {
      await server.stop();
    }
  });
});
