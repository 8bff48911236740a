import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLog, type Log } from '../src/ops/log.ts';
import { ask } from './support/ask.ts';
import { settled } from './support/crowd.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';
import { connectRaw } from './support/raw.ts';
import { answers, type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';
import { startTokenIssuer, type TokenIssuer } from './support/token-issuer.ts';

let upstream: StrictUpstream;
let issuer: TokenIssuer;
let promgate: TestPromgate;
const logged: string[] = [];
const log: Log = createLog('debug', (line) => logged.push(line));

const paths = ['acme/shop', 'acme/other'];
const targets = [...paths, ...paths.flatMap((path) => [`${path}:production`, `${path}:review/login`])];

beforeAll(async () => {
  upstream = await startStrictUpstream(answers());
  issuer = await startTokenIssuer();
  promgate = await startTestPromgate({
    resources: JSON.stringify({
      projects: paths.map((path) => ({
        path,
        environments: [{ name: 'production' }, { name: 'review/login' }],
        servers: [{ name: 'main', url: upstream.url }],
      })),
    }),
    settings: { workloadIdentity: { issuers: [issuer.trusted()] } },
    log,
  });
});

afterAll(async () => {
  await promgate?.close();
  await issuer?.stop();
  await upstream?.stop();
});

function query(target: string, authorization: string) {
  return ask(`${promgate.endpoint(target)}/api/v1/query?query=up`, { headers: { authorization } });
}

async function statuses(jwt: string): Promise<Record<string, number>> {
  const all: Record<string, number> = {};
  for (const target of targets) all[target] = (await query(target, `Bearer ${jwt}`)).status;
  return all;
}

const closed = Object.fromEntries(targets.map((target) => [target, 404]));
const unknown = Object.fromEntries(targets.map((target) => [target, 401]));

it('a job is answered at the endpoint that a rule opens to it, and finds no other', async () => {
  expect(await statuses(await issuer.sign())).toEqual({ ...closed, 'acme/shop:production': 200 });
  const review = await issuer.sign({ project_path: 'acme/other', environment: 'review/login' });
  expect(await statuses(review)).toEqual({ ...closed, 'acme/other:review/login': 200 });
  expect(await statuses(await issuer.sign({ ref_protected: 'false' }))).toEqual(closed);
});

it('what is not opened looks like what does not exist', async () => {
  const authorization = `Bearer ${await issuer.sign()}`;
  const [foreign, missing] = [await query('acme/other:production', authorization), await query('acme/none:x', authorization)];
  expect(foreign.status).toBe(404);
  expect(foreign).toEqual(missing);
});

it('a bad JWT gets the answer of a bad token', async () => {
  const bad = await query('acme/shop:production', `Bearer promgate_${'a'.repeat(38)}`);
  expect(bad.status).toBe(401);
  const now = Math.floor(Date.now() / 1000);
  const [header = '', payload = ''] = (await issuer.sign()).split('.');
  const jwts = [
    await issuer.sign({ exp: now - 60 }),
    await issuer.sign({ nbf: now + 60 }),
    await issuer.sign({ iss: 'https://elsewhere.example' }),
    await issuer.sign({ aud: 'other' }),
    await issuer.sign({}, { kid: 'unknown' }),
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`,
    `${header}.${payload}.AAAA`,
    'eyJ.x',
  ];
  for (const jwt of jwts) expect(await query('acme/shop:production', `Bearer ${jwt}`)).toEqual(bad);
  expect(await query('acme/shop:production', `JWT ${await issuer.sign()}`)).toEqual(bad);
});

it('a JWT is sent to no server and logged nowhere', async () => {
  const jwt = await issuer.sign({ n: 1 });
  const before = upstream.requests.length;
  expect((await query('acme/shop:production', `Bearer ${jwt}`)).status).toBe(200);
  const [, payload = '', signature = ''] = jwt.split('.');
  for (const part of [payload, signature]) {
    expect(JSON.stringify(upstream.requests.slice(before))).not.toContain(part);
    expect(logged.join()).not.toContain(part);
  }
});

it('an issuer that the configuration no longer has is refused at once after a reload, and so are tokens it gave before', async () => {
  const jwt = await issuer.sign();
  expect((await query('acme/shop:production', `Bearer ${jwt}`)).status).toBe(200);
  promgate.reload({ ...promgate.settings, workloadIdentity: { issuers: [] } });
  expect(await statuses(jwt)).toEqual(unknown);
  promgate.reload(promgate.settings);
  expect((await query('acme/shop:production', `Bearer ${jwt}`)).status).toBe(200);
});

it('a client that leaves while its JWT is verified is counted as one that left, and nothing is asked for it', async () => {
  const asked = upstream.requests.length;
  const multipart = 'multipart/form-data; boundary=x';
  for (const [index, type] of ['application/x-www-form-urlencoded', multipart].entries()) {
    // As another issuer, whose keys are not known yet.
    const jwksUrl = `${issuer.url}/keys?${index}`;
    const keys = Promise.withResolvers<() => void>();
    issuer.answer((_request, response) => keys.resolve(() => response.end(JSON.stringify(issuer.jwks))));
    const settings = {
      ...promgate.settings,
      logLevel: 'debug',
      workloadIdentity: { issuers: [issuer.trusted({ jwksUrl })] },
    } as const;
    promgate.reload(settings);
    const connection = await connectRaw(promgate.url);
    const path = new URL(`${promgate.endpoint('acme/shop:production')}/api/v1/query`).pathname;
    connection.send(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: left-${index}\r\nAuthorization: Bearer ${await issuer.sign()}\r\n` +
        `Content-Type: ${type}\r\nContent-Length: 8\r\n\r\nquery`,
    );
    const answer = await keys.promise;
    connection.reset();
    await connection.ended;
    // The gateway learns of it a moment after us.
    await settled(promgate.url);
    answer();
    await expect.poll(() => logged.find((line) => line.includes(`left-${index}`))).toContain('"status":499');
  }
  issuer.answer(null);
  promgate.reload(promgate.settings);
  expect(upstream.requests).toHaveLength(asked);
});
