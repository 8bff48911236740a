import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { updateUser } from '../src/storage/users.ts';
import { type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

const password = 'correct horse battery';

describe.each(dialects)('users on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let admin: ApiUser;

  beforeAll(async () => {
    promgate = await startTestPromgate({ resources: 'groups: [{ path: acme }]', database });
    api = await apiOf(promgate);
    admin = await api.user({ username: 'root', admin: true });
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  test('an administrator adds a user with a password, who signs in with it', async () => {
    const made = await admin.post('/users', { username: 'anna', name: 'Anna', email: 'anna@example.com', password });
    expect(made.status).toBe(201);
    expect(made.body).toEqual({
      id: made.body.id,
      username: 'anna',
      name: 'Anna',
      email: 'anna@example.com',
      admin: false,
      admin_by: null,
      state: 'active',
      has_password: true,
      created_at: expect.stringMatching(/Z$/),
      last_sign_in_at: null,
      one_time_link: null,
    });
    expect(made.text).not.toContain('argon2');
    expect((await api.anonymous.post('/session', { username: 'anna', password })).status).toBe(201);
    const { one_time_link: _, ...user } = made.body;
    const read = (await admin.get('/users/ANNA')).body;
    expect(read).toEqual({ ...user, last_sign_in_at: expect.stringMatching(/Z$/) });
  });

  test('a user without a password gets a link, shown once, that dies by the next one', async () => {
    const made = await admin.post('/users', { username: 'bert' });
    const page = async (link: string) => {
      const url = new URL(link);
      return (await fetch(promgate.url + url.pathname + url.search)).status;
    };
    expect(made.body).toMatchObject({ name: 'bert', email: null, has_password: false });
    expect(await page(made.body.one_time_link)).toBe(200);
    const next = await admin.post('/users/bert/one_time_link', undefined);
    expect(next.status).toBe(201);
    expect(Date.parse(next.body.expires_at)).toBeGreaterThan(Date.now());
    expect(await page(made.body.one_time_link)).toBe(404);
    expect(await page(next.body.one_time_link)).toBe(200);
    const stored = JSON.stringify(await api.database.read((trx) => trx.selectFrom('audit_events').selectAll().execute()));
    const secret = new URL(next.body.one_time_link).searchParams.get('token') ?? '';
    expect(secret).not.toBe('');
    expect(stored).not.toContain(secret);
  });

  test('nobody else learns anything of users', async () => {
    const user = await api.user();
    await user.join('acme', 'owner');
    const unknown = await user.get('/users/nobody');
    expect(unknown.status).toBe(404);
    const answers = [
      await user.get('/users/root'),
      await user.get(`/users/${user.id}`),
      await user.patch(`/users/${user.id}`, { admin: true }),
      await user.delete('/users/root'),
      await user.post('/users/root/one_time_link', undefined),
      await user.delete('/users/root/sessions'),
      await user.get('/users'),
      await user.post('/users', { username: 'mine', admin: true }),
    ];
    for (const { status, text } of answers) expect([status, text]).toEqual([404, unknown.text]);
  });

  test('all users come page by page', async () => {
    const first = await admin.get('/users?limit=1');
    expect(first.body.items).toHaveLength(1);
    expect(first.headers.get('link')).toContain('rel="next"');
    const all = await admin.get('/users?limit=200');
    expect(all.body.next).toBeNull();
    const names = all.body.items.map(({ username }: { username: string }) => username);
    expect(names).toEqual(expect.arrayContaining(['root', 'anna', 'bert']));
    expect(all.text).not.toMatch(/argon2|password_hash/);
  });

  test('a taken username is a conflict in whatever case, and every fault is told with a pointer to it', async () => {
    const taken = await admin.post('/users', { username: 'ROOT', password });
    expect(taken.status).toBe(409);
    expect(taken.body.detail).toContain('is taken');
    const faulty = await admin.post('/users', { username: '7', email: 'x', admin: 1, phone: '' });
    expect(faulty.body.errors).toEqual([
      { pointer: '#/username', detail: 'a username must not be a number' },
      { pointer: '#/email', detail: expect.stringContaining('one "@"') },
      { pointer: '#/admin', detail: 'must be true or false' },
      { pointer: '#/phone', detail: 'unknown key' },
    ]);
    expect((await admin.post('/users', { username: 'short', password: 'short' })).body.errors).toEqual([
      { pointer: '#/password', detail: 'a password must have at least 12 characters' },
    ]);
  });

  test('of two editors the second one is told', async () => {
    const user = await api.user();
    const path = `/users/${user.username}`;
    const { etag } = await admin.get(path);
    const first = await admin.patch(path, { name: 'First', email: 'f@example.com' }, { ifMatch: etag });
    expect(first.body).toMatchObject({ name: 'First', email: 'f@example.com' });
    expect((await admin.patch(path, { name: 'Second' }, { ifMatch: etag })).status).toBe(412);
    expect((await admin.ask('PATCH', path, { body: { name: 'Third' } })).status).toBe(428);
    expect((await admin.patch(path, { email: null, name: '' }, { ifMatch: first.etag })).body).toMatchObject({
      name: user.username,
      email: null,
    });
  });

  test('who is blocked is out at once, with session and personal token, and in again only by signing in', async () => {
    const user = await api.user();
    const token = await user.personalToken('account:read');
    expect((await token.get('/user')).status).toBe(200);
    const path = `/users/${user.id}`;
    expect((await admin.patch(path, { state: 'blocked' })).body.state).toBe('blocked');
    expect((await user.get('/user')).status).toBe(401);
    expect((await token.get('/user')).status).toBe(401);
    expect((await admin.post(`${path}/one_time_link`, undefined)).status).toBe(409);
    expect((await admin.patch(path, { state: 'active' })).body.state).toBe('active');
    expect((await user.get('/user')).status).toBe(401);
    expect((await token.get('/user')).status).toBe(200);
    const events = await api.database.read((trx) =>
      trx
        .selectFrom('audit_events')
        .select('action')
        .where('object_kind', '=', 'user')
        .where('object_id', '=', user.id)
        .orderBy('id')
        .execute(),
    );
    expect(events.map(({ action }) => action)).toEqual(['created', 'blocked', 'unblocked']);
  });

  test('administrators block, demote and remove others, never themselves: so there is always one', async () => {
    for (const answer of [
      await admin.patch('/users/root', { admin: false }),
      await admin.patch('/users/root', { state: 'blocked' }),
      await admin.patch('/users/root', { name: 'Gone', state: 'blocked' }),
      await admin.delete('/users/root'),
    ]) {
      expect(answer.status).toBe(409);
    }
    expect((await admin.get('/users/root')).body).toMatchObject({ admin: true, state: 'active', name: 'root' });
    const other = await api.user({ admin: true });
    expect((await other.get('/users')).status).toBe(200);
    expect((await admin.patch(`/users/${other.id}`, { admin: false })).body.admin).toBe(false);
    expect((await other.get('/users')).status).toBe(404);
    expect((await admin.patch(`/users/${other.id}`, { admin: true })).body.admin).toBe(true);
    expect((await other.get('/users')).status).toBe(200);
  });

  test('of two administrators who demote each other at once one stays', async () => {
    const [one, two] = [await api.user({ admin: true }), await api.user({ admin: true })];
    const answers = await Promise.all([
      one.patch(`/users/${two.id}`, { admin: false }),
      two.patch(`/users/${one.id}`, { admin: false }),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 404]);
  });

  test('an administrator by the rules of a provider is not demoted by hand', async () => {
    const user = await api.user();
    await api.database.write((trx) => updateUser(trx, user.id, { admin_by: 'gitlab' }));
    const answer = await admin.patch(`/users/${user.id}`, { admin: false });
    expect(answer.status).toBe(409);
    expect(answer.body.detail).toContain('the rules of the provider gitlab');
    expect((await admin.get(`/users/${user.id}`)).body).toMatchObject({ admin: true, admin_by: 'gitlab' });
  });

  test('an administrator by the rules of a provider is none by hand because somebody sent back what was read', async () => {
    const user = await api.user();
    await api.database.write((trx) => updateUser(trx, user.id, { admin_by: 'gitlab' }));
    const { admin: wasAdmin, name } = (await admin.get(`/users/${user.id}`)).body;
    const answer = await admin.patch(`/users/${user.id}`, { admin: wasAdmin, name });
    expect(answer.body).toMatchObject({ admin: true, admin_by: 'gitlab' });
    await api.database.write((trx) => updateUser(trx, user.id, { admin_by: null }));
    expect((await admin.get(`/users/${user.id}`)).body.admin).toBe(false);
  });

  test('who is removed is gone with sessions and roles, and owners read that the member is gone', async () => {
    const user = await api.user();
    await user.join('acme', 'reporter');
    const token = await user.personalToken('account:read');
    expect((await admin.delete(`/users/${user.id}`)).status).toBe(204);
    expect((await user.get('/user')).status).toBe(401);
    expect((await token.get('/user')).status).toBe(401);
    expect((await admin.get(`/users/${user.id}`)).status).toBe(404);
    expect((await admin.get('/members?of=acme')).text).not.toContain(user.username);
    const events = await api.database.read((trx) =>
      trx
        .selectFrom('audit_events')
        .select(['action', 'object_kind', 'group_ids'])
        .where('object_name', '=', `${user.username}@acme`)
        .execute(),
    );
    expect(events).toEqual([{ action: 'removed', object_kind: 'member', group_ids: expect.stringMatching(/^,\d+,$/) }]);
  });

  test('an administrator ends the sessions of a user', async () => {
    const user = await api.user();
    const again = await user.again();
    expect((await admin.delete(`/users/${user.username}/sessions`)).status).toBe(204);
    expect([(await user.get('/user')).status, (await again.get('/user')).status]).toEqual([401, 401]);
    expect((await admin.delete(`/users/${user.username}/sessions`)).status).toBe(204);
    expect((await admin.delete('/users/nobody/sessions')).status).toBe(404);
  });

  test('a personal token of an administrator reads users with its scope and changes them only with the other', async () => {
    const token = await admin.personalToken('users:read');
    expect((await token.get('/users/root')).status).toBe(200);
    const refused = await token.patch('/users/root', { name: 'x' });
    expect(refused.status).toBe(403);
    expect(refused.body.detail).toBe('this needs a personal token with the scope users:write');
  });
});
