import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestToken } from './support/promgate.ts';
import { requestText, sendRaw } from './support/raw.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';

/** Paths that some program on the way would read as another one; the token opens `staging` alone. */
let rig: StrictRig;
let token: TestToken;

beforeAll(async () => {
  rig = await startStrictRig({
    settings: { externalUrl: 'https://ops.example/base' },
    environments: [{ name: 'production' }, { name: 'staging' }],
  });
  token = await rig.promgate.token('acme/shop:staging');
});

afterAll(() => rig?.close());

const send = (target: string, method = 'GET') =>
  sendRaw(rig.promgate.url, requestText(rig.promgate.url, target, { method, headers: [`Authorization: ${token.basic}`] }));

const own = '/base/acme/shop/-/environments/staging/prometheus';
const foreign = '/base/acme/shop/-/environments/production/prometheus';

it('the plain path is served', async () => {
  const asked = await rig.reaching(() => send(`${own}/api/v1/query?query=up`));
  expect(asked.path).toBe('/api/v1/query');
});

describe('an odd path is 404, and the server is asked nothing', () => {
  const api = `${own}/api/v1`;
  it.each([
    // Out of what is open, into the server's other paths.
    `${api}/../v1/query`,
    `${api}/query/../status/config`,
    `${api}/label/../status/config`,
    `${api}/label/../../admin/values`,
    `${api}/label/%2e%2e/values`,
    `${api}/label/%2E%2E%2Fstatus%2Fconfig/values`,
    `${api}/label/..%2f..%2fstatus%2fconfig%3f/values`,
    `${api}/label/..%5c..%5cadmin/values`,
    `${api}/label/%252e%252e%252fadmin/values`,
    `${api}/label/a%00/values`,
    `${api}/label/a%0d%0aX-A:%20b/values`,
    `${api}/label/a%23/values`,
    `${api}/label/a%3fmatch[]=x/values`,
    `${api}/label/a;b/values`,
    `${api}/label/a%3bb/values`,
    `${api}/label/%ff/values`,
    `${api}/label/%zz/values`,
    `${api}/label/a/b/values`,
    `${api}/label/values`,
    `${api}/label//values`,
    `${api}/query;/../admin`,
    `${api}/query;jsessionid=1`,
    `${api}/query%3fquery=up`,
    `${api}/query%23`,
    `${api}/query%2f..%2fadmin`,
    `${api}/query%00`,
    `${api}/query%0a`,
    `${api}/query.json`,
    `${api}/Query`,
    `${api.replace('api/v1', 'API/v1')}/query`,
    `${api.replace('/v1', '/V1')}/query`,
    `${api.replace('/v1', '/%76%31')}/query`,
    `${own}%2fapi%2fv1%2fquery`,
    `${own}\\api\\v1\\query`,
    `${own}/./api/v1/query`,
    `${own}x/api/v1/query`,
    // Into the other environment.
    `${own}/../../production/prometheus/api/v1/query`,
    `${own}/%2e%2e/%2e%2e/production/prometheus/api/v1/query`,
    `${own}/..%2f..%2fproduction%2fprometheus/api/v1/query`,
    `${own};${foreign}/api/v1/query`,
    `${foreign}/../../staging/prometheus/api/v1/query`,
    `${foreign}/api/v1/query`,
    '/base/acme/shop/-/environments/staging/../production/prometheus/api/v1/query',
    '/base/acme/shop/-/environments/prod%75ction/prometheus/api/v1/query',
    '/base/acme/shop/-/environments/Staging/prometheus/api/v1/query',
    '/base/acme/shop/-/environments/stag%69ng/prometheus/api/v1/query',
    '/base/acme/shop/-/environments/0/prometheus/api/v1/query',
    '/base/acme/shop/-/environments/02/prometheus/api/v1/query',
    '/base/acme/shop/-/environments/2e0/prometheus/api/v1/query',
    '/base/acme/shop/-/environments/+2/prometheus/api/v1/query',
    '/base/acme/shop/-/environments/__proto__/prometheus/api/v1/query',
    '/base/acme/shop/-/environments//prometheus/api/v1/query',
    '/base/acme/%2e%2e/shop/-/environments/staging/prometheus/api/v1/query',
    '/base/acme%2fshop/-/environments/staging/prometheus/api/v1/query',
    '/base/ACME/shop/-/environments/staging/prometheus/api/v1/query',
    '/base/acme/shop/-/prometheus/api/v1/query',
    '/base/acme/shop/-/-/environments/staging/prometheus/api/v1/query',
    '/base/x/-/environments/staging/prometheus/../../../../acme/shop/-/environments/staging/prometheus/api/v1/query',
    '/base/groups/acme/shop/-/environments/staging/prometheus/api/v1/query',
    '/base/constructor/-/prometheus/api/v1/query',
    // Past the path of external_url.
    '/acme/shop/-/environments/staging/prometheus/api/v1/query',
    '/basement/acme/shop/-/environments/staging/prometheus/api/v1/query',
    '/base/base/acme/shop/-/environments/staging/prometheus/api/v1/query',
    '/x/..//base/acme/shop/-/environments/staging/prometheus/api/v1/query',
  ])('%s', async (path) => {
    const before = rig.upstream.requests.length;
    for (const target of [path, `${path}?query=up&match[]=up`]) {
      for (const method of ['GET', 'POST']) {
        const answer = await send(target, method);
        expect(answer.status).toBe(404);
        expect(JSON.parse(answer.body.toString())).toMatchObject({ status: 'error', errorType: 'not_found' });
      }
    }
    expect(rig.upstream.requests.length).toBe(before);
  });
});

describe('what clients that build URLs carelessly send is understood, without a redirect', () => {
  it.each([
    ['//api/v1/query/?query=up', '/api/v1/query'],
    ['/api/v1//query?query=up', '/api/v1/query'],
    ['/api/v1/query?query=up#fragment', '/api/v1/query'],
    ['/api/v1/label/U__caf_e9_/values?limit=5', '/api/v1/label/U__caf_e9_/values'],
    ['/api/v1/label/%6aob/values?limit=5', '/api/v1/label/job/values'],
    ['/api/v1/label/a%20b%22/values?limit=5', '/api/v1/label/a%20b%22/values'],
    ['/api/v1/label/caf%C3%A9/values?limit=5', '/api/v1/label/caf%C3%A9/values'],
  ])('%s asks %s', async (path, expected) => {
    const asked = await rig.reaching(() => send(own + path));
    expect(asked.path).toBe(expected);
  });
  it('the whole URL as a target', async () => {
    const asked = await rig.reaching(() => send(`http://ops.example${own}/api/v1/query?query=up`));
    expect(asked.path).toBe('/api/v1/query');
  });
  it('the number of the environment in place of its name', async () => {
    const id = /environments\/(\d+)\//;
    expect(own).not.toMatch(id);
    const asked = await rig.reaching(() => send(`${own.replace('staging', '2')}/api/v1/query?query=up`));
    expect(asked.path).toBe('/api/v1/query');
  });
});
