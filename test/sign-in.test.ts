import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openDatabase } from '../src/storage/database.ts';
import { dialects } from './support/database.ts';
import { askPage, hiddenField, makePerson, type PageAnswer, password, signIn } from './support/person.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

// Each test starts programs or hashes passwords, which a busy machine is slow at.
vi.setConfig({ testTimeout: 120_000 });

const resources = JSON.stringify({
  groups: [{ path: 'acme' }, { path: 'other' }],
  projects: [
    { path: 'acme/shop', environments: [{ name: 'production' }], servers: [{ name: 'main', url: 'http://127.0.0.1:9' }] },
    { path: 'other/secret', environments: [{ name: 'hidden' }] },
  ],
});

/** A GET with a `Host` of its own, which `fetch` does not send. */
async function rawPage(url: string, headers: Record<string, string>): Promise<{ body: string }> {
  const { body } = await request(url, { headers });
  return { body: await body.text() };
}

/** Waits until the page is answered so; the gateway learns of what others write within a second. */
async function eventually(ask: () => Promise<PageAnswer>, status: number): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if ((await ask()).status === status) return;
    await delay(50);
  }
  throw new Error(`not answered with ${status}`);
}

describe.each(dialects)('the pages for signing in, on %s', (dialect) => {
  let promgate: TestPromgate;
  let base: string;
  let addresses = 0;
  beforeAll(async () => {
    promgate = await startTestPromgate({ resources, database: dialect, settings: { trustedProxies: ['127.0.0.0/8'] } });
    base = promgate.url;
    await makePerson(promgate, 'ada');
    await makePerson(promgate, 'eve');
  });
  afterAll(() => promgate.close());

  /** An address of its own for each attempt that is to fail, so that tests do not throttle one another. */
  const fromElsewhere = () => ({ 'x-forwarded-for': `198.51.100.${++addresses}` });
  const home = (cookie: string, headers = {}) => askPage(`${base}/`, { cookie, headers });
  const tokenOf = async (cookie: string) => hiddenField(await home(cookie), 'csrf_token');

  it('lead from the first page to the form, from there back, and out again', async () => {
    const signedOut = await askPage(`${base}/`);
    expect([signedOut.status, signedOut.headers.get('location')]).toEqual([303, '/login']);
    const form = await askPage(`${base}/login`);
    expect(form.status).toBe(200);
    expect(form.body).toMatch(/<input name="username"[^>]* autocomplete="username"/);
    expect(form.body).toMatch(/type="password" autocomplete="current-password"/);
    const answer = await askPage(`${base}/login`, { form: { username: 'ada', password, return_to: '/?x=1' } });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/?x=1']);
    // At once: the browser follows without waiting.
    const page = await home(answer.cookie);
    expect(page.status).toBe(200);
    expect(page.body).toContain('<b>ada</b>');
    // Whoever is signed in needs no form.
    expect((await askPage(`${base}/login?return_to=/x`, { cookie: answer.cookie })).headers.get('location')).toBe('/x');
    const out = await askPage(`${base}/logout`, {
      cookie: answer.cookie,
      form: { csrf_token: hiddenField(page, 'csrf_token') },
    });
    expect([out.status, out.headers.get('location')]).toEqual([303, '/login']);
    expect(out.headers.get('set-cookie')).toBe('promgate_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0');
    await eventually(() => home(answer.cookie), 303);
  });

  it('have no scripts and allow nothing but their own style and forms', async () => {
    const cookie = await signIn(base, 'ada');
    for (const page of [await askPage(`${base}/login`), await home(cookie), await askPage(`${base}/-/setup?token=x`)]) {
      expect(page.headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/,
      );
      expect(Object.fromEntries(page.headers)).toMatchObject({
        'content-type': 'text/html; charset=utf-8',
        'referrer-policy': 'same-origin',
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
      });
      expect(page.headers.get('strict-transport-security')).toBeNull();
      expect(page.body).not.toMatch(/<script|javascript:| on\w+=| style=/i);
    }
  });

  it('give a new cookie at each sign-in, and the one that the browser had is worth nothing any more', async () => {
    const planted = `promgate_session=${'A'.repeat(43)}`;
    const first = await signIn(base, 'ada', { cookie: planted });
    expect(first).not.toBe(planted);
    expect((await home(planted)).status).toBe(303);
    const evil = await signIn(base, 'eve');
    const second = await signIn(base, 'ada', { cookie: evil });
    expect(second).not.toBe(evil);
    await eventually(() => home(evil), 303);
    expect((await home(second)).body).toContain('<b>ada</b>');
    expect((await home(first)).status).toBe(200);
    // Two cookies of the name that differ: neither counts.
    expect((await home(`${first}; ${second}`)).status).toBe(303);
    expect((await home(`${planted}; ${second}`)).status).toBe(303);
  });

  it('tell nothing of why somebody is not let in', async () => {
    await makePerson(promgate, 'carol', { hasPassword: false });
    const bob = await makePerson(promgate, 'bob');
    const database = await openDatabase(promgate.settings);
    await database.write((trx) => trx.updateTable('users').set({ state: 'blocked' }).where('id', '=', bob.id).execute());
    await database.close();
    const told = async (username: string, text: string) => {
      const { status, headers, body } = await askPage(`${base}/login`, {
        form: { username, password: text },
        headers: { ...fromElsewhere(), 'x-request-id': 'same' },
      });
      const { date: _date, ...rest } = Object.fromEntries(headers);
      return { status, headers: rest, body: body.replaceAll(username, '<username>') };
    };
    const wrong = await told('ada', 'wrong password here');
    expect(wrong.status).toBe(401);
    expect(wrong.body).toContain('<p role="alert">Wrong username or password.</p>');
    expect(wrong.headers['set-cookie']).toBeUndefined();
    for (const [username, text] of [
      ['nob', password],
      ['bob', password],
      ['bob', 'wrong password here'],
    ] as const) {
      expect(await told(username, text)).toEqual(wrong);
    }
    // Of another length are the names alone.
    const { headers: _, ...carol } = await told('carol', password);
    expect(carol).toEqual({ status: wrong.status, body: wrong.body });
  });

  it('turn guesses away with 429 and the time to wait, and the person elsewhere gets in', async () => {
    const headers = fromElsewhere();
    const guesses = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        askPage(`${base}/login`, { form: { username: 'eve', password: `guess ${i}` }, headers }),
      ),
    );
    const tally = Map.groupBy(guesses, ({ status }) => status);
    expect(tally.get(401)).toHaveLength(5);
    expect(tally.get(429)).toHaveLength(7);
    const refused = await askPage(`${base}/login`, { form: { username: 'eve', password }, headers });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.body).toMatch(/role="alert">Too many attempts to sign in; try again in \d+ seconds/);
    await signIn(base, 'eve', { headers: fromElsewhere() });
  });

  describe('against requests that other sites make', () => {
    const foreign = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ];

    it('sign nobody in', async () => {
      for (const headers of foreign) {
        const answer = await askPage(`${base}/login`, { form: { username: 'ada', password }, headers });
        expect([answer.status, answer.cookie]).toEqual([403, '']);
      }
      for (const headers of [{ origin: base, 'sec-fetch-site': 'same-origin' }, { origin: 'http://127.0.0.1' }]) {
        expect(await signIn(base, 'ada', { headers })).not.toBe('');
      }
    });

    it('sign nobody out, without the token of the session neither', async () => {
      const cookie = await signIn(base, 'ada');
      const csrf_token = await tokenOf(cookie);
      const others = await tokenOf(await signIn(base, 'eve'));
      const another = await tokenOf(await signIn(base, 'ada'));
      for (const headers of foreign) {
        expect((await askPage(`${base}/logout`, { cookie, form: { csrf_token }, headers })).status).toBe(403);
      }
      for (const wrong of ['', 'x', others, another, csrf_token.slice(1)]) {
        const answer = await askPage(`${base}/logout`, { cookie, form: { csrf_token: wrong } });
        expect([answer.status, answer.cookie]).toEqual([403, '']);
      }
      expect((await home(cookie)).status).toBe(200);
      expect((await askPage(`${base}/logout`, { cookie, form: { csrf_token } })).status).toBe(303);
    });

    it('let links of other sites lead here, and send nobody in circles', async () => {
      const cookie = await signIn(base, 'ada');
      const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
      expect((await home(cookie, headers)).status).toBe(200);
      const login = await askPage(`${base}/login?return_to=/acme/x`, { cookie, headers });
      expect(login.status).toBe(200);
      expect(login.body).toContain('href="/acme/x"');
    });
  });

  it('lead nowhere but here after signing in', async () => {
    for (const return_to of ['//evil.example', '/\\evil.example', 'https://evil.example/', '/.//evil.example', '/x\r\ny: z']) {
      const answer = await askPage(`${base}/login`, { form: { username: 'ada', password, return_to } });
      expect(answer.headers.get('location')).toBe('/');
      const form = await askPage(`${base}/login?return_to=${encodeURIComponent(return_to)}`);
      expect(hiddenField(form, 'return_to')).toBe('/');
    }
  });

  it('show what was typed as text', async () => {
    const username = '"><script>alert(1)</script>';
    const answer = await askPage(`${base}/login`, { form: { username, password: 'x' }, headers: fromElsewhere() });
    expect(answer.body).not.toContain('<script');
    expect(answer.body).toContain('value="&quot;&gt;&lt;script&gt;');
    expect(answer.body).not.toContain('value="x"');
  });

  it('read small plain forms alone', async () => {
    const post = (body: string, type: string) =>
      fetch(`${base}/login`, { method: 'POST', body, headers: { 'content-type': type, 'x-forwarded-for': '203.0.113.9' } });
    const form = 'application/x-www-form-urlencoded';
    expect((await post(`username=ada&password=${'x'.repeat(17_000)}`, form)).status).toBe(413);
    expect((await post('username=ada&username=eve&password=x', form)).status).toBe(400);
    expect((await post('username=%', form)).status).toBe(400);
    expect((await post('{"username":"ada"}', 'application/json')).status).toBe(415);
    expect((await post('username=ada', 'text/plain')).status).toBe(415);
    expect((await post('', form)).status).toBe(401);
  });

  it('show everybody the endpoints that their roles reach, and no others', async () => {
    const dora = await makePerson(promgate, 'dora');
    const cookie = await signIn(base, 'dora');
    expect((await home(cookie)).body).toContain('no role on any group or project');
    const database = await openDatabase(promgate.settings);
    const grant = async (kind: 'group_id' | 'project_id', path: string, role: 'guest' | 'reporter' | 'owner') => {
      const { id } = await database.db
        .selectFrom(kind === 'group_id' ? 'groups' : 'projects')
        .select('id')
        .where('path', '=', path)
        .executeTakeFirstOrThrow();
      const nowhere = { group_id: null, project_id: null };
      const row = { user_id: dora.id, ...nowhere, [kind]: id, role, source: 'manual', created_at: 0 };
      await database.db.insertInto('memberships').values(row).execute();
    };
    const rows = async () =>
      [
        ...(await home(cookie)).body.matchAll(
          /<tr><td>(.*?)<\/td><td class="quiet">(.*?)<\/td><td class="quiet">(.*?)<\/td><td>(?:<code class="url">(.*?)<\/code>)?<\/td>/g,
        ),
      ].map(([, ...cells]) => cells);
    await grant('project_id', 'acme/shop', 'guest');
    expect(await rows()).toEqual([
      ['acme/shop', 'project', 'guest', undefined],
      ['acme/shop:production', 'environment', 'guest', undefined],
    ]);
    await grant('group_id', 'acme', 'reporter');
    expect(await rows()).toEqual([
      ['acme', 'group', 'reporter', 'http://127.0.0.1/<wbr>groups/<wbr>acme/<wbr>-/<wbr>prometheus'],
      ['acme/shop', 'project', 'reporter', 'http://127.0.0.1/<wbr>acme/<wbr>shop/<wbr>-/<wbr>prometheus'],
      [
        'acme/shop:production',
        'environment',
        'reporter',
        'http://127.0.0.1/<wbr>acme/<wbr>shop/<wbr>-/<wbr>environments/<wbr>production/<wbr>prometheus',
      ],
    ]);
    await database.db.updateTable('users').set({ admin: 1 }).where('id', '=', dora.id).execute();
    await database.close();
    await eventually(async () => ({ ...(await home(cookie)), status: (await rows()).length }), 6);
    expect((await rows()).every(([, , role]) => role === 'administrator')).toBe(true);
  });

  it('end at once for everybody who is blocked or signed out everywhere', async () => {
    const frank = await makePerson(promgate, 'frank');
    const cookies = [await signIn(base, 'frank'), await signIn(base, 'frank')];
    const database = await openDatabase(promgate.settings);
    await database.db.deleteFrom('sessions').where('user_id', '=', frank.id).execute();
    for (const cookie of cookies) await eventually(() => home(cookie), 303);
    const cookie = await signIn(base, 'frank');
    await database.db.updateTable('users').set({ state: 'blocked' }).where('id', '=', frank.id).execute();
    await database.close();
    await eventually(() => home(cookie), 303);
  });
});

describe('below a path, with TLS in front', () => {
  let promgate: TestPromgate;
  let base: string;
  beforeAll(async () => {
    promgate = await startTestPromgate({
      resources,
      settings: {
        externalUrl: 'https://ops.example/promgate',
        oidc: {
          providers: [
            {
              name: 'gitlab',
              label: 'GitLab <Ops>',
              issuer: 'https://gitlab.example',
              clientId: 'x',
              clientSecret: null,
              scopes: [],
              ca: null,
              usernameClaim: 'nickname',
              signUp: false,
              linkByEmail: false,
              rules: [],
            },
          ],
        },
      },
    });
    base = `${promgate.url}/promgate`;
    await makePerson(promgate, 'ada');
  });
  afterAll(() => promgate.close());

  it('all links and the cookie stay there', async () => {
    for (const path of ['', '/', '?x']) {
      expect((await askPage(`${base}${path}`)).headers.get('location')).toBe('/promgate/login');
    }
    const form = await askPage(`${base}/login`);
    expect(form.body).toContain('action="/promgate/login"');
    expect(form.body).toContain('<a class="button" href="/promgate/login/oidc/gitlab">Sign in with GitLab &lt;Ops&gt;</a>');
    const deep = await askPage(`${base}/login?return_to=${encodeURIComponent('/promgate/a?b=c&d')}`);
    expect(deep.body).toContain('href="/promgate/login/oidc/gitlab?return_to=%2Fpromgate%2Fa%3Fb%3Dc%26d"');
    const answer = await askPage(`${base}/login`, {
      form: { username: 'ada', password, return_to: '/elsewhere' },
      headers: { origin: 'https://ops.example' },
    });
    expect(answer.headers.get('location')).toBe('/promgate/');
    expect(answer.headers.get('set-cookie')).toMatch(
      /^__Secure-promgate_session=[\w-]{43}; Path=\/promgate; Secure; HttpOnly; SameSite=Lax; Max-Age=604800$/,
    );
    expect((await askPage(`${base}/`, { cookie: answer.cookie })).status).toBe(200);
    // A cookie of the name for plain HTTP is another one.
    expect((await askPage(`${base}/`, { cookie: answer.cookie.replace('__Secure-', '') })).status).toBe(303);
  });

  it.each<[string, Record<string, string>]>([
    ['at another host', { host: '192.0.2.7:9490' }],
    [
      'at the usual host without TLS, when the form comes back',
      { host: 'ops.example', referer: 'http://ops.example/promgate/login' },
    ],
    ['on this machine, when the form comes back', { host: 'localhost:9490', referer: 'http://localhost:9490/promgate/login' }],
    ['at a port of its own', { host: 'ops.example:9490' }],
  ])('where the browser keeps no session, the form says where it would: %s', async (_, headers) => {
    const { body } = await rawPage(`${base}/login?return_to=%2Fpromgate%2Fa`, headers);
    expect(body).toContain(
      '<a href="https://ops.example/promgate/login?return_to=%2Fpromgate%2Fa">https://ops.example/promgate</a>: your browser will not keep the session',
    );
  });

  it.each<[string, Record<string, string>]>([
    ['at the usual address', { host: 'ops.example' }],
    ['with the port spelled out', { host: 'OPS.example:443' }],
    ['behind a proxy that passes on its own name for us', { host: '127.0.0.1:9490', 'sec-fetch-site': 'none' }],
    ['with TLS under another name', { host: 'other.example', referer: 'https://other.example/promgate/' }],
    ['after a link of a page without TLS', { host: 'ops.example', referer: 'http://wiki.example/' }],
  ])('where it keeps it, the form says nothing: %s', async (_, headers) => {
    const { body } = await rawPage(`${base}/login`, headers);
    expect(body).toContain('<h1>Sign in</h1>');
    expect(body).not.toContain('will not keep');
  });

  it('the page of a one-time link says it too, and leads to itself', async () => {
    const token = promgate.setupUrl?.split('?token=')[1] ?? '';
    const url = `${base}/-/setup?token=${token}`;
    expect((await rawPage(url, { host: '192.0.2.7' })).body).toContain(
      `<a href="https://ops.example/promgate/-/setup?token=${token}">https://ops.example/promgate</a>: your browser will not keep`,
    );
    expect((await rawPage(url, { host: 'ops.example' })).body).not.toContain('will not keep');
  });

  it('what is beside the path is nothing', async () => {
    for (const path of ['/', '/login', '/promgatex', '/promgatex/', '/promgate-/login']) {
      expect((await askPage(`${promgate.url}${path}`)).status).toBe(404);
    }
  });
});

it('without TLS in external_url the session is kept at any address, and the form says nothing', async () => {
  const promgate = await startTestPromgate({ resources });
  try {
    const { body } = await rawPage(`${promgate.url}/login`, { host: '192.0.2.7:9490', referer: 'http://192.0.2.7:9490/' });
    expect(body).toContain('<h1>Sign in</h1>');
    expect(body).not.toContain('will not keep');
  } finally {
    await promgate.close();
  }
});

describe('the first administrator', () => {
  it('makes the account with the link of the start, is signed in by it, and the link is worth nothing from then on', async () => {
    const promgate = await startTestPromgate({ resources });
    try {
      const link = promgate.setupUrl?.replace('http://127.0.0.1', promgate.url) ?? '';
      const [url, token = ''] = link.split('?token=');
      const page = await askPage(link);
      expect(page.status).toBe(200);
      expect(page.body).toMatch(/autocomplete="new-password"/);
      expect(hiddenField(page, 'token')).toBe(token);
      const form = { token, username: 'ada', name: 'Ada Lovelace', password, password_again: password };
      const wrong = await askPage(url ?? '', { form: { ...form, password_again: 'something else' } });
      expect([wrong.status, wrong.cookie]).toEqual([400, '']);
      expect(wrong.body).toContain('role="alert">The two passwords differ.');
      expect(hiddenField(wrong, 'username')).toBe('ada');
      const short = await askPage(url ?? '', { form: { ...form, password: 'short', password_again: 'short' } });
      expect(short.body).toContain('at least 12 characters');
      const foreign = await askPage(url ?? '', { form, headers: { origin: 'https://evil.example' } });
      expect(foreign.status).toBe(403);
      const done = await askPage(url ?? '', { form });
      expect([done.status, done.headers.get('location')]).toEqual([303, '/']);
      expect((await askPage(`${promgate.url}/`, { cookie: done.cookie })).body).toContain(
        '<b>Ada Lovelace</b> (ada), an administrator',
      );
      for (const again of [await askPage(link), await askPage(url ?? '', { form: { ...form, username: 'eve' } })]) {
        expect(again.status).toBe(404);
        expect(again.body).toContain('not good any more');
        expect(again.cookie).toBe('');
      }
    } finally {
      await promgate.close();
    }
  });
});
