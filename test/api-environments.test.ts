import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { insertEnvironments } from '../src/storage/environments.ts';
import { insertGroups } from '../src/storage/groups.ts';
import { insertProjects } from '../src/storage/projects.ts';
import { type ApiAnswer, type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

const resources = `
groups: [{ path: acme }]
projects:
  - { path: acme/shop, environments: [{ name: production, kube_namespace: shop-prod }, { name: review/login }] }
  - { path: acme/tools, environments: [{ name: production }] }
  - { path: other/secret, environments: [{ name: production }] }
`;

describe.each(dialects)('environments on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let maintainer: ApiUser;

  beforeAll(async () => {
    promgate = await startTestPromgate({ resources, database });
    api = await apiOf(promgate);
    maintainer = await api.user();
    await maintainer.join('acme', 'maintainer');
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  test('a member sees the environments that a role reaches, all or those of a project, and no others', async () => {
    expect(names(await maintainer.get('/environments'))).toEqual([
      'acme/shop:production',
      'acme/shop:review/login',
      'acme/tools:production',
    ]);
    expect(names(await maintainer.get('/environments?project=acme/tools'))).toEqual(['acme/tools:production']);
    const guest = await api.user();
    await guest.join('acme/tools', 'guest');
    expect(names(await guest.get('/environments'))).toEqual(['acme/tools:production']);
    const [foreign, unknown] = [
      await guest.get('/environments?project=acme/shop'),
      await guest.get('/environments?project=acme/nothing'),
    ];
    expect(foreign.status).toBe(404);
    expect(foreign.text).toBe(unknown.text);
    expect(names(await (await api.user()).get('/environments'))).toEqual([]);
    const admin = await api.user({ admin: true });
    expect(names(await admin.get('/environments'))).toHaveLength(4);
  });

  test('a list comes page by page', async () => {
    const first = await maintainer.get('/environments?limit=2');
    const second = await maintainer.get(`/environments?limit=2&after=${first.body.next}`);
    expect([names(first).length, names(second).length]).toEqual([2, 1]);
    expect(second.body.next).toBeNull();
    expect([...names(first), ...names(second)].sort()).toEqual(names(await maintainer.get('/environments')));
  });

  test('whoever has a role on thousands of projects gets their environments in order, page by page', async () => {
    const count = 2_100;
    const ids = await api.database.write(async (trx) => {
      const [group] = await insertGroups(trx, [{ path: 'big', parent_id: null, managed_by: null }]);
      const group_id = group?.id ?? 0;
      const projects = await insertProjects(
        trx,
        Array.from({ length: count }, (_, index) => ({ path: `big/p${index}`, group_id, managed_by: null })),
      );
      // The newest project has the oldest environment.
      const made = await insertEnvironments(
        trx,
        projects.reverse().map(({ id }) => ({
          project_id: id,
          name: 'live',
          slug: 'live',
          kube_namespace: '',
          managed_by: null,
        })),
      );
      return made.map(({ id }) => id).sort((a, b) => a - b);
    });
    const user = await api.user();
    await user.join('big', 'guest');
    const seen: number[] = [];
    for (let after: number | null = 0; after !== null; ) {
      const { body }: ApiAnswer = await user.get(`/environments?limit=200&after=${after}`);
      seen.push(...body.items.map(({ id }: { id: number }) => id));
      after = body.next;
    }
    expect(seen).toEqual(ids);
  });

  test('an environment is found by id, by name and by slug, and shows where its endpoint is', async () => {
    const { body } = await maintainer.get(`/environments/${encodeURIComponent('acme/shop:review/login')}`);
    expect(body).toEqual({
      id: body.id,
      name: 'review/login',
      slug: expect.stringMatching(/^review-login-[0-9a-z]{6}$/),
      project: 'acme/shop',
      kube_namespace: '',
      endpoint_url: `${promgate.settings.externalUrl}/acme/shop/-/environments/${body.slug}/prometheus`,
      managed_by: 'apply',
    });
    expect((await maintainer.get(`/environments/acme%2Fshop:${body.slug}`)).body).toEqual(body);
    expect((await maintainer.get(`/environments/${body.id}`)).body).toEqual(body);
  });

  test('maintainers add and remove environments; developers do not', async () => {
    const wanted = { project: 'acme/tools', name: 'staging' };
    const developer = await api.user();
    await developer.join('acme', 'developer');
    expect((await developer.post('/environments', wanted)).status).toBe(404);
    const made = await maintainer.post('/environments', wanted);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ ...wanted, slug: 'staging', kube_namespace: '', managed_by: null });
    const path = `/environments/${made.body.id}`;
    expect((await developer.delete(path)).status).toBe(404);
    expect((await maintainer.delete(path, { ifMatch: '"another"' })).status).toBe(412);
    expect((await maintainer.delete(path, { ifMatch: made.etag })).status).toBe(204);
    expect((await maintainer.get(path)).status).toBe(404);
  });

  test('administrators alone say which Kubernetes namespace it is: it may decide what is seen on shared servers', async () => {
    const admin = await api.user({ admin: true });
    const wanted = { project: 'acme/tools', name: 'placed', kube_namespace: 'tools' };
    const refused = await maintainer.post('/environments', wanted);
    expect(refused.status).toBe(403);
    expect(refused.body.detail).toContain('kube_namespace');
    const made = await admin.post('/environments', wanted);
    expect(made.body).toMatchObject(wanted);
    const path = `/environments/${made.body.id}`;
    for (const kube_namespace of ['shop-prod', '']) {
      expect((await maintainer.patch(path, { kube_namespace })).status).toBe(404);
    }
    const changed = await admin.patch(path, { kube_namespace: 'x' }, { ifMatch: made.etag });
    expect(changed.body).toEqual({ ...made.body, kube_namespace: 'x' });
    expect((await admin.patch(path, { kube_namespace: 'y' }, { ifMatch: made.etag })).status).toBe(412);
    expect((await admin.ask('PATCH', path, { body: { kube_namespace: 'y' } })).status).toBe(428);
    expect((await maintainer.get(path)).body.kube_namespace).toBe('x');
  });

  test('the same name, and another one with the same slug, are a conflict within a project', async () => {
    const add = (name: string) => maintainer.post('/environments', { project: 'acme/shop', name });
    expect((await add('production')).body.detail).toBe('acme/shop has an environment production already');
    expect((await add('foo')).status).toBe(201);
    const clash = await add('foo-');
    expect(clash.status).toBe(409);
    expect(clash.body.detail).toBe('acme/shop has an environment foo already, whose slug foo is the same');
    expect((await maintainer.post('/environments', { project: 'acme/tools', name: 'foo-' })).status).toBe(201);
  });

  test('every fault is told with a pointer to it', async () => {
    const answer = await maintainer.post('/environments', { project: 'acme/shop', name: '/x', kube_namespace: 'A' });
    expect(answer.body.errors).toEqual([
      { pointer: '#/name', detail: 'must not start or end with "/"' },
      { pointer: '#/kube_namespace', detail: expect.stringContaining('must be a Kubernetes namespace') },
    ]);
  });

  test('what is foreign is answered to the letter like what is unknown', async () => {
    const admin = await api.user({ admin: true });
    const { id } = (await admin.get(`/environments/${encodeURIComponent('other/secret:production')}`)).body;
    const questions = [
      (name: string) => maintainer.get(`/environments/${name}`),
      (name: string) => maintainer.patch(`/environments/${name}`, { kube_namespace: 'mine' }),
      (name: string) => maintainer.delete(`/environments/${name}`),
    ];
    for (const question of questions) {
      const { status, text } = await question('999999');
      expect(status).toBe(404);
      for (const name of [String(id), 'other%2Fsecret:production', 'other%2Fsecret:nothing', 'acme%2Fshop:nothing']) {
        expect((await question(name)).text).toBe(text);
      }
    }
    expect((await maintainer.post('/environments', { project: 'other/secret', name: 'x' })).text).toBe(
      (await maintainer.post('/environments', { project: 'nothing/secret', name: 'x' })).text,
    );
  });

  test('what goes with an environment is in the audit log', async () => {
    const { body } = await maintainer.post('/environments', { project: 'acme/tools', name: 'held' });
    await promgate.token('acme/tools:held');
    await maintainer.delete(`/environments/${body.id}`);
    const event = await api.database.read((trx) =>
      trx
        .selectFrom('audit_events')
        .selectAll()
        .where('object_name', '=', 'acme/tools:held')
        .where('action', '=', 'removed')
        .executeTakeFirstOrThrow(),
    );
    expect(JSON.parse(event.detail)).toEqual({ with: { tokens: 1 } });
  });
});

function names({ body }: ApiAnswer): string[] {
  return body.items.map(({ project, name }: { project: string; name: string }) => `${project}:${name}`).sort();
}
