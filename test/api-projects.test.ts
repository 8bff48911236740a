import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiAnswer, type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

const resources = `
groups: [{ path: acme }, { path: acme/platform }, { path: other }]
projects:
  - { path: acme/shop }
  - { path: acme/platform/tools }
  - { path: other/secret }
`;

describe.each(dialects)('projects on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let owner: ApiUser;
  let maintainer: ApiUser;

  beforeAll(async () => {
    promgate = await startTestPromgate({ resources, database });
    api = await apiOf(promgate);
    owner = await api.user();
    await owner.join('acme', 'owner');
    maintainer = await api.user();
    await maintainer.join('acme', 'maintainer');
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  test('a member sees the projects that a role reaches, all or those directly in a group, and no others', async () => {
    expect(paths(await owner.get('/projects'))).toEqual(['acme/platform/tools', 'acme/shop']);
    expect(paths(await owner.get('/projects?group=acme'))).toEqual(['acme/shop']);
    expect(paths(await owner.get('/projects?group=acme/platform'))).toEqual(['acme/platform/tools']);
    const guest = await api.user();
    await guest.join('acme/shop', 'guest');
    expect(paths(await guest.get('/projects'))).toEqual(['acme/shop']);
    expect(paths(await guest.get('/projects?group=acme'))).toEqual(['acme/shop']);
    expect(paths(await guest.get('/projects?group=acme/platform'))).toEqual([]);
    const admin = await api.user({ admin: true });
    expect(paths(await admin.get('/projects'))).toEqual(['acme/platform/tools', 'acme/shop', 'other/secret']);
    expect(paths(await admin.get('/projects?group=other'))).toEqual(['other/secret']);
  });

  test('of a foreign group as of an unknown one there are no projects', async () => {
    const foreign = await owner.get('/projects?group=other');
    expect(foreign.body).toEqual({ items: [], next: null });
    expect(foreign.text).toBe((await owner.get('/projects?group=nothing')).text);
  });

  test('a list of a group comes page by page', async () => {
    await owner.post('/groups', { parent: 'acme', name: 'many' });
    for (const name of ['a', 'b', 'c']) await owner.post('/projects', { group: 'acme/many', name });
    const first = await owner.get('/projects?group=acme/many&limit=2');
    expect(paths(first)).toEqual(['acme/many/a', 'acme/many/b']);
    const next = /<\/-\/api\/v1(.*)>; rel="next"/.exec(first.headers.get('link') ?? '')?.[1] ?? '';
    const second = await owner.get(next);
    expect(paths(second)).toEqual(['acme/many/c']);
    expect(second.body.next).toBeNull();
  });

  test('maintainers of a group add projects to it and change them, and only owners remove them', async () => {
    const made = await maintainer.post('/projects', { group: 'acme', name: 'new', description: 'for tests' });
    expect(made.status).toBe(201);
    expect(made.body).toEqual({
      id: made.body.id,
      path: 'acme/new',
      group_id: (await owner.get('/groups/acme')).body.id,
      description: 'for tests',
      endpoint_url: `${promgate.settings.externalUrl}/acme/new/-/prometheus`,
      managed_by: null,
    });
    const path = '/projects/acme%2Fnew';
    const changed = await maintainer.patch(path, { description: 'other' }, { ifMatch: made.etag });
    expect(changed.body.description).toBe('other');
    expect((await maintainer.patch(path, { description: 'more' }, { ifMatch: made.etag })).status).toBe(412);
    expect((await maintainer.delete(path)).status).toBe(404);
    expect((await maintainer.get(path)).status).toBe(200);
    expect((await owner.delete(path)).status).toBe(204);
    expect((await maintainer.get(path)).status).toBe(404);
  });

  test('who is maintainer of a project alone adds none beside it', async () => {
    const user = await api.user();
    await user.join('acme/shop', 'owner');
    expect((await user.patch('/projects/acme%2Fshop', { description: 'mine' })).status).toBe(200);
    expect((await user.post('/projects', { group: 'acme', name: 'beside' })).status).toBe(404);
  });

  test('what is foreign is answered to the letter like what is unknown', async () => {
    const questions = [
      (name: string) => owner.get(`/projects/${name}`),
      (name: string) => owner.patch(`/projects/${name}`, { description: 'mine' }),
      (name: string) => owner.delete(`/projects/${name}`),
      (name: string) => owner.post('/projects', { group: name.split('%2F')[0], name: 'mine' }),
    ];
    for (const question of questions) {
      const [foreign, unknown] = [await question('other%2Fsecret'), await question('nothing%2Fsecret')];
      expect(foreign.status).toBe(404);
      expect(foreign.text).toBe(unknown.text);
    }
    const admin = await api.user({ admin: true });
    const { id } = (await admin.get('/projects/other%2Fsecret')).body;
    expect((await owner.get(`/projects/${id}`)).text).toBe((await owner.get('/projects/999999')).text);
  });

  test('a taken path is a conflict, and every fault is told with a pointer to it', async () => {
    expect((await owner.post('/projects', { group: 'acme', name: 'SHOP' })).status).toBe(409);
    expect((await owner.post('/projects', { group: 'acme', name: 'platform' })).body.detail).toBe(
      'There is a group acme/platform already.',
    );
    expect((await owner.post('/projects', { group: 'acme', name: 'a b' })).body.errors).toEqual([
      { pointer: '#/name', detail: expect.stringContaining('may hold only letters') },
    ]);
    expect((await owner.post('/projects', { name: 'x' })).body.errors).toEqual([
      { pointer: '#/group', detail: 'is missing; it must be the path of a group' },
    ]);
    // The instance holds groups only, and a project holds none.
    expect((await owner.post('/projects', { group: 'acme/shop', name: 'x' })).status).toBe(404);
    const admin = await api.user({ admin: true });
    expect((await admin.post('/projects', { group: 'instance', name: 'x' })).status).toBe(404);
  });

  test('its endpoint opens at once after a project was made, and is gone at once with it', async () => {
    const { body } = await owner.post('/projects', { group: 'acme', name: 'quick' });
    const ask = () =>
      fetch(`${promgate.endpoint('acme/quick')}/api/v1/query?query=1`, { headers: { cookie: owner.cookie } }).then(
        async (answer) => ({ status: answer.status, text: await answer.text() }),
      );
    // There is no server for it: that is told to those alone who may ask.
    expect(await ask()).toMatchObject({ status: 503, text: expect.stringContaining('No prometheus server found') });
    await owner.delete(`/projects/${body.id}`);
    expect((await ask()).status).toBe(404);
  });
});

function paths({ body }: ApiAnswer): string[] {
  return body.items.map(({ path }: { path: string }) => path).sort();
}
