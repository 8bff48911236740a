/** Endpoints as signed-in people have them: with the session's cookie, by their roles, and without it not at all. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { roles } from '../src/access/roles.ts';
import { hashSessionCookie } from '../src/access/session-cookie.ts';
import { type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { honest } from './support/made-up.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';
import { type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';
import { startTokenIssuer, type TokenIssuer } from './support/token-issuer.ts';

const QUERY = '/api/v1/query?query=up';

let upstream: StrictUpstream;
let issuer: TokenIssuer;
let promgate: TestPromgate;
let api: ApiRig;

function resources(): string {
  const servers = [{ name: 'main', url: upstream.url }];
  const environments = [{ name: 'production' }];
  return JSON.stringify({
    groups: ['acme', 'acme/platform', 'other'].map((path) => ({ path, servers })),
    projects: ['acme/platform/shop', 'acme/site', 'other/secret'].map((path) => ({ path, environments, servers })),
  });
}

const targets = [
  'groups/acme',
  'groups/acme/platform',
  'groups/other',
  ...['acme/platform/shop', 'acme/site', 'other/secret'].flatMap((path) => [path, `${path}:production`]),
];
const shop = 'acme/platform/shop:production';

beforeAll(async () => {
  upstream = await startStrictUpstream(honest());
  issuer = await startTokenIssuer();
  promgate = await startTestPromgate({
    resources: resources(),
    settings: { workloadIdentity: { issuers: [issuer.trusted()] } },
  });
  api = await apiOf(promgate);
});

afterAll(async () => {
  await api?.close();
  await promgate?.close();
  await issuer?.stop();
  await upstream?.stop();
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

async function get(url: string, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(url, { headers, redirect: 'manual' });
  return { status: response.status, headers: response.headers, body: await response.text() };
}

function query(target: string, headers: Record<string, string>): Promise<Answer> {
  return get(promgate.endpoint(target) + QUERY, headers);
}

/** What of the targets the user's cookie opens. All else has to look as what does not exist. */
async function opened({ cookie }: Pick<ApiUser, 'cookie'>): Promise<string[]> {
  const missing = await get(`${promgate.url}/acme/none/-/environments/none/prometheus${QUERY}`, { cookie });
  expect(missing.status).toBe(404);
  const open: string[] = [];
  for (const target of targets) {
    const answer = await query(target, { cookie });
    if (answer.status === 200) open.push(target);
    else expect([target, answer.status, answer.body]).toEqual([target, 404, missing.body]);
  }
  return open;
}

/** The gateway knows what was written to the database within a second; a busy machine gets more. */
function within(ask: () => Promise<unknown>) {
  return expect.poll(ask, { timeout: 20_000, interval: 20 });
}

describe('a session’s cookie opens', () => {
  it.each(roles)('what lies where its user is a %s, if that reads metrics', async (role) => {
    const user = await api.user();
    await user.join('acme/platform/shop', role);
    const reads = role !== 'guest';
    await within(() => opened(user)).toEqual(reads ? ['acme/platform/shop', shop] : []);
  });

  it('with a role on a group all below it, and nothing above or beside it', async () => {
    const user = await api.user();
    await user.join('acme/platform', 'reporter');
    await within(() => opened(user)).toEqual(['groups/acme/platform', 'acme/platform/shop', shop]);
  });

  it('what the highest of several roles opens', async () => {
    const user = await api.user();
    await user.join('acme', 'guest');
    await user.join('acme/site', 'reporter');
    await user.join('other', 'guest');
    await within(() => opened(user)).toEqual(['acme/site', 'acme/site:production']);
  });

  it('everything to an administrator, and nothing to somebody without any role', async () => {
    const [admin, nobody] = [await api.user({ admin: true }), await api.user()];
    await within(() => opened(admin)).toEqual(targets);
    await within(() => opened(nobody)).toEqual([]);
  });

  it('the answer that the endpoint’s token gets', async () => {
    const { cookie } = await reporter();
    const token = await promgate.token(shop);
    const [mine, its] = [await query(shop, { cookie }), await query(shop, { authorization: token.basic })];
    expect([mine.status, mine.body]).toEqual([200, its.body]);
  });
});

/** Somebody signed in who may read the environment, known to the gateway. */
async function reporter(): Promise<ApiUser> {
  const user = await api.user();
  await user.join('acme/platform/shop', 'reporter');
  await within(async () => (await query(shop, { cookie: user.cookie })).status).toBe(200);
  return user;
}

describe('a cookie opens nothing', () => {
  /** Of a request without any credentials. */
  let refusal: Answer;
  beforeAll(async () => {
    refusal = await query(shop, {});
    expect(refusal.status).toBe(401);
  });

  async function expectRefused(headers: Record<string, string>): Promise<void> {
    const answer = await query(shop, headers);
    expect([answer.status, answer.body]).toEqual([401, refusal.body]);
    expect(answer.headers.get('www-authenticate')).toBe('Basic realm="promgate"');
  }

  it.each([
    ['that nobody has', () => `promgate_session=${randomBytes(32).toString('base64url')}`],
    ['that is empty', () => 'promgate_session='],
    ['that is too long', ({ cookie }: ApiUser) => `${cookie}x`],
    ['under another name', ({ cookie }: ApiUser) => cookie.replace('promgate_session', 'session')],
    ['under the name that it has with TLS', ({ cookie }: ApiUser) => `__Host-${cookie}`],
    ['with its hash instead of its value', ({ cookie }: ApiUser) => `promgate_session=${hashSessionCookie(cookie.slice(17))}`],
    ['beside another one of its name', ({ cookie }: ApiUser) => `${cookie}; promgate_session=${'a'.repeat(43)}`],
    ['after another one of its name', ({ cookie }: ApiUser) => `promgate_session=${'a'.repeat(43)}; ${cookie}`],
  ])('%s', async (_what, cookieOf) => {
    await expectRefused({ cookie: cookieOf(await reporter()) });
  });

  it('that another site made the browser send, and does in all other cases', async () => {
    const { cookie } = await reporter();
    await expectRefused({ cookie, 'sec-fetch-site': 'cross-site' });
    for (const site of ['same-origin', 'same-site', 'none'])
      expect((await query(shop, { cookie, 'sec-fetch-site': site })).status).toBe(200);
  });

  it.each(['Bearer x', 'Basic eDp5', 'Negotiate x', `Bearer promgate_${'a'.repeat(38)}`])(
    'where an Authorization header speaks that opens nothing (%s)',
    async (authorization) => {
      const { cookie } = await reporter();
      await expectRefused({ cookie, authorization });
    },
  );

  it('that a token beside it does not open', async () => {
    const { cookie } = await reporter();
    const { basic } = await promgate.token('other/secret');
    expect((await query(shop, { cookie, authorization: basic })).status).toBe(404);
    expect((await query('other/secret', { cookie, authorization: basic })).status).toBe(200);
  });

  it('once the session is over', async () => {
    const user = await reporter();
    await api.database.write((trx) =>
      trx
        .updateTable('sessions')
        .set({ expires_at: Date.now() - 1 })
        .where('user_id', '=', user.id)
        .execute(),
    );
    await within(async () => (await query(shop, { cookie: user.cookie })).status).toBe(401);
    await expectRefused({ cookie: user.cookie });
  });

  it('once the session was ended, or its user blocked', async () => {
    const [one, two] = [await reporter(), await reporter()];
    await api.database.write((trx) => trx.deleteFrom('sessions').where('user_id', '=', one.id).execute());
    await api.database.write((trx) => trx.updateTable('users').set({ state: 'blocked' }).where('id', '=', two.id).execute());
    for (const user of [one, two]) {
      await within(async () => (await query(shop, { cookie: user.cookie })).status).toBe(401);
      await expectRefused({ cookie: user.cookie });
    }
  });

  it('once the session was not used for as long as is set, which each use puts off', async () => {
    const used = await reporter();
    const [unused, other] = [await used.again(), await used.again()];
    const hour = 3_600_000;
    const began = { created_at: Date.now() - hour };
    await api.database.write((trx) => trx.updateTable('sessions').set(began).where('user_id', '=', used.id).execute());
    // Changes arrive in order: what was written before is known, too.
    await reporter();
    expect((await query(shop, { cookie: other.cookie })).status).toBe(200);
    const { settings } = promgate;
    promgate.reload({ ...settings, sessions: { ...settings.sessions, idle: hour / 2 } });
    try {
      await expectRefused({ cookie: unused.cookie });
      for (const { cookie } of [used, other]) expect((await query(shop, { cookie })).status).toBe(200);
    } finally {
      promgate.reload(settings);
    }
  });
});

describe('a personal token opens no endpoint', () => {
  it('neither alone nor beside its user’s cookie', async () => {
    const user = await reporter();
    const { text } = await user.personalToken('metrics:read');
    for (const authorization of [`Bearer ${text}`, `Basic ${btoa(`${user.username}:${text}`)}`]) {
      expect((await query(shop, { authorization })).status).toBe(401);
      expect((await query(shop, { authorization, cookie: user.cookie })).status).toBe(401);
    }
  });
});

describe('what opens endpoints opens none of the control API', () => {
  it('not a JWT of a trusted issuer', async () => {
    const text = await issuer.sign();
    const answer = await get(`${promgate.url}/-/api/v1/groups`, { authorization: `Bearer ${text}` });
    expect(answer.status).toBe(401);
    expect(answer.body).not.toContain(text);
  });
});

describe('somebody signed out', () => {
  const browser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

  it('is sent to sign in where a browser asks for a page, and back to the very same question after that', async () => {
    const url = `${promgate.endpoint(shop)}/api/v1/query?query=sum(up)%20%3E%200&time=1`;
    const answer = await get(url, browser);
    expect([answer.status, answer.body, answer.headers.get('cache-control')]).toEqual([303, '', 'no-store']);
    const location = new URL(answer.headers.get('location') ?? '', promgate.url);
    expect(location.pathname).toBe('/login');
    expect([...location.searchParams.keys()]).toEqual(['return_to']);
    expect(promgate.url + location.searchParams.get('return_to')).toBe(url);
  });

  it('is sent there from endpoints that do not exist, too', async () => {
    expect((await get(`${promgate.url}/acme/none/-/prometheus${QUERY}`, browser)).status).toBe(303);
  });

  it.each([
    ['a program', {}],
    ['Grafana', { accept: 'application/json, text/plain, */*' }],
    ['a browser with a bad token', { ...browser, authorization: 'Bearer x' }],
  ])('is told 401 with WWW-Authenticate where it is %s', async (_who, headers) => {
    const answer = await query(shop, headers);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe('Basic realm="promgate"');
    expect(JSON.parse(answer.body)).toMatchObject({ status: 'error', errorType: 'unauthorized' });
  });

  it('is told 401 for a POST, from a browser too: there is nothing to come back to', async () => {
    const answer = await fetch(promgate.endpoint(shop) + QUERY, { method: 'POST', headers: browser, redirect: 'manual' });
    expect(answer.status).toBe(401);
    await answer.arrayBuffer();
  });
});

describe('under an external_url with a path of its own and TLS', () => {
  let below: TestPromgate;
  let belowApi: ApiRig;
  beforeAll(async () => {
    below = await startTestPromgate({ resources: resources(), settings: { externalUrl: 'https://ops.example/promgate' } });
    belowApi = await apiOf(below);
  });
  afterAll(async () => {
    await belowApi?.close();
    await below?.close();
  });

  it('the cookie has another name and opens the endpoints below the path', async () => {
    const user = await belowApi.user();
    await user.join('acme', 'reporter');
    expect(user.cookie).toMatch(/^__Secure-promgate_session=/);
    const status = async (cookie: string) => (await get(below.endpoint(shop) + QUERY, { cookie })).status;
    await within(() => status(user.cookie)).toBe(200);
    expect(await status(user.cookie.replace('__Secure-', ''))).toBe(401);
  });

  it('a browser is sent to the sign-in page below the path', async () => {
    const url = below.endpoint(shop) + QUERY;
    const answer = await get(url, { accept: 'text/html' });
    const back = encodeURIComponent(new URL(url).pathname + new URL(url).search);
    expect(answer.headers.get('location')).toBe(`/promgate/login?return_to=${back}`);
  });
});
