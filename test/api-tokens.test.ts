import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readEvents } from '../src/storage/audit.ts';
import { type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { startPrometheus, type TestServer } from './support/prometheus.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

let prometheus: TestServer;
beforeAll(async () => {
  prometheus = await startPrometheus();
});
afterAll(() => prometheus.stop());

describe.each(dialects)('tokens on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let maintainer: ApiUser;

  beforeAll(async () => {
    promgate = await startTestPromgate({
      database,
      resources: `
groups: [{ path: acme }, { path: other }]
projects:
  - path: acme/shop
    environments: [{ name: production }, { name: review/login }]
    servers: [{ name: main, url: "${prometheus.url}" }]
  - { path: other/secret, environments: [{ name: production }] }
`,
    });
    api = await apiOf(promgate);
    maintainer = await api.user();
    await maintainer.join('acme', 'maintainer');
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  const ask = async (endpoint: string, token: string): Promise<number> => {
    const answer = await fetch(`${endpoint}/api/v1/query?query=1`, { headers: { authorization: `Bearer ${token}` } });
    await answer.arrayBuffer();
    return answer.status;
  };
  const production = () => promgate.endpoint('acme/shop:production');
  const create = (more: object = {}) => maintainer.post('/tokens', { of: 'acme/shop:production', name: 'grafana', ...more });
  const eventsOf = (id: number) =>
    api.database.read((trx) => readEvents(trx, { visible: 'all', object: { kind: 'token', id }, limit: 100 }));

  test('a token opens its endpoint with the next request, shows its text once, and is dead with the answer to its revocation', async () => {
    const made = await create();
    expect(made.status).toBe(201);
    const { token, url, ...shown } = made.body;
    expect(shown).toEqual({
      id: shown.id,
      of: 'acme/shop:production',
      name: 'grafana',
      username: `token-${shown.id}`,
      state: 'active',
      allowed_networks: [],
      created_at: shown.created_at,
      expires_at: null,
      revoked_at: null,
      previous_until: null,
      last_used_at: null,
    });
    expect(url).toBe(`${promgate.settings.externalUrl}/acme/shop/-/environments/production/prometheus`);
    expect(await ask(production(), token)).toBe(200);
    const read = await maintainer.get(`/tokens/${shown.id}`);
    const listed = await maintainer.get('/tokens?of=acme/shop:production');
    expect(read.body).toMatchObject({ ...shown, last_used_at: read.body.last_used_at });
    expect(listed.body.items).toHaveLength(1);
    const stored = await api.database.read(async (trx) => [
      await trx.selectFrom('tokens').selectAll().execute(),
      await trx.selectFrom('audit_events').selectAll().execute(),
    ]);
    for (const text of [read.text, listed.text, JSON.stringify(stored)]) expect(text).not.toContain(token);

    expect((await maintainer.delete(`/tokens/${shown.id}`)).status).toBe(204);
    expect(await ask(production(), token)).toBe(401);
    expect((await maintainer.delete(`/tokens/${shown.id}`)).status).toBe(204);
    expect((await maintainer.get(`/tokens/${shown.id}`)).body.state).toBe('revoked');
    expect((await maintainer.get('/tokens?of=acme/shop:production')).body.items).toEqual([]);
    expect((await maintainer.get('/tokens?of=acme/shop:production&revoked=true')).body.items).toHaveLength(1);
    const events = await eventsOf(shown.id);
    expect(events.map(({ action, actor, object }) => [action, actor.name, object.name])).toEqual([
      ['revoked', maintainer.username, 'grafana@acme/shop:production'],
      ['created', maintainer.username, 'grafana@acme/shop:production'],
    ]);
  });

  test('a rotated token has a new text; the old one dies at once, or after its grace', async () => {
    const { id, token: first } = (await create({ name: 'rotated' })).body;
    const { token: second } = (await maintainer.post(`/tokens/${id}/rotate`, { grace: '1h' })).body;
    expect([await ask(production(), first), await ask(production(), second)]).toEqual([200, 200]);
    const rotated = await maintainer.ask('POST', `/tokens/${id}/rotate`);
    expect(rotated.status).toBe(200);
    expect(rotated.body).toMatchObject({ id, name: 'rotated', previous_until: null });
    const { token: third } = rotated.body;
    expect([await ask(production(), first), await ask(production(), second), await ask(production(), third)]).toEqual([
      401, 401, 200,
    ]);
    expect((await maintainer.post(`/tokens/${id}/rotate`, { grace: 'soon' })).body.errors[0].pointer).toBe('#/grace');
    await maintainer.delete(`/tokens/${id}`);
    expect((await maintainer.post(`/tokens/${id}/rotate`, {})).status).toBe(400);
    expect((await eventsOf(id)).map(({ action }) => action)).toEqual(['revoked', 'rotated', 'rotated', 'created']);
  });

  test('what it opens, until when and from where is as it was asked for', async () => {
    const made = await create({
      of: 'acme/shop:review-login-py9mn2',
      username: 'reader',
      expires_at: '2099-01-31T01:00:00+01:00',
      allowed_networks: ['10.0.0.0/8'],
    });
    expect(made.body).toMatchObject({
      of: 'acme/shop:review/login',
      username: 'reader',
      expires_at: '2099-01-31T00:00:00.000Z',
      allowed_networks: ['10.0.0.0/8'],
    });
    expect(await ask(promgate.endpoint('acme/shop:review/login'), made.body.token)).toBe(401);
    const wide = await create({ of: 'acme' });
    expect(wide.body).toMatchObject({ of: 'acme', url: `${promgate.settings.externalUrl}/groups/acme/-/prometheus` });
    expect(await ask(production(), wide.body.token)).toBe(200);
  });

  test.each([
    ['an expiry in the past', { expires_at: '2001-01-01T00:00:00Z' }],
    ['an expiry that is none', { expires_at: 'tomorrow' }],
    ['a network that is none', { allowed_networks: ['everywhere'] }],
    ['an empty name', { name: ' ' }],
    ['a username that ends early', { username: 'a:b' }],
    ['a username of another token', { username: 'token-1' }],
    ['a key that there is not', { scope: 'write' }],
  ])('a token is not made with %s', async (_what, more) => {
    // The last uses of those that there are may be written meanwhile.
    const all = async () => {
      const { body } = await maintainer.get('/tokens?of=acme/shop:production&revoked=true&limit=200');
      return { ...body, items: body.items.map((item: object) => ({ ...item, last_used_at: null })) };
    };
    const before = await all();
    const refused = await create(more);
    expect(refused.status).toBe(400);
    expect(await all()).toEqual(before);
  });

  test('tokens of others are not there, whatever is done with them', async () => {
    const admin = await api.user({ admin: true });
    const { id, token } = (await admin.post('/tokens', { of: 'other/secret', name: 'theirs' })).body;
    const unknown = await maintainer.get('/tokens/999999');
    for (const answer of [
      await maintainer.get(`/tokens/${id}`),
      await maintainer.get(`/tokens/${id}/usage`),
      await maintainer.post(`/tokens/${id}/rotate`, {}),
      await maintainer.delete(`/tokens/${id}`),
      await maintainer.get('/tokens?of=other/secret'),
      await maintainer.post('/tokens', { of: 'other/secret', name: 'mine' }),
      await maintainer.post('/tokens', { of: 'instance', name: 'mine' }),
      await maintainer.get('/usage?of=other/secret'),
      await maintainer.get('/resolve?of=other/secret:production'),
    ]) {
      expect([answer.status, answer.body]).toEqual([404, unknown.body]);
    }
    // Its own, which no server answers for: it is alive.
    expect(await ask(promgate.endpoint('other/secret'), token)).toBe(503);
    expect((await eventsOf(id)).filter(({ action }) => action !== 'refused')).toHaveLength(1);
  });

  test('tokens of endpoints open nothing of the API', async () => {
    const { token } = (await create()).body;
    const answer = await api.anonymous.get('/tokens?of=acme/shop:production', { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(401);
  });

  test('the API says which server answers, and why no other one', async () => {
    const reporter = await api.user();
    await reporter.join('acme/shop', 'reporter');
    const { body, text } = await reporter.get('/resolve?of=acme/shop:production');
    expect(body).toEqual({
      of: 'acme/shop:production',
      server: 'main',
      candidates: [
        {
          server: 'main',
          owner: 'project acme/shop',
          environment_scope: '*',
          outcome: 'chosen',
          reason: expect.stringMatching(/nearest level/),
        },
      ],
    });
    expect(text).not.toContain(prometheus.url);
    const guest = await api.user();
    await guest.join('acme/shop', 'guest');
    expect((await guest.get('/resolve?of=acme/shop:production')).status).toBe(404);
    const admin = await api.user({ admin: true });
    const near = await admin.post('/servers', { of: 'acme/shop:production', name: 'near', url: prometheus.url });
    expect((await reporter.get('/resolve?of=acme/shop:production')).body.server).toBe('near');
    await admin.delete(`/servers/${near.body.id}`);
    expect((await reporter.get('/resolve?of=acme/shop:production')).body.server).toBe('main');
  });
});
