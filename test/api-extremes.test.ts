import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

describe.each(dialects)('requests beyond all measure on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let nobody: ApiUser;
  let owner: ApiUser;

  beforeAll(async () => {
    promgate = await startTestPromgate({ database, resources: 'groups: [{ path: acme }]' });
    api = await apiOf(promgate);
    nobody = await api.user();
    owner = await api.user();
    await owner.join('acme', 'owner');
    // Any change through the API: after it the session is known to endpoints, too.
    await nobody.personalToken('account:read');
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  const server = (more: object) => nobody.post('/servers', { of: 'acme', name: 'main', url: 'http://a', ...more });

  test('the URL of a server has an end, so that reading it has one', async () => {
    const { status, body } = await server({ url: `http://a/${'/'.repeat(1_000_000)}x` });
    expect(status).toBe(400);
    expect(body.errors).toEqual([{ pointer: '#/url', detail: 'must have at most 2048 characters' }]);
  });

  test('a text of beginnings of certificates is looked at once', async () => {
    const { status, body } = await server({ tls: { ca: '-----BEGIN CERTIFICATE-----'.repeat(38_000) } });
    expect(status).toBe(400);
    expect(body.errors).toEqual([{ pointer: '#/tls/ca', detail: expect.stringContaining('is not a certificate in PEM form') }]);
  });

  test.each([
    ['values of a list', { name: 'x', scopes: Array.from({ length: 300_000 }, () => '') }],
    ['keys', Object.fromEntries(Array.from({ length: 80_000 }, (_, each) => [`a${each}`, 0]))],
    ['nested lists', Array.from({ length: 2_001 }).reduce((inner) => [inner], [])],
  ])('a body of too many %s is refused in a few words', async (_, body) => {
    const { status, text } = await nobody.post('/user/personal_tokens', body);
    expect(status).toBe(400);
    expect(text).toContain('the body holds more than 2000 values');
    expect(text.length).toBeLessThan(500);
    const check = await nobody.post('/promql/check', body);
    expect(check.status).toBe(400);
    expect(check.text.length).toBeLessThan(500);
  });

  test('a token ends at a time that can be written, or never', async () => {
    const create = (expires_at: string) => owner.post('/tokens', { of: 'acme', name: 'x', expires_at });
    const refused = await create('9999-12-31T23:59:59-01:00');
    expect(refused.status).toBe(400);
    expect(refused.body.errors).toEqual([{ pointer: '#/expires_at', detail: expect.stringContaining('before the year 10000') }]);
    const made = await create('9999-12-31T23:59:59Z');
    expect(made.status).toBe(201);
    for (const grace of ['3000000d', '100000000d']) {
      const rotated = await owner.post(`/tokens/${made.body.id}/rotate`, { grace });
      expect(rotated.status).toBe(400);
      expect(rotated.body.errors).toEqual([{ pointer: '#/grace', detail: expect.stringContaining('before the year 10000') }]);
    }
    expect((await owner.get('/tokens?of=acme')).status).toBe(200);
  });

  test('a token that was made to last longer is shown to end with the last year', async () => {
    const { id } = await promgate.token('groups/acme', { expiresAt: Date.UTC(20_000, 0) });
    const { status, body } = await owner.get(`/tokens/${id}`);
    expect(status).toBe(200);
    expect(body.expires_at).toBe('9999-12-31T23:59:59.999Z');
  });

  test('groups nest only as far as the database can look them up', async () => {
    let parent = 'acme';
    let last = await owner.post('/groups', { parent, name: 'x' });
    // No letters that a database would compress.
    const name = () =>
      Array.from({ length: 8 }, () => crypto.randomUUID())
        .join('-')
        .slice(0, 250);
    for (let level = 0; level < 15 && last.status === 201; level++) {
      last = await owner.post('/groups', { parent, name: name() });
      parent = last.body.path;
    }
    expect(last.status).toBe(400);
    expect(last.body.errors).toEqual([{ pointer: '#/name', detail: 'must have at most 1024 characters in all' }]);
  });
});
