import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { revokeToken } from '../src/access/tokens.ts';
import type { Settings } from '../src/config/settings.ts';
import { tester } from './support/actor.ts';
import { type ApiRig, apiOf } from './support/api.ts';
import { ask } from './support/ask.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';
import { connectRaw } from './support/raw.ts';
import { answers, type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';
import { startTokenIssuer, type TokenIssuer } from './support/token-issuer.ts';

let one: StrictUpstream;
let two: StrictUpstream;
let issuer: TokenIssuer;
let promgate: TestPromgate;
let api: ApiRig;

const resources = ({ url }: StrictUpstream) =>
  JSON.stringify({ projects: [{ path: 'acme/shop', environments: [{ name: 'production' }], servers: [{ name: 'main', url }] }] });

beforeAll(async () => {
  const body = (name: string) => `{"status":"success","data":"${name}"}`;
  [one, two] = await Promise.all([startStrictUpstream(answers(body('one'))), startStrictUpstream(answers(body('two')))]);
  issuer = await startTokenIssuer();
  const settings: Partial<Settings> = { workloadIdentity: { issuers: [issuer.trusted()] } };
  promgate = await startTestPromgate({ resources: resources(one), settings });
  api = await apiOf(promgate);
});

afterAll(async () => {
  await api?.close();
  await promgate?.close();
  await issuer?.stop();
  await Promise.all([one?.stop(), two?.stop()]);
});

type Credentials = Readonly<Record<string, string>>;

const url = () => `${promgate.endpoint('acme/shop:production')}/api/v1/query`;
const look = (headers: Credentials) => ask(`${url()}?query=up`, { headers });

const question = { path: () => new URL(url()).pathname, type: 'application/x-www-form-urlencoded', body: 'query=up' };
const check = { path: () => '/-/api/v1/promql/check', type: 'application/json', body: '{"query":"up"}' };

/** A question whose body stops in the middle; the function sends the rest, and gives the whole answer. */
async function begin(credentials: Credentials, { path, type, body } = question): Promise<() => Promise<string>> {
  await expect.poll(async () => (await look(credentials)).status).toBe(200);
  const connection = await connectRaw(promgate.url);
  const lines = Object.entries({
    ...credentials,
    host: 'promgate',
    connection: 'close',
    'content-type': type,
    'content-length': String(body.length),
    // The server says so once it has let the request in.
    expect: '100-continue',
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.send(`POST ${path()} HTTP/1.1\r\n${lines.join('')}\r\n${body.slice(0, 5)}`);
  await expect.poll(() => connection.received().toString()).toMatch(/^HTTP\/1.1 100 /);
  return async () => {
    connection.send(body.slice(5));
    await connection.ended;
    return connection
      .received()
      .toString()
      .replace(/^HTTP\/1.1 100 Continue\r\n\r\n/, '');
  };
}

describe('while the body of a question is on its way', () => {
  it('nothing happens: it is answered', async () => {
    const { basic: authorization } = await promgate.token('acme/shop:production');
    const end = await begin({ authorization });
    expect(await end()).toMatch(/^HTTP\/1.1 200 /);
  });

  it('its token is revoked: it is refused', async () => {
    const { id, basic: authorization } = await promgate.token('acme/shop:production');
    const end = await begin({ authorization });
    await revokeToken(api.database, id, tester);
    await expect.poll(async () => (await look({ authorization })).status).toBe(401);
    const asked = one.requests.length;
    expect(await end()).toMatch(/^HTTP\/1.1 401 /);
    expect(one.requests).toHaveLength(asked);
  });

  it('its token is revoked: the query is not checked either', async () => {
    const { id, basic: authorization } = await promgate.token('acme/shop:production');
    const end = await begin({ authorization }, check);
    await revokeToken(api.database, id, tester);
    await expect.poll(async () => (await look({ authorization })).status).toBe(401);
    expect(await end()).toMatch(/^HTTP\/1.1 401 /);
  });

  it('the session ends: it is refused', async () => {
    const user = await api.user({ admin: true });
    const end = await begin({ cookie: user.cookie });
    expect((await user.delete('/session')).status).toBe(204);
    expect(await end()).toMatch(/^HTTP\/1.1 401 /);
  });

  it('the role is taken away: there is no such endpoint', async () => {
    const user = await api.user();
    const membership = await user.join('acme/shop', 'reporter');
    const end = await begin({ cookie: user.cookie });
    await api.database.write((trx) => trx.deleteFrom('memberships').where('id', '=', membership).execute());
    await expect.poll(async () => (await look({ cookie: user.cookie })).status).toBe(404);
    expect(await end()).toMatch(/^HTTP\/1.1 404 /);
  });

  it('the issuer of its JWT is taken out of the configuration: it is refused', async () => {
    const end = await begin({ authorization: `Bearer ${await issuer.sign()}` });
    promgate.reload({ ...promgate.settings, workloadIdentity: { issuers: [] } });
    expect(await end()).toMatch(/^HTTP\/1.1 401 /);
    promgate.reload(promgate.settings);
  });

  it('the project gets another server: that one is asked', async () => {
    const { basic: authorization } = await promgate.token('acme/shop:production');
    const end = await begin({ authorization });
    await promgate.apply(resources(two));
    await expect.poll(async () => (await look({ authorization })).body).toContain('two');
    expect(await end()).toContain('"two"');
  });
});
