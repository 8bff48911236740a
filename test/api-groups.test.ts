import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiAnswer, type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

const resources = `
groups: [{ path: acme }, { path: acme/platform }, { path: other }]
projects:
  - { path: acme/platform/shop, environments: [{ name: production }, { name: staging }] }
  - { path: other/secret }
`;

describe.each(dialects)('groups on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let admin: ApiUser;
  let owner: ApiUser;
  let maintainer: ApiUser;

  beforeAll(async () => {
    promgate = await startTestPromgate({ resources, database });
    api = await apiOf(promgate);
    admin = await api.user({ admin: true });
    owner = await api.user();
    await owner.join('acme', 'owner');
    maintainer = await api.user();
    await maintainer.join('acme', 'maintainer');
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  test('a member sees the groups that the role reaches and no others', async () => {
    expect(paths(await owner.get('/groups'))).toEqual(['acme', 'acme/platform']);
    const guest = await api.user();
    expect(paths(await guest.get('/groups'))).toEqual([]);
    await guest.join('acme/platform', 'guest');
    expect(paths(await guest.get('/groups'))).toEqual(['acme/platform']);
    expect(paths(await admin.get('/groups'))).toEqual(['acme', 'acme/platform', 'other']);
  });

  test('a list comes page by page, each with where the next one is, and the last one without', async () => {
    const seen: string[] = [];
    let path: string | null = '/groups?limit=1';
    for (let pages = 0; path !== null && pages < 10; pages++) {
      const answer: ApiAnswer = await admin.get(path);
      expect(answer.status).toBe(200);
      seen.push(...paths(answer));
      const link = answer.headers.get('link');
      if (answer.body.next === null) expect(link).toBeNull();
      else expect(link).toBe(`</-/api/v1/groups?limit=1&after=${answer.body.next}>; rel="next"`);
      path = link === null ? null : link.slice('</-/api/v1'.length, link.indexOf('>'));
    }
    expect(seen.sort()).toEqual(paths(await admin.get('/groups')));
  });

  test('a group shows its endpoint, and is found by its id and by its path in any case', async () => {
    const { body } = await owner.get('/groups/acme%2Fplatform');
    const acme = await owner.get('/groups/acme');
    expect(body).toEqual({
      id: body.id,
      path: 'acme/platform',
      parent_id: acme.body.id,
      description: '',
      endpoint_url: `${promgate.settings.externalUrl}/groups/acme/platform/-/prometheus`,
      managed_by: 'apply',
    });
    expect((await owner.get(`/groups/${body.id}`)).body).toEqual(body);
    expect((await owner.get('/groups/ACME%2FPlatform')).body).toEqual(body);
  });

  test('only administrators add groups at the top, only owners below a group', async () => {
    const top = { parent: 'instance', name: 'top' };
    expect((await owner.post('/groups', top)).status).toBe(404);
    expect((await admin.post('/groups', top)).body).toMatchObject({ path: 'top', parent_id: null, managed_by: null });
    const below = { parent: 'acme', name: 'below', description: 'for tests' };
    expect((await maintainer.post('/groups', below)).status).toBe(404);
    const made = await owner.post('/groups', below);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ path: 'acme/below', description: 'for tests' });
    const read = await owner.get('/groups/acme%2Fbelow');
    expect(read.body).toEqual(made.body);
    expect(read.etag).toBe(made.etag);
  });

  test('what is foreign is answered to the letter like what is unknown', async () => {
    const questions = [
      (name: string) => owner.get(`/groups/${name}`),
      (name: string) => owner.patch(`/groups/${name}`, { description: 'mine' }),
      (name: string) => owner.delete(`/groups/${name}`),
      (name: string) => owner.post('/groups', { parent: name, name: 'mine' }),
    ];
    for (const question of questions) {
      const [foreign, unknown] = [await question('other'), await question('nothing')];
      expect(foreign.status).toBe(404);
      expect(foreign.text).toBe(unknown.text);
      expect([...foreign.headers.keys()]).toEqual([...unknown.headers.keys()]);
    }
    // A project is no group, although it is the owner's.
    expect((await owner.get('/groups/acme%2Fplatform%2Fshop')).status).toBe(404);
  });

  test('a path that a group or a project has is taken, in whatever case', async () => {
    for (const name of ['platform', 'PLATFORM']) {
      const answer = await owner.post('/groups', { parent: 'acme', name });
      expect(answer.status).toBe(409);
      expect(answer.body.detail).toBe('There is a group acme/platform already.');
    }
    expect((await owner.post('/groups', { parent: 'acme/platform', name: 'shop' })).status).toBe(409);
  });

  test('every fault of a body is told with a pointer to it, and of a query with its name', async () => {
    const faulty = await owner.post('/groups', { parent: 3, name: '', description: 'a\nb', 'odd/key': 1 });
    expect(faulty.status).toBe(400);
    expect(faulty.headers.get('content-type')).toBe('application/problem+json');
    expect(faulty.body.errors).toEqual([
      { pointer: '#/parent', detail: 'must be the path of a group, or instance' },
      { pointer: '#/name', detail: 'must not be empty' },
      { pointer: '#/description', detail: 'must not hold control characters' },
      { pointer: '#/odd~1key', detail: 'unknown key' },
    ]);
    for (const name of ['a/b', '-x', 'x.git', 'ü']) {
      expect((await owner.post('/groups', { parent: 'acme', name })).body.errors).toEqual([
        { pointer: '#/name', detail: expect.any(String) },
      ]);
    }
    expect((await admin.post('/groups', { parent: 'instance', name: 'api' })).body.errors).toEqual([
      { pointer: '#/name', detail: 'must not start with "api": that part of the URL is taken' },
    ]);
    expect((await owner.get('/groups?limit=1000&order=up')).body.errors).toEqual([
      { parameter: 'limit', detail: 'must be a number from 1 to 200' },
      { parameter: 'order', detail: 'unknown parameter' },
    ]);
  });

  test('of two editors who read the same the second one is told, and nothing is lost', async () => {
    const { body, etag } = await owner.post('/groups', { parent: 'acme', name: 'edited' });
    const path = `/groups/${body.id}`;
    const first = await owner.patch(path, { description: 'first' }, { ifMatch: etag });
    expect(first.status).toBe(200);
    const second = await owner.patch(path, { description: 'second' }, { ifMatch: etag });
    expect(second.status).toBe(412);
    expect(second.body.detail).toContain('read it again');
    expect((await owner.get(path)).body.description).toBe('first');
    const without = await owner.ask('PATCH', path, { body: { description: 'third' } });
    expect(without.status).toBe(428);
    expect(without.body.detail).toContain('If-Match');
    expect((await owner.patch(path, { description: 'fourth' }, { ifMatch: `"x", ${first.etag}` })).status).toBe(200);
    expect((await owner.patch(path, { description: 'fifth' }, { ifMatch: '*' })).body.description).toBe('fifth');
  });

  test('what was not changed meanwhile is not sent again', async () => {
    const { etag } = await owner.get('/groups/acme');
    const again = await owner.get('/groups/acme', { headers: { 'if-none-match': etag } });
    expect([again.status, again.text, again.etag]).toEqual([304, '', etag]);
  });

  test('a group is removed with all that is in it, as it was read, and the audit log tells how much that was', async () => {
    const { body, etag } = await owner.post('/groups', { parent: 'acme', name: 'gone' });
    const path = `/groups/${body.id}`;
    await owner.patch(path, { description: 'changed' });
    expect((await owner.delete(path, { ifMatch: etag })).status).toBe(412);
    await owner.post('/projects', { group: 'acme/gone', name: 'shop' });
    await owner.post('/environments', { project: 'acme/gone/shop', name: 'production' });
    const read = await owner.get(path);
    const removed = await owner.delete(path, { ifMatch: read.etag });
    expect([removed.status, removed.text]).toEqual([204, '']);
    expect((await owner.get(path)).status).toBe(404);
    expect((await owner.get('/projects/acme%2Fgone%2Fshop')).status).toBe(404);
    const events = await api.database.read((trx) =>
      trx.selectFrom('audit_events').selectAll().where('object_name', '=', 'acme/gone').orderBy('id').execute(),
    );
    expect(events.map(({ action }) => action)).toEqual(['created', 'changed', 'removed']);
    expect(events.at(-1)).toMatchObject({ actor_kind: 'user', actor_name: owner.username, address: '127.0.0.1' });
    expect(JSON.parse(events.at(-1)?.detail ?? '')).toEqual({ with: { projects: 1, environments: 1 } });
  });

  test('a change that changes nothing is no event', async () => {
    const { body } = await owner.post('/groups', { parent: 'acme', name: 'still', description: 'as it is' });
    expect((await owner.patch(`/groups/${body.id}`, {})).status).toBe(200);
    expect((await owner.patch(`/groups/${body.id}`, { description: 'as it is' })).status).toBe(200);
    const events = await api.database.read((trx) =>
      trx.selectFrom('audit_events').select('action').where('object_name', '=', 'acme/still').execute(),
    );
    expect(events).toEqual([{ action: 'created' }]);
  });

  test('groups are found by paths as long as they may be', async () => {
    let parent = 'acme';
    for (let depth = 2; depth <= 6; depth++) {
      const name = `${depth}${'x'.repeat(100)}`;
      expect((await owner.post('/groups', { parent, name })).status).toBe(201);
      parent = `${parent}/${name}`;
    }
    expect((await owner.get(`/groups/${encodeURIComponent(parent)}`)).body.path).toBe(parent);
  });
});

function paths({ body }: ApiAnswer): string[] {
  return body.items.map(({ path }: { path: string }) => path).sort();
}
