import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exampleBodies } from '../src/api/examples.ts';
import type { OpenApiDocument } from '../src/api/openapi.ts';
import { operations } from '../src/api/operations/index.ts';
import { questionRoutes } from '../src/api/question-routes.ts';
import { type ApiAnswer, type ApiClient, type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

const documented = [...operations, ...questionRoutes];
const password = 'correct horse battery staple';

let prometheus: TestServer;
let promgate: TestPromgate;
let api: ApiRig;
let admin: ApiUser;
let document: OpenApiDocument;
let page: string;

beforeAll(async () => {
  prometheus = await startPrometheus();
  promgate = await startTestPromgate({
    settings: { externalUrl: 'http://127.0.0.1/ops' },
    resources: `
projects:
  - path: acme/shop
    environments: [{ name: production }]
    servers: [{ name: main, url: "${prometheus.url}" }]
`,
  });
  api = await apiOf(promgate);
  admin = await api.user({ admin: true, username: 'admin' });
  document = (await (await fetch(`${promgate.url}/ops/-/api/openapi.json`)).json()) as OpenApiDocument;
  page = await (await fetch(`${promgate.url}/ops/-/api/`)).text();
});
afterAll(async () => {
  await api.close();
  await promgate.close();
  await prometheus.stop();
});

test('the document is valid OpenAPI 3.1', async () => {
  expect(document.openapi).toMatch(/^3\.1/);
  expect(document.servers).toEqual([{ url: 'http://127.0.0.1/ops/-/api/v1' }]);
  const result = await new Validator().validate(structuredClone(document) as never);
  expect(result.errors ?? []).toEqual([]);
  expect(result.valid).toBe(true);
});

test('every operation is in it, with what it needs', () => {
  for (const { id, method, path, summary, permission, body } of documented) {
    const described = document.paths[path]?.[method.toLowerCase()];
    expect(described).toMatchObject({ operationId: id, summary });
    if (permission !== null) expect(described?.description).toContain(`\`${permission}\``);
    expect(described?.requestBody === undefined).toBe(body === undefined);
  }
  expect(Object.values(document.paths).flatMap((methods) => Object.keys(methods))).toHaveLength(documented.length);
});

test('every body has an example, which would be taken', () => {
  const withBody = documented.filter(({ body }) => body !== undefined);
  expect(Object.keys(exampleBodies).toSorted()).toEqual(withBody.map(({ id }) => id).toSorted());
  for (const { id, body } of withBody) expect([id, body?.safeParse(exampleBodies[id]).error?.issues ?? []]).toEqual([id, []]);
});

test('the page shows all of it, without a script and without what only somebody signed in may know', async () => {
  const { headers, status } = await fetch(`${promgate.url}/ops/-/api/`);
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(page).not.toMatch(/<script|\son\w+=|javascript:/i);
  for (const { id, method, path, summary } of documented) {
    expect(page).toContain(`<details id="${id}"><summary><code>${method} ${path}</code> ${summary}`);
  }
  expect(page).toContain('<code>auth.basic.password</code>');
  const curl = "curl -sS -X PATCH -H 'Authorization: Bearer promgate_api_…' -H 'If-Match: *' -H 'Content-Type: application/json'";
  expect(page).toContain(curl.replaceAll("'", '&#39;'));
  for (const text of [page, JSON.stringify(document)]) expect(text).not.toMatch(/acme\/hidden|undefined|\[object/);
  const bare = await fetch(`${promgate.url}/ops/-/api`, { redirect: 'manual' });
  expect([bare.status, bare.headers.get('location')]).toEqual([303, '/ops/-/api/']);
});

test('what the operations really answer is what the document says', { timeout: 120_000 }, async () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ ...document, $id: 'api' } as never);
  const seen = new Set<string>();

  const ask = async (
    id: string,
    {
      by = admin,
      params = {},
      query = '',
      body,
      status,
    }: { by?: ApiClient; params?: Record<string, string | number>; query?: string; body?: unknown; status?: number } = {},
  ): Promise<ApiAnswer> => {
    seen.add(id);
    const operation = documented.find((each) => each.id === id);
    if (operation === undefined) throw new Error(`there is no ${id}`);
    const path = operation.path.replaceAll(/\{(\w+)\}/g, (_whole, name: string) => encodeURIComponent(String(params[name])));
    const update = operation.method === 'PATCH' ? { ifMatch: '*' } : {};
    const answer = operation.lines
      ? await lines(`${path}${query}`)
      : await by.ask(operation.method, `${path}${query}`, { ...update, ...(body === undefined ? {} : { body }) });
    expect([id, answer.status, answer.text.slice(0, 300)]).toEqual([id, status ?? operation.status, answer.text.slice(0, 300)]);
    const responses = document.paths[operation.path]?.[operation.method.toLowerCase()]?.responses ?? {};
    const described = responses[answer.status] as
      | { $ref?: string; content?: Record<string, { schema: { $ref: string } }> }
      | undefined;
    expect([id, answer.status, described]).not.toEqual([id, answer.status, undefined]);
    const named = described?.$ref?.slice('#/components/responses/'.length);
    const content = named === undefined ? described?.content : problemContent(named);
    const type = answer.headers.get('content-type')?.replace(/;.*/, '');
    if (content === undefined) expect([id, answer.text]).toEqual([id, '']);
    else {
      const schema = content[type ?? '']?.schema;
      expect([id, type, schema]).not.toEqual([id, type, undefined]);
      const valid = ajv.compile({ $ref: `api${schema?.$ref}` });
      for (const item of operation.lines ? answer.body : [answer.body]) {
        valid(item);
        expect([id, valid.errors]).toEqual([id, null]);
      }
    }
    return answer;
  };
  const problemContent = (name: string) =>
    (document.components.responses as Record<string, { content: Record<string, { schema: { $ref: string } }> }>)[name]?.content;
  const lines = async (path: string): Promise<ApiAnswer> => {
    const response = await fetch(`${promgate.url}/ops/-/api/v1${path}`, { headers: { cookie: admin.cookie } });
    const text = await response.text();
    const body = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
    return { status: response.status, headers: response.headers, text, body, etag: '' };
  };

  // People.
  const { body: anna } = await ask('createUser', { body: { username: 'anna', password } });
  await ask('createUser', { body: { username: 'anna' }, status: 409 });
  await ask('createUser', { body: { username: 'bob' } });
  await ask('listUsers', { query: '?limit=1' });
  await ask('getUser', { params: { user: 'anna' } });
  await ask('updateUser', { params: { user: 'anna' }, body: { email: 'anna@example.org' } });
  await ask('createUserLink', { params: { user: 'bob' } });
  await ask('signIn', { by: api.anonymous, body: { username: 'anna', password } });
  await ask('signIn', { by: api.anonymous, body: { username: 'anna', password: 'wrong' }, status: 401 });
  await ask('getSession');
  await ask('getAccount');
  await ask('listSessions');
  await ask('listIdentities');
  await ask('linkIdentity', { body: { provider: 'none' }, status: 400 });
  await ask('unlinkIdentity', { params: { identity: 1 }, status: 404 });
  const { body: personal } = await ask('createPersonalToken', { body: { name: 'test', scopes: ['audit:read'] } });
  const reader = { ...admin, ask: (await admin.personalToken('users:read')).ask };
  await ask('listPersonalTokens');
  await ask('listGroups', { by: reader, status: 403 });
  await ask('revokePersonalToken', { params: { personal_token: personal.id } });
  const person = await api.user();
  await ask('updatePassword', { by: person, body: { current_password: 'none', new_password: password }, status: 403 });
  const { id: sessionId } = (await person.get('/user/sessions')).body.items[0];
  await ask('endSession', { by: await person.again(), params: { session: sessionId } });
  await ask('endAllSessions', { by: await person.again() });
  await ask('signOut', { by: await person.again() });
  await ask('endUserSessions', { params: { user: 'anna' } });

  // The directory.
  const { body: group } = await ask('createGroup', { body: { parent: 'acme', name: 'platform' } });
  await ask('createGroup', { body: { parent: 'acme', name: 'platform' }, status: 409 });
  await ask('createGroup', { body: { parent: 'acme', title: 'platform' }, status: 400 });
  await ask('listGroups', { query: '?limit=1' });
  await ask('getGroup', { params: { group: 'acme/platform' } });
  await ask('updateGroup', { params: { group: group.id }, body: { description: 'all' } });
  await ask('createProject', { body: { group: 'acme/platform', name: 'web' } });
  await ask('listProjects');
  await ask('getProject', { params: { project: 'acme/shop' } });
  await ask('updateProject', { params: { project: 'acme/platform/web' }, body: { description: 'web' } });
  await ask('createEnvironment', { body: { project: 'acme/platform/web', name: 'review/login' } });
  await ask('listEnvironments');
  await ask('getEnvironment', { params: { environment: 'acme/shop:production' } });
  await ask('updateEnvironment', { params: { environment: 'acme/platform/web:review/login' }, body: { kube_namespace: 'web' } });
  const { body: member } = await ask('createMember', { body: { of: 'acme/shop', user: 'anna', role: 'reporter' } });
  await ask('listMembers', { query: '?of=acme/shop' });
  await ask('getMember', { params: { member: member.id } });
  await ask('updateMember', { params: { member: member.id }, body: { role: 'owner' } });
  await ask('deleteMember', { params: { member: member.id } });
  await ask('leave', { params: { member: member.id }, status: 404 });

  // Servers and tokens.
  const { body: server } = await ask('createServer', {
    body: {
      of: 'acme/shop:production',
      name: 'near',
      url: prometheus.url,
      auth: { bearer: 'b' },
      limits: { timeout: '30s', rate: 5 },
    },
  });
  await ask('createServer', { body: { of: 'acme/shop', name: 'main', url: prometheus.url }, status: 409 });
  await ask('listServers', { query: '?of=acme/shop:production' });
  await ask('getServer', { params: { server: server.id } });
  await ask('updateServer', { params: { server: server.id }, body: { auth: { basic: { username: 'u', password: 'p' } } } });
  await ask('testServer', { params: { server: server.id } });
  await ask('resolve', { query: '?of=acme/shop:production' });
  await ask('checkQuery', { body: { environment: 'acme/shop:production', query: 'sum(rate(up{job="{{x}}"}[5m])' } });
  await ask('checkQuery', { body: { environment: 'acme/shop:production', query: 'rate(up[5m])' } });
  await ask('purgeCache', { body: { environment: 'acme/shop:production' } });
  await ask('deleteServer', { params: { server: server.id } });
  await ask('getServer', { params: { server: server.id }, status: 404 });
  const { body: token } = await ask('createToken', {
    body: { of: 'acme/shop', name: 'grafana', expires_at: '2099-01-01T00:00:00Z' },
  });
  await ask('listTokens', { query: '?of=acme/shop' });
  await ask('getToken', { params: { token: token.id } });
  await ask('rotateToken', { params: { token: token.id }, body: { grace: '1h' } });
  await ask('getTokenUsage', { params: { token: token.id } });
  await ask('getUsage', { query: '?of=acme/shop:production' });
  await ask('getUsage', { status: 400 });
  await ask('revokeToken', { params: { token: token.id } });
  await ask('listAuditEvents', { query: '?limit=200' });
  await ask('exportAuditEvents');

  await ask('deleteEnvironment', { params: { environment: 'acme/platform/web:review/login' } });
  await ask('deleteProject', { params: { project: 'acme/platform/web' } });
  await ask('deleteGroup', { params: { group: group.id } });
  await ask('deleteUser', { params: { user: anna.id } });
  await ask('getUser', { by: api.anonymous, params: { user: anna.id }, status: 401 });
  expect(documented.map(({ id }) => id).filter((id) => !seen.has(id))).toEqual([]);
});
