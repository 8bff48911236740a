import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readEvents } from '../src/storage/audit.ts';
import { type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { freePort } from './support/ports.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

const PASSWORD = 'tell-nobody-4711';
const BEARER = 'bearer-tell-nobody-4712';
const HEADER = 'header-tell-nobody-4713';
const PARAM = 'param-tell-nobody-4714';
const secrets = [PASSWORD, BEARER, HEADER, PARAM];

/** An address of the Internet where nobody answers; nothing here asks it. */
const PUBLIC = 'http://8.8.8.8:9090';

let prometheus: TestServer;
beforeAll(async () => {
  prometheus = await startPrometheus();
});
afterAll(() => prometheus.stop());

describe.each(dialects)('servers on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let admin: ApiUser;
  let maintainer: ApiUser;

  beforeAll(async () => {
    promgate = await startTestPromgate({
      database,
      env: { PROM_PASSWORD: PASSWORD },
      settings: { outbound: { allow: ['prometheus.internal', '10.1.0.0/16'] } },
      resources: `
groups:
  - path: acme
    servers: [{ name: group-wide, url: "http://10.0.0.9:9090" }]
projects:
  - path: acme/shop
    environments: [{ name: production, kube_namespace: shop-prod }, { name: staging }]
    servers:
      - name: declared
        url: http://10.0.0.1:9090
        environment_scope: "nowhere"
        auth: { basic: { username: u, password: { env: PROM_PASSWORD } } }
        enforce: { namespace: "{{kube_namespace}}" }
  - path: acme/other
    environments: [{ name: production }]
`,
    });
    api = await apiOf(promgate);
    admin = await api.user({ admin: true });
    maintainer = await api.user();
    await maintainer.join('acme/shop', 'maintainer');
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  let count = 0;
  const create = async (by: ApiUser, more: object = {}) => {
    const made = await by.post('/servers', { of: 'acme/shop', name: `server-${++count}`, url: PUBLIC, ...more });
    expect(made.text).toContain('"revision"');
    expect(made.status).toBe(201);
    return made;
  };
  const eventsOf = (id: number) =>
    api.database.read((trx) => readEvents(trx, { visible: 'all', object: { kind: 'server', id }, limit: 100 }));

  test('a maintainer adds, reads, changes and removes a server of the project; each leaves one event', async () => {
    const made = await create(maintainer, {
      environment_scope: 'review/*',
      kind: 'prometheus',
      headers: { 'X-Scope-OrgID': '{{ci_project_namespace}}' },
      enforce: { namespace: '{{kube_namespace}}', team: ['a', 'b'] },
      limits: { timeout: '30s', max_range: '31d', max_points: 500, max_response: '64MiB', rate: 0.5 },
      cache: { recent_window: '10m', instant: false },
    });
    const { id } = made.body;
    expect(made.body).toEqual({
      id,
      of: 'acme/shop',
      name: made.body.name,
      url: PUBLIC,
      environment_scope: 'review/*',
      enabled: true,
      kind: 'prometheus',
      auth: null,
      headers: ['X-Scope-OrgID'],
      query_params: [],
      tls: { ca: false, cert: false, key: false, server_name: null, insecure_skip_verify: false },
      enforce: { namespace: ['{{kube_namespace}}'], team: ['a', 'b'] },
      limits: { timeout: '30s', max_range: '31d', max_points: 500, max_response: '64MiB', rate: 0.5 },
      cache: { recent_window: '10m', instant: false },
      expose: [],
      verify: 'server',
      restricted: true,
      readable: true,
      managed_by: null,
      revision: expect.stringMatching(/^.{22}$/),
    });
    const read = await maintainer.get(`/servers/${id}`);
    expect(read.body).toEqual(made.body);
    expect(read.etag).toBe(made.etag);

    const changed = await maintainer.patch(
      `/servers/${id}`,
      { name: 'renamed', limits: { timeout: '1m' } },
      { ifMatch: read.etag },
    );
    expect(changed.status).toBe(200);
    expect(changed.body).toEqual({
      ...made.body,
      name: 'renamed',
      limits: { timeout: '1m' },
      revision: changed.body.revision,
    });
    expect((await maintainer.patch(`/servers/${id}`, { name: 'renamed' })).body).toEqual(changed.body);
    expect((await maintainer.delete(`/servers/${id}`, { ifMatch: read.etag })).status).toBe(412);
    expect((await maintainer.delete(`/servers/${id}`, { ifMatch: changed.etag })).status).toBe(204);
    expect((await maintainer.get(`/servers/${id}`)).status).toBe(404);
    const events = await eventsOf(id);
    expect(
      events.map(({ action, actor, object, detail }) => ({ action, actor: actor.name, object: object.name, detail })),
    ).toEqual([
      { action: 'removed', actor: maintainer.username, object: 'renamed@acme/shop', detail: {} },
      {
        action: 'changed',
        actor: maintainer.username,
        object: `${made.body.name}@acme/shop`,
        detail: { fields: ['name', 'limits'], restricted: true },
      },
      {
        action: 'created',
        actor: maintainer.username,
        object: `${made.body.name}@acme/shop`,
        detail: { url: PUBLIC, restricted: true },
      },
    ]);
  });

  test('a list holds the servers of exactly what it is asked for', async () => {
    const of = async (name: string) => (await admin.get(`/servers?of=${encodeURIComponent(name)}`)).body.items;
    const own = await create(maintainer, { of: 'acme/shop:production' });
    const wide = await create(admin, { of: 'instance' });
    expect(await of('acme/shop:production')).toEqual([own.body]);
    expect(await of('instance')).toEqual([wide.body]);
    expect((await of('acme')).map(({ name }: { name: string }) => name)).toEqual(['group-wide']);
    for (const { id } of [own.body, wide.body]) expect((await admin.delete(`/servers/${id}`)).status).toBe(204);
  });

  test('secrets come in and never go out: not in answers, not in errors, not in the audit log, not in the database', async () => {
    const given = {
      auth: { basic: { username: 'reader', password: PASSWORD } },
      headers: { 'X-Key': HEADER },
      query_params: { key: PARAM },
    };
    const made = await create(admin, given);
    const path = `/servers/${made.body.id}`;
    expect(made.body).toMatchObject({
      auth: { type: 'basic', username: 'reader' },
      headers: ['X-Key'],
      query_params: ['key'],
    });
    const changed = await admin.patch(path, { auth: { bearer: BEARER } });
    expect(changed.body).toMatchObject({ auth: { type: 'bearer' }, headers: ['X-Key'] });
    const answers = [
      made,
      changed,
      await admin.get(path),
      await admin.get('/servers?of=acme/shop'),
      await admin.patch(path, { auth: { bearer: `${BEARER} and a blank` } }),
      await admin.patch(path, { auth: { basic: { username: `${PASSWORD}:`, password: PASSWORD } } }),
      await admin.patch(path, { headers: { 'X-Key': `${HEADER}\n` } }),
      await admin.patch(path, { tls: { key: `${PASSWORD}`, cert: PASSWORD } }),
      await admin.patch(path, { url: `http://u:${PASSWORD}@host` }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 200, 200, 400, 400, 400, 400, 400]);
    const texts = answers.map(({ text }) => text);
    const rows = await api.database.read(async (trx) => ({
      servers: await trx.selectFrom('servers').selectAll().execute(),
      events: await trx.selectFrom('audit_events').selectAll().execute(),
    }));
    for (const secret of secrets) {
      for (const text of texts) expect(text).not.toContain(secret);
      expect(JSON.stringify(rows)).not.toContain(secret);
    }
  });

  test.each([
    ['of the environment', { auth: { basic: { username: 'u', password: { env: 'PATH' } } } }],
    ['of a file', { auth: { bearer: { file: '/etc/hostname' } } }],
    ['of a file, in a header', { headers: { 'X-Key': { file: '/etc/hostname' } } }],
    ['of a file, for a certificate', { tls: { ca: { file: '/etc/ssl/certs/ca-certificates.crt' } } }],
    ['of the environment, as a parameter', { query_params: { key: { env: 'PATH' } } }],
  ])('nobody reads secrets %s of Promgate', async (_what, more) => {
    const refused = await admin.post('/servers', { of: 'instance', name: 'thief', url: PUBLIC, ...more });
    expect(refused.status).toBe(400);
    expect(refused.body.errors).toHaveLength(1);
    expect(refused.body.errors[0].detail).toMatch(/^must be text/);
  });

  test.each([
    ['two ways to sign in', { auth: { basic: { username: 'u', password: 'p' }, bearer: 'b' } }, '#/auth'],
    ['no way to sign in', { auth: {} }, '#/auth'],
    ['a header that auth sets', { auth: { bearer: 'b' }, headers: { Authorization: 'x' } }, '#/headers/Authorization'],
    ['a header twice', { headers: { 'X-A': '1', 'x-a': '2' } }, '#/headers/x-a'],
    ['a header that belongs to the connection', { headers: { Connection: 'close' } }, '#/headers/Connection'],
    ['a parameter of Prometheus', { query_params: { query: 'up' } }, '#/query_params/query'],
    ['exposed and confined', { enforce: { team: 'a' }, expose: ['federate'] }, '#/expose'],
    ['half a client certificate', { tls: { cert: 'x' } }, '#/tls'],
    ['a key that there is not', { urll: 'x' }, '#/urll'],
    ['a variable that there is not', { enforce: { team: '{{team}}' } }, '#/enforce/team/0'],
    ['a scope of an environment', { of: 'acme/shop:staging', environment_scope: 'x' }, '#/environment_scope'],
    ['another protocol', { url: 'file:///etc/passwd' }, '#/url'],
  ])('what no resource file may say the API does not take: %s', async (_what, more, pointer) => {
    const refused = await admin.post('/servers', { of: 'acme/shop', name: 'odd', url: PUBLIC, ...more });
    expect(refused.status).toBe(400);
    expect(refused.body.errors.map((fault: { pointer: string }) => fault.pointer)).toEqual([pointer]);
  });

  test('what does not go together with what is stored is refused, too', async () => {
    const { body } = await create(admin, { auth: { bearer: 'b' }, expose: ['targets'] });
    const path = `/servers/${body.id}`;
    expect((await admin.patch(path, { headers: { authorization: 'x' } })).body.errors[0].pointer).toBe('#/headers/authorization');
    expect((await admin.patch(path, { enforce: { team: 'a' } })).body.errors[0].pointer).toBe('#/expose');
    expect((await admin.patch(path, { enforce: { team: 'a' }, expose: null })).status).toBe(200);
  });

  test('a name is taken once in each place', async () => {
    const { body } = await create(maintainer);
    const again = { name: body.name, url: PUBLIC };
    expect((await maintainer.post('/servers', { ...again, of: 'acme/shop' })).status).toBe(409);
    expect((await maintainer.patch(`/servers/${body.id}`, { name: 'declared' })).status).toBe(409);
    expect((await maintainer.post('/servers', { ...again, of: 'acme/shop:staging' })).status).toBe(201);
  });

  test('servers of the instance and of groups above are not a maintainer’s to see, change or test', async () => {
    const wide = await create(admin, { of: 'instance' });
    const [group] = (await admin.get('/servers?of=acme')).body.items;
    for (const { id } of [wide.body, group]) {
      const answers = [
        await maintainer.get(`/servers/${id}`),
        await maintainer.patch(`/servers/${id}`, { enabled: false }),
        await maintainer.delete(`/servers/${id}`),
        await maintainer.post(`/servers/${id}/test`, {}),
      ];
      const unknown = await maintainer.get('/servers/999999');
      for (const answer of answers) expect([answer.status, answer.body]).toEqual([404, unknown.body]);
    }
    for (const of of ['instance', 'acme', 'acme/other', 'nowhere']) {
      expect((await maintainer.get(`/servers?of=${of}`)).status).toBe(404);
      expect((await maintainer.post('/servers', { of, name: 'mine', url: PUBLIC })).status).toBe(404);
    }
    await admin.delete(`/servers/${wide.body.id}`);
  });

  test('two editors: the second one learns that somebody else was first', async () => {
    const { body, etag } = await create(maintainer);
    const path = `/servers/${body.id}`;
    expect((await maintainer.ask('PATCH', path, { body: { enabled: false } })).status).toBe(428);
    expect((await maintainer.patch(path, { auth: { bearer: 'one' } }, { ifMatch: etag })).status).toBe(200);
    const late = await maintainer.patch(path, { auth: { bearer: 'two' } }, { ifMatch: etag });
    expect(late.status).toBe(412);
    const now = await maintainer.get(path);
    const second = await maintainer.patch(path, { auth: { bearer: 'two' } }, { ifMatch: now.etag });
    expect(second.status).toBe(200);
    // The same secret again is a change like any other: else one could try out what it is.
    const guess = await maintainer.patch(path, { auth: { bearer: 'two' } });
    expect([guess.status, guess.etag === second.etag]).toEqual([200, false]);
    expect(guess.body.revision).not.toBe(second.body.revision);
  });

  describe('where servers may be', () => {
    const forbidden = [
      ['loopback', 'http://127.0.0.1:9090'],
      ['loopback as one number', 'http://2130706433:9090'],
      ['loopback in octal', 'http://0177.0.0.1:9090'],
      ['loopback by name', 'http://localhost:9090'],
      ['IPv4-mapped', 'http://[::ffff:127.0.0.1]:9090'],
      ['a private network', 'http://10.2.3.4:9090'],
      ['the metadata of clouds', 'http://169.254.169.254/latest'],
    ] as const;

    test.each(forbidden)('not where only the network protects: %s', async (_what, url) => {
      const refused = await maintainer.post('/servers', { of: 'acme/shop', name: 'inside', url });
      expect(refused.status).toBe(400);
      expect(refused.body.detail).toMatch(/is not allowed/);
      const { body } = await create(maintainer);
      expect((await maintainer.patch(`/servers/${body.id}`, { url })).status).toBe(400);
      expect((await maintainer.get(`/servers/${body.id}`)).body.url).toBe(PUBLIC);
    });

    test('administrators may set them anywhere, and outbound.allow lets others, too', async () => {
      for (const [, url] of forbidden) expect((await create(admin, { url })).body.restricted).toBe(false);
      expect((await create(maintainer, { url: 'http://10.1.2.3:9090' })).body.restricted).toBe(true);
    });

    test('an administrator who sets the URL lifts the restriction; who does not leaves it as it was', async () => {
      const { body } = await create(maintainer);
      const path = `/servers/${body.id}`;
      expect((await admin.patch(path, { auth: { bearer: 'b' } })).body.restricted).toBe(true);
      expect((await admin.patch(path, { url: 'http://127.0.0.1:1', auth: null })).body.restricted).toBe(false);
      expect((await maintainer.patch(path, { enabled: false, cache: { enabled: false } })).body.restricted).toBe(false);
      // From here on it is the maintainer's own, and may be only where such a server may.
      for (const mine of [{ auth: { bearer: 'c' } }, { headers: { 'X-A': 'b' } }, { enforce: { team: 'a' } }, { tls: {} }]) {
        expect((await maintainer.patch(path, mine)).status).toBe(400);
      }
      expect((await maintainer.patch(path, { url: PUBLIC })).body.restricted).toBe(true);
    });
  });

  describe('stored credentials', () => {
    const withAll = {
      auth: { bearer: BEARER },
      headers: { 'X-Key': HEADER },
      query_params: { key: PARAM },
    };

    test('never go to another host, port or scheme, whoever says so', async () => {
      for (const by of [maintainer, admin]) {
        const { body } = await create(by, withAll);
        const path = `/servers/${body.id}`;
        for (const url of ['http://8.8.4.4:9090', 'http://8.8.8.8:9091', 'https://8.8.8.8:9090']) {
          const refused = await by.patch(path, { url, auth: { bearer: 'mine' } });
          expect(refused.status).toBe(400);
          expect(refused.body.detail).toMatch(/give headers, query_params in the same request/);
        }
        expect((await by.patch(path, { url: `${PUBLIC}/prefix` })).status).toBe(200);
        const moved = await by.patch(path, { url: 'http://8.8.4.4:9090', auth: null, headers: {}, query_params: null });
        expect(moved.body).toMatchObject({ url: 'http://8.8.4.4:9090', auth: null, headers: [], query_params: [] });
      }
    });

    test('are not sent past a certificate that somebody else chose to trust', async () => {
      const { body } = await create(maintainer, { ...withAll, url: 'https://8.8.8.8' });
      const path = `/servers/${body.id}`;
      for (const tls of [{ insecure_skip_verify: true }, { server_name: 'evil.example' }]) {
        const refused = await maintainer.patch(path, { tls });
        expect(refused.status).toBe(400);
        expect(refused.body.detail).toMatch(/give auth, headers, query_params in the same request/);
        expect((await maintainer.patch(path, { tls, ...withAll })).status).toBe(200);
        expect((await maintainer.patch(path, { tls: null, ...withAll })).status).toBe(200);
      }
      expect((await admin.patch(path, { tls: { insecure_skip_verify: true } })).status).toBe(200);
    });

    test('are not a maintainer’s to use in another way where an administrator or a file stored them', async () => {
      const { body } = await create(admin, { ...withAll, enforce: { team: 'a' } });
      const path = `/servers/${body.id}`;
      for (const loosened of [
        { enforce: {} },
        { enforce: { team: 'b' } },
        { verify: 'local' },
        { limits: { timeout: '1d' } },
        { enforce: null, expose: ['federate'] },
        { headers: { 'X-Scope-OrgID': 'another' } },
        { query_params: { tenant: 'another' } },
        { url: `${PUBLIC}/another` },
      ]) {
        const refused = await maintainer.patch(path, loosened);
        expect([loosened, refused.status]).toEqual([loosened, 400]);
        expect(refused.body.detail).toMatch(/an administrator or a resource file set the server up/);
      }
      expect((await maintainer.get(path)).body).toEqual(body);
      const taken = await maintainer.patch(path, { enforce: {}, auth: { bearer: 'mine' }, headers: {}, query_params: {} });
      expect(taken.body).toMatchObject({ enforce: {}, headers: [], restricted: true });
    });

    test('of a server that a file declares stay when only its name changes, and the file keeps managing it', async () => {
      const [declared] = (await maintainer.get('/servers?of=acme/shop&limit=1')).body.items;
      expect(declared).toMatchObject({ name: 'declared', managed_by: 'apply', restricted: false });
      const path = `/servers/${declared.id}`;
      const changed = await maintainer.patch(path, { name: 'declared-2' });
      expect(changed.body).toMatchObject({ managed_by: 'apply', restricted: false, auth: { type: 'basic', username: 'u' } });
      expect((await maintainer.patch(path, { name: 'declared' })).status).toBe(200);
    });
  });

  test('a record that cannot be read is shown without what it holds, and can only be removed', async () => {
    const { body } = await create(maintainer, { auth: { bearer: BEARER } });
    await api.database.write((trx) =>
      trx.updateTable('servers').set({ url: 'http://elsewhere:9090' }).where('id', '=', body.id).execute(),
    );
    const path = `/servers/${body.id}`;
    expect((await maintainer.get(path)).body).toMatchObject({ readable: false, auth: null, url: 'http://elsewhere:9090' });
    expect((await maintainer.patch(path, { auth: null })).status).toBe(409);
    expect((await maintainer.delete(path)).status).toBe(204);
  });

  describe('testing', () => {
    test('tells what a real server is, or in plain words why it cannot be reached', async () => {
      const good = await create(admin, { url: prometheus.url });
      const found = (await maintainer.post(`/servers/${good.body.id}/test`, {})).body;
      expect(found).toMatchObject({ reachable: true, problem: null, kind: 'prometheus' });
      expect(found.version).toMatch(/^\d+\.\d+\.\d+/);
      expect(found.answer_seconds).toBeGreaterThanOrEqual(0);
      // One clock for both: what is left is half a second of the header's, and half of how long the answer took.
      expect(Math.abs(found.clock_ahead_seconds)).toBeLessThan(1 + found.answer_seconds / 2);

      const gone = await create(admin, { url: `http://127.0.0.1:${await freePort()}/secret-path`, auth: { bearer: BEARER } });
      const not = await maintainer.post(`/servers/${gone.body.id}/test`, {});
      expect(not.body).toEqual({
        reachable: false,
        problem: `server "${gone.body.name}" cannot be reached: connection refused`,
        kind: null,
        version: null,
        clock_ahead_seconds: null,
        answer_seconds: null,
      });
      const lost = await create(admin, { url: `${prometheus.url}/no-such-path` });
      expect((await maintainer.post(`/servers/${lost.body.id}/test`, {})).body.problem).toMatch(/does not have this endpoint/);
      for (const { body } of [good, gone, lost]) await admin.delete(`/servers/${body.id}`);
    });

    test('fills variables for the endpoint that it is asked for, of those it could answer for alone', async () => {
      const templated = { url: prometheus.url, headers: { 'X-Namespace': '{{kube_namespace}}' } };
      const { body } = await create(admin, templated);
      const ask = (by: ApiUser, target?: string) =>
        by.post(`/servers/${body.id}/test`, target === undefined ? {} : { for: target });
      expect((await ask(admin)).body).toMatchObject({ reachable: false, problem: expect.stringMatching(/X-Namespace/) });
      expect((await ask(admin, 'acme/shop:production')).body).toMatchObject({ reachable: true });
      expect((await ask(admin, 'acme/other:production')).body.errors[0].pointer).toBe('#/for');
      const [foreign, unknown] = [await ask(maintainer, 'acme/other:production'), await ask(maintainer, 'nowhere:x')];
      expect([foreign.status, foreign.body]).toEqual([404, unknown.body]);
      const wide = await create(admin, { ...templated, of: 'instance' });
      expect((await admin.post(`/servers/${wide.body.id}/test`, { for: 'acme/other:production' })).status).toBe(200);
      for (const { id } of [body, wide.body]) await admin.delete(`/servers/${id}`);
    });

    test('changes nothing, and is done by one user ten times in a minute at most', async () => {
      const { body } = await create(maintainer);
      const eager = await api.user();
      await eager.join('acme/shop', 'maintainer');
      const test = () => eager.post(`/servers/${body.id}/test`, { for: 'acme/other' });
      for (let i = 0; i < 10; i++) expect((await test()).status).toBe(404);
      const refused = await test();
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await eventsOf(body.id)).toHaveLength(1);
    });
  });
});
