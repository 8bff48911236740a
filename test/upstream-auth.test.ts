import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, ask } from './support/ask.ts';
import { dataset } from './support/dataset.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate, type TestToken } from './support/promgate.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';
import { createCertificates, type TestCertificates } from './support/tls.ts';

const json = '{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}';

describe('what is sent to a server', () => {
  const rigs: StrictRig[] = [];
  afterAll(() => Promise.all(rigs.map((rig) => rig.close())));

  async function asked(server: Record<string, unknown>, path = '/api/v1/query?query=up', method = 'GET') {
    const rig = await startStrictRig({ server, environments: [{ name: 'production', kube_namespace: 'shop-prod' }] });
    rigs.push(rig);
    return rig.reaching(() => rig.send(path, { method }));
  }

  it('nothing but the question where no credentials are declared', async () => {
    expect((await asked({})).header('authorization')).toBeUndefined();
  });

  it('basic credentials, with any characters', async () => {
    const request = await asked({ auth: { basic: { username: 'prom', password: 'päss:wörd 🚀' } } });
    expect(request.header('authorization')).toBe(`Basic ${Buffer.from('prom:päss:wörd 🚀').toString('base64')}`);
  });

  it('a bearer token', async () => {
    expect((await asked({ auth: { bearer: 'abc.def-123' } })).header('authorization')).toBe('Bearer abc.def-123');
  });

  it('fixed headers, filled with the environment’s variables', async () => {
    const request = await asked({
      headers: {
        'X-Scope-OrgID': '{{ci_project_namespace}}',
        'X-Environment':
          '{{ ci_project_path }}/{{ci_environment_name}}|{{ci_environment_slug}}|{{ci_project_name}}|{{kube_namespace}}',
        'X-Plain': 'as it is, é',
      },
    });
    expect(request.header('x-scope-orgid')).toBe('acme');
    expect(request.header('x-environment')).toBe('acme/shop/production|production|shop|shop-prod');
    expect(request.header('x-plain')).toBe('as it is, é');
  });

  it('fixed parameters, which win over the client’s, by GET and by POST', async () => {
    const server = { query_params: { dedup: 'true', tenant: '{{ci_project_namespace}}&x=1', 'extra_filters[]': '{ns="a"}' } };
    const foreign = 'dedup=false&tenant=other&extra_filters[]=%7B%7D&extra_label=a=b';
    for (const query of ['up', `up${' '.repeat(10_000)}`]) {
      const { params, method } = await asked(server, `/api/v1/query?query=${encodeURIComponent(query)}&${foreign}`);
      expect(method).toBe(query.length > 100 ? 'POST' : 'GET');
      expect(params).toEqual([
        ['query', query],
        ['timeout', '60'],
        ['dedup', 'true'],
        ['tenant', 'acme&x=1'],
        ['extra_filters[]', '{ns="a"}'],
      ]);
    }
    expect((await asked(server, '/api/v1/alerts')).params.map(([name]) => name)).toEqual(['dedup', 'tenant', 'extra_filters[]']);
  });

  it('the path of its URL before the endpoint’s', async () => {
    const rig = await startStrictRig();
    rigs.push(rig);
    const servers = [{ name: 'main', url: `${rig.upstream.url}/prom/eins%20zwei/` }];
    await rig.promgate.apply(
      JSON.stringify({ projects: [{ path: 'acme/prefixed', environments: [{ name: 'production' }], servers }] }),
    );
    const { basic: authorization } = await rig.promgate.token('acme/prefixed');
    const before = rig.upstream.requests.length;
    await ask(`${rig.promgate.endpoint('acme/prefixed:production')}/api/v1/labels`, { headers: { authorization } });
    expect((await rig.upstream.request(before)).target).toBe('/prom/eins%20zwei/api/v1/labels');
  });
});

describe('TLS', () => {
  let certificates: TestCertificates;
  let plain: Server;
  let mutual: Server;
  let stranger: Server;
  let promgate: TestPromgate;
  let token: TestToken;
  let peers: string[] = [];

  const listen = async (server: Server): Promise<string> => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  beforeAll(async () => {
    certificates = await createCertificates();
    const { ca, server, client, stranger: other } = certificates;
    const answer = (options: object) =>
      createServer(options, (request, response) => {
        peers.push((request.socket as TLSSocket).getPeerCertificate().subject?.CN?.toString() ?? '');
        response.writeHead(200, { 'content-type': 'application/json' }).end(json);
      });
    plain = answer({ ...server });
    mutual = answer({ ...server, ca, requestCert: true, rejectUnauthorized: true });
    stranger = answer({ ...other });
    const [plainUrl, mutualUrl, strangerUrl] = await Promise.all([listen(plain), listen(mutual), listen(stranger)]);
    const cases: Record<string, { url: string; tls?: object }> = {
      trusted: { url: plainUrl, tls: { ca } },
      'by-name': { url: plainUrl, tls: { ca, server_name: 'localhost' } },
      'wrong-name': { url: plainUrl, tls: { ca, server_name: 'prometheus.example' } },
      untrusted: { url: plainUrl },
      'wrong-ca': { url: plainUrl, tls: { ca: other.cert } },
      stranger: { url: strangerUrl, tls: { ca } },
      insecure: { url: strangerUrl, tls: { insecure_skip_verify: true } },
      mutual: { url: mutualUrl, tls: { ca, ...client } },
      'no-client-certificate': { url: mutualUrl, tls: { ca } },
      'wrong-client-certificate': { url: mutualUrl, tls: { ca, ...other } },
      'not-tls': { url: 'https://127.0.0.1:1', tls: { ca } },
      'tls-by-http': { url: plainUrl.replace('https', 'http') },
    };
    const servers = Object.entries(cases).map(([name, server]) => ({ name, environment_scope: name, ...server }));
    const environments = Object.keys(cases).map((name) => ({ name }));
    promgate = await startTestPromgate({
      resources: JSON.stringify({ projects: [{ path: 'acme/shop', environments, servers }] }),
    });
    token = await promgate.token('acme/shop');
  });

  afterAll(async () => {
    await promgate?.close();
    for (const server of [plain, mutual, stranger]) server?.close();
  });

  const through = (environment: string): Promise<Answer> => {
    peers = [];
    const url = `${promgate.endpoint(`acme/shop:${environment}`)}/api/v1/query?query=1`;
    return ask(url, { headers: { authorization: token.basic } });
  };

  it.each([
    ['trusted', ''],
    ['by-name', ''],
    ['insecure', ''],
    ['mutual', 'promgate'],
  ])('%s: answers', async (environment, peer) => {
    expect(await through(environment)).toEqual({ status: 200, type: 'application/json', body: json });
    expect(peers).toEqual([peer]);
  });

  it.each([
    ['wrong-name', 'certificate'],
    ['untrusted', 'certificate'],
    ['wrong-ca', 'certificate'],
    ['stranger', 'certificate'],
    ['no-client-certificate', 'client certificate'],
    ['wrong-client-certificate', 'client certificate'],
    ['not-tls', 'connection refused'],
    ['tls-by-http', 'server "tls-by-http"'],
  ])('%s: 503, saying so, and no request gets through', async (environment, text) => {
    const { status, body } = await through(environment);
    expect(status).toBe(503);
    const { errorType, error } = JSON.parse(body);
    expect(errorType).toBe('unavailable');
    expect(error).toContain(`server "${environment}" `);
    expect(error).toContain(text);
    expect(body).not.toContain('127.0.0.1');
    expect(body).not.toMatch(/:\d{4,5}/);
    expect(peers).toEqual([]);
  });
});

describe('a real Prometheus with a web configuration', () => {
  let certificates: TestCertificates;
  let basic: TestServer;
  let mutual: TestServer;
  let promgate: TestPromgate;
  let token: TestToken;

  beforeAll(async () => {
    certificates = await createCertificates();
    const { ca, server, client } = certificates;
    [basic, mutual] = await Promise.all([
      startPrometheus({ data: dataset.openMetrics, webConfig: { basicAuthUsers: { prom: 'hunter2' }, tls: { ca, ...server } } }),
      startPrometheus({ data: dataset.openMetrics, webConfig: { tls: { ca, ...server, client } } }),
    ]);
    const auth = (password: string) => ({ basic: { username: 'prom', password } });
    const cases: Record<string, object> = {
      basic: { url: basic.url, tls: { ca }, auth: { basic: { username: 'prom', password: { env: 'PROM_PASSWORD' } } } },
      'wrong-password': { url: basic.url, tls: { ca }, auth: auth('hunter3') },
      'no-password': { url: basic.url, tls: { ca } },
      mutual: { url: mutual.url, tls: { ca, ...client } },
      'no-certificate': { url: mutual.url, tls: { ca } },
    };
    const servers = Object.entries(cases).map(([name, each]) => ({ name, environment_scope: name, ...each }));
    const environments = Object.keys(cases).map((name) => ({ name }));
    promgate = await startTestPromgate({
      resources: JSON.stringify({ projects: [{ path: 'acme/shop', environments, servers }] }),
      env: { PROM_PASSWORD: 'hunter2' },
    });
    token = await promgate.token('acme/shop');
  });

  afterAll(async () => {
    await promgate?.close();
    await Promise.all([basic?.stop(), mutual?.stop()]);
  });

  const through = (environment: string): Promise<Answer> =>
    ask(`${promgate.endpoint(`acme/shop:${environment}`)}/api/v1/query?query=count(up)&time=${dataset.end}`, {
      headers: { authorization: token.basic },
    });

  it.each(['basic', 'mutual'])('%s: answers', async (environment) => {
    const { status, body } = await through(environment);
    expect([status, JSON.parse(body).data.result[0].value[1]]).toEqual([200, '5']);
  });

  it.each([
    ['wrong-password', 'credentials (401)'],
    ['no-password', 'credentials (401)'],
    ['no-certificate', 'client certificate'],
  ])('%s: 503, not the server’s own 401', async (environment, text) => {
    const { status, body } = await through(environment);
    expect(status).toBe(503);
    expect(JSON.parse(body)).toMatchObject({ errorType: 'unavailable', error: expect.stringContaining(text) });
    expect(body).not.toMatch(/hunter|127\.0\.0\.1/);
  });
});
