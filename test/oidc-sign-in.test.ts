import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { signInCookies } from '../src/access/oidc-cookie.ts';
import { Browser } from './support/cookie-jar.ts';
import { startOidcProvider, type TestOidcProvider } from './support/oidc-provider.ts';
import { configured, type OidcRig, startOidcRig } from './support/oidc-rig.ts';
import { freePort } from './support/ports.ts';

let rig: OidcRig;
let provider: TestOidcProvider;
let other: TestOidcProvider;

const anna = { sub: 'anna-1', claims: { preferred_username: 'anna' } };
const bert = { sub: 'bert-1', claims: { preferred_username: 'bert' } };

beforeAll(async () => {
  rig = await startOidcRig();
  provider = await startOidcProvider([`${rig.url}/login/oidc/main/callback`]);
  other = await startOidcProvider([`${rig.url}/login/oidc/other/callback`]);
});
beforeEach(() => {
  rig.providers = [configured(provider), configured(other, { name: 'other', label: 'Other' })];
  provider.signsIn(anna);
  other.signsIn(bert);
});
afterAll(async () => {
  await rig?.stop();
  await provider?.stop();
  await other?.stop();
});

/** Goes to the provider and comes back with a code, but does not hand it over yet. */
async function callbackOf(browser: Browser, name = 'main'): Promise<string> {
  const answer = await browser.follow(
    `${rig.url}/login/oidc/${name}`,
    ({ location }) => location?.startsWith(`${rig.url}/`) === true,
  );
  return answer.location ?? '';
}

async function nobody(browser: Browser): Promise<void> {
  expect(await rig.signedIn(browser)).toBeUndefined();
}

describe('a sign-in with a provider', () => {
  it('ends with a session, on the page that was asked for', async () => {
    const browser = new Browser();
    const answer = await rig.signIn('main', browser, '/acme/shop/-/environments/production/prometheus/graph?g0.expr=up');
    expect(answer.status).toBe(303);
    expect(answer.location).toBe(`${rig.url}/acme/shop/-/environments/production/prometheus/graph?g0.expr=up`);
    expect(await rig.signedIn(browser)).toMatchObject({ username: 'anna' });
    const [session] = await rig.database.db.selectFrom('sessions').selectAll().execute();
    expect(session).toMatchObject({ provider: 'main', address: '127.0.0.1' });
  });

  it('asks with state, nonce and PKCE, and nothing secret', async () => {
    const { location, headers } = await new Browser().get(`${rig.url}/login/oidc/main`);
    const { origin, searchParams } = new URL(location ?? '');
    expect(origin).toBe(provider.issuer);
    expect(Object.fromEntries(searchParams)).toEqual({
      client_id: provider.clientId,
      response_type: 'code',
      redirect_uri: `${rig.url}/login/oidc/main/callback`,
      scope: 'openid profile email groups',
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
    });
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
  });

  it('ends the session that the browser had before', async () => {
    const browser = new Browser();
    await rig.signIn('main', browser);
    const before = browser.cookieHeader(`${rig.url}/`);
    await rig.signIn('main', browser);
    expect(browser.cookieHeader(`${rig.url}/`)).not.toBe(before);
    const old = new Browser();
    old.keep(`${rig.url}/`, before);
    await nobody(old);
  });

  it('is at home with two providers at once, each with its own accounts', async () => {
    const browser = new Browser();
    await rig.signIn('other', browser);
    expect(await rig.signedIn(browser)).toMatchObject({ username: 'bert' });
    await rig.signIn('main', browser);
    expect(await rig.signedIn(browser)).toMatchObject({ username: 'anna' });
  });

  it('may run in two tabs of one browser', async () => {
    const browser = new Browser();
    const first = await callbackOf(browser);
    const second = await callbackOf(browser, 'other');
    expect((await browser.get(first)).status).toBe(303);
    expect(await rig.signedIn(browser)).toMatchObject({ username: 'anna' });
    expect((await browser.get(second)).status).toBe(303);
    expect(await rig.signedIn(browser)).toMatchObject({ username: 'bert' });
  });

  it('may begin in one process and end in another', async () => {
    const [one, two] = [rig.oidc, rig.secondProcess()];
    const { location, cookies } = await one.start('main', '/x', undefined);
    const back = await new Browser().follow(location, (answer) => answer.location?.startsWith(`${rig.url}/`) === true);
    const query = new URL(back.location ?? '').search.slice(1);
    const from = { address: '192.0.2.1', userAgent: 'x', previousCookie: null };
    const cookieHeader = cookies[0]?.split(';')[0];
    const finished = await two.finish({ provider: 'main', query, cookieHeader, signedIn: null, from, requestId: 'r' });
    expect(finished).toEqual({ returnTo: '/x', session: expect.stringMatching(/^[\w-]{43}$/) });
  });

  it('leaves no more than a few cookies behind, however often it is begun', async () => {
    const browser = new Browser();
    for (let i = 0; i < 12; i++) await browser.get(`${rig.url}/login/oidc/main`);
    expect(browser.cookieHeader(`${rig.url}/login/oidc/main`).split('; ').length).toBeLessThanOrEqual(5);
    expect((await browser.get(await callbackOf(browser))).status).toBe(303);
  });

  it('keeps its cookie from scripts, other sites and other pages, and drops it at the end', async () => {
    const browser = new Browser();
    const { setCookie } = await browser.get(`${rig.url}/login/oidc/main`);
    expect(setCookie).toEqual([
      expect.stringMatching(/^promgate_oidc_[0-9a-f]{16}=v1\.[\w-]+; Path=\/login\/oidc\/; HttpOnly; SameSite=Lax; Max-Age=600$/),
    ]);
    const answer = await rig.signIn('main', new Browser());
    expect(answer.setCookie[0]).toMatch(/^promgate_oidc_[0-9a-f]{16}=; Path=\/login\/oidc\/; HttpOnly; SameSite=Lax; Max-Age=0$/);
  });

  it('keeps its cookie to TLS and its path where external_url has them', () => {
    const seal = { seal: () => 'v1.x', open: () => '' };
    const started = { provider: 'main', issuer: '', state: 's', nonce: '', verifier: '', returnTo: '', link: null, expiresAt: 0 };
    expect(signInCookies('https://ops.example/promgate', seal).set(started)).toMatch(
      /^__Secure-promgate_oidc_[0-9a-f]{16}=v1\.x; Path=\/promgate\/login\/oidc\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/,
    );
  });
});

describe('a callback is refused', () => {
  it('without the cookie of the browser that began', async () => {
    const callback = await callbackOf(new Browser());
    const victim = new Browser();
    const answer = await victim.get(callback);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('was not begun in this browser');
    await nobody(victim);
  });

  it('with the cookie of another sign-in', async () => {
    const attacker = await callbackOf(new Browser());
    const victim = new Browser();
    await victim.get(`${rig.url}/login/oidc/main`);
    expect((await victim.get(attacker)).status).toBe(400);
    await nobody(victim);
  });

  it('with the cookie of another sign-in under the name of this one', async () => {
    const attacker = new Browser();
    const callback = await callbackOf(attacker);
    const victim = new Browser();
    await victim.get(`${rig.url}/login/oidc/main`);
    const value = victim.cookieHeader(`${rig.url}/login/oidc/main`).split('=')[1] ?? '';
    const name = attacker.cookieHeader(`${rig.url}/login/oidc/main`).split('=')[0] ?? '';
    victim.keep(`${rig.url}/login/oidc/`, `${name}=${value}; Path=/login/oidc/`);
    expect((await victim.get(callback)).status).toBe(400);
    await nobody(victim);
  });

  it('with two cookies that differ', async () => {
    const browser = new Browser();
    const callback = await callbackOf(browser);
    const cookie = browser.cookieHeader(callback);
    const doubled = await new Browser().get(callback, { headers: { cookie: `${cookie}; ${cookie}x` } });
    expect(doubled.status).toBe(400);
    expect((await new Browser().get(callback, { headers: { cookie: `${cookie}; ${cookie}` } })).status).toBe(303);
  });

  it.each<[string, (parameters: URLSearchParams) => void]>([
    ['another state', (parameters) => parameters.set('state', 'x'.repeat(43))],
    ['no state', (parameters) => parameters.delete('state')],
    ['two states', (parameters) => parameters.append('state', 'x')],
  ])('with %s', async (_, change) => {
    const browser = new Browser();
    const url = new URL(await callbackOf(browser));
    change(url.searchParams);
    expect((await browser.get(url.href)).status).toBe(400);
    await nobody(browser);
  });

  it('a second time', async () => {
    const browser = new Browser();
    const callback = await callbackOf(browser);
    const cookie = browser.cookieHeader(callback);
    expect((await browser.get(callback)).status).toBe(303);
    expect((await browser.get(callback)).status).toBe(400);
    // Whoever kept the cookie fails at the provider, where a code is good once.
    const thief = new Browser();
    expect((await thief.get(callback, { headers: { cookie } })).status).toBe(403);
    await nobody(thief);
  });

  it('at another provider than it was begun at', async () => {
    const browser = new Browser();
    const callback = await callbackOf(browser);
    const asked = other.asked.length;
    expect((await browser.get(callback.replace('/oidc/main/', '/oidc/other/'))).status).toBe(400);
    expect(other.asked.length).toBe(asked);
    await nobody(browser);
  });

  it('where the provider of the name is another one by now', async () => {
    const browser = new Browser();
    const callback = await callbackOf(browser);
    const asked = other.asked.length;
    rig.providers = [configured(other)];
    expect((await browser.get(callback)).status).toBe(400);
    expect(other.asked.length).toBe(asked);
  });

  it('where the provider is gone from the configuration', async () => {
    const browser = new Browser();
    const callback = await callbackOf(browser);
    rig.providers = [];
    expect((await browser.get(callback)).status).toBe(404);
    expect((await browser.get(`${rig.url}/login/oidc/main`)).status).toBe(404);
  });

  it('with a sealed cookie that is too old', () => {
    const keys = { seal: (text: string) => text, open: (text: string) => text };
    const cookies = signInCookies(rig.url, keys);
    const started = { provider: 'main', issuer: 'i', state: 's', nonce: 'n', verifier: 'v', returnTo: '/', link: null };
    const header = cookies.set({ ...started, expiresAt: 1_000 }).split(';')[0];
    expect(cookies.read(header, 's', 999)).toMatchObject(started);
    expect(cookies.read(header, 's', 1_000)).toBeNull();
  });

  it('where the person says no', async () => {
    provider.signsIn(null);
    const browser = new Browser();
    const answer = await rig.signIn('main', browser);
    expect(answer.status).toBe(403);
    expect(answer.text).toContain('Main did not sign you in');
    await nobody(browser);
  });

  it('by a HEAD, which leaves the code as good as it was', async () => {
    const browser = new Browser();
    const callback = await callbackOf(browser);
    const { status } = await fetch(callback, { method: 'HEAD', headers: { cookie: browser.cookieHeader(callback) } });
    expect(status).toBe(404);
    expect((await browser.get(callback)).status).toBe(303);
  });
});

describe('the page to return to is never another host’s', () => {
  it.each([
    '//evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    'https://evil.example',
    'http:evil.example',
    '/\r\nLocation: https://evil.example',
    '/\t/evil.example',
    '/.//evil.example',
    'javascript:alert(1)',
    '/login/oidc/main',
  ])('%j', async (target) => {
    const answer = await rig.signIn('main', new Browser(), target);
    expect(answer.status).toBe(303);
    expect(answer.headers.get('location')).toBe('/');
  });
});

describe('the log tells the operator that', () => {
  /** The last line on a failed sign-in. */
  const detail = (): string => {
    const lines = rig.log.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'a sign-in with a provider failed');
    return lines.at(-1)?.detail;
  };

  it('the client secret is wrong, and not what it is', async () => {
    rig.providers = [configured({ ...provider, clientSecret: 'another secret' })];
    const answer = await rig.signIn('main');
    expect(answer.status).toBe(403);
    expect(detail()).toBe('the provider answered 401: client_id or client_secret is wrong');
    expect(answer.text).not.toContain('client_secret');
    expect(rig.log.join('')).not.toContain('another secret');
  });

  it.each(['localhost', 'a slash more'])('the provider calls itself otherwise than configured (%s)', async (way) => {
    const issuer = way === 'localhost' ? provider.issuer.replace('127.0.0.1', 'localhost') : `${provider.issuer}/`;
    rig.providers = [configured({ ...provider, issuer })];
    const answer = await new Browser().get(`${rig.url}/login/oidc/main`);
    expect(answer.status).toBe(403);
    expect(detail()).toBe(`the provider calls itself "${provider.issuer}": that has to be the issuer in the configuration`);
    expect(answer.text).not.toContain(provider.issuer);
  });
});

describe('a provider that is down', () => {
  it('gives a page that says so, and is asked again the next time', async () => {
    const port = await freePort();
    rig.providers = [
      configured({ issuer: `http://127.0.0.1:${port}`, clientId: 'promgate', clientSecret: null }),
      ...rig.providers.slice(1),
    ];
    const answer = await new Browser().get(`${rig.url}/login/oidc/main`);
    expect(answer.status).toBe(503);
    expect(answer.text).toContain('Main does not answer');
    expect(answer.text).not.toContain(String(port));
    expect(answer.setCookie).toEqual([]);
    expect((await rig.signIn('other')).status).toBe(303);
  });

  it('when the browser comes back leaves nobody signed in', async () => {
    const gone = await startOidcProvider([`${rig.url}/login/oidc/main/callback`]);
    rig.providers = [configured(gone)];
    gone.signsIn(anna);
    const browser = new Browser();
    const callback = await callbackOf(browser);
    await gone.stop();
    expect((await browser.get(callback)).status).toBe(503);
    await nobody(browser);
  });
});
