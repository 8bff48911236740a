import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPasswords } from '../src/access/passwords.ts';
import { insertIdentity } from '../src/storage/identities.ts';
import { type ApiAnswer, type ApiRig, type ApiUser, apiOf, clientWith } from './support/api.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

const password = 'correct horse battery';
const other = 'battery staple horse';
const DAY = 86_400_000;

describe.each(dialects)('accounts on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let passwordHash: string;

  beforeAll(async () => {
    promgate = await startTestPromgate({ resources: 'groups: [{ path: acme }]', database });
    api = await apiOf(promgate);
    passwordHash = await createPasswords().hash(password);
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  /** Somebody as the answer to a sign-in makes the browser come back. */
  function signedIn({ headers, body }: ApiAnswer) {
    const cookie = headers.get('set-cookie')?.split(';')[0] ?? '';
    return clientWith(`${promgate.url}/-/api/v1`, { cookie, 'x-csrf-token': body.csrf_token });
  }

  async function eventsOf(user: ApiUser): Promise<string[]> {
    const rows = await api.database.read((trx) =>
      trx.selectFrom('audit_events').select(['action', 'object_kind']).where('actor_id', '=', user.id).orderBy('id').execute(),
    );
    return rows.map(({ action, object_kind }) => `${action} ${object_kind}`);
  }

  describe('signing in', () => {
    test('gives a cookie that scripts do not see, and a CSRF token, with which the session works until it is signed out', async () => {
      const { username, id } = await api.user({ name: 'Anna', passwordHash });
      const answer = await api.anonymous.post('/session', { username, password });
      expect(answer.status).toBe(201);
      expect(answer.body).toEqual({
        user: { id, username, name: 'Anna', admin: false },
        csrf_token: expect.stringMatching(/^[\w-]{43}$/),
        expires_at: expect.stringMatching(/Z$/),
        scopes: null,
      });
      expect(answer.headers.get('set-cookie')).toMatch(
        /^promgate_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=604800$/,
      );
      const client = signedIn(answer);
      const session = await client.get('/session');
      expect({ ...session.body, expires_at: '' }).toEqual({ ...answer.body, expires_at: '' });
      const out = await client.delete('/session');
      expect(out.status).toBe(204);
      expect(out.headers.get('set-cookie')).toMatch(/^promgate_session=; .*Max-Age=0$/);
      expect((await client.get('/session')).status).toBe(401);
    });

    test('is refused in the same words for a wrong password, somebody unknown, somebody blocked and somebody without one', async () => {
      const admin = await api.user({ admin: true });
      const [anna, blocked, without] = [await api.user({ passwordHash }), await api.user({ passwordHash }), await api.user()];
      await admin.patch(`/users/${blocked.id}`, { state: 'blocked' });
      const wrong = await api.anonymous.post('/session', { username: anna.username, password: other });
      expect(wrong.status).toBe(401);
      expect(wrong.headers.get('set-cookie')).toBeNull();
      for (const username of ['nobody', blocked.username, without.username, 'no username', '7']) {
        const answer = await api.anonymous.post('/session', { username, password });
        expect([answer.status, answer.text]).toEqual([wrong.status, wrong.text]);
      }
    });

    test('from the page of another site is refused before a password is looked at', async () => {
      const { username } = await api.user({ passwordHash });
      for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }, { origin: 'null' }]) {
        const answer = await api.anonymous.post('/session', { username, password }, { headers });
        expect(answer.status).toBe(403);
        expect(answer.headers.get('set-cookie')).toBeNull();
      }
      const form = await api.anonymous.ask('POST', '/session', {
        body: `username=${username}&password=x`,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      });
      expect(form.status).toBe(415);
    });

    test('ends the session whose cookie came along', async () => {
      const user = await api.user({ passwordHash });
      const again = { username: user.username, password };
      await api.anonymous.post('/session', again, { headers: { cookie: user.cookie } });
      expect((await user.get('/session')).status).toBe(401);
    });

    test('has to wait after several wrong passwords, the right one included', async () => {
      const { username } = await api.user({ passwordHash });
      for (let i = 0; i < 5; i++) await api.anonymous.post('/session', { username, password: other });
      const answer = await api.anonymous.post('/session', { username, password });
      expect(answer.status).toBe(429);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    });
  });

  test('without a CSRF token, or with that of another session, a session changes nothing', async () => {
    const user = await api.user();
    const again = await user.again();
    const before = await api.database.read((trx) => trx.selectFrom('personal_tokens').select('id').execute());
    for (const csrf of [undefined, '', again.csrf, 'x'.repeat(43)]) {
      const question = { headers: { 'x-csrf-token': csrf } };
      const body = { name: 'x', scopes: ['account:read'] };
      expect((await user.post('/user/personal_tokens', body, question)).status).toBe(403);
      expect((await user.delete('/user/sessions', question)).status).toBe(403);
      expect((await user.delete('/session', question)).status).toBe(403);
    }
    expect(await api.database.read((trx) => trx.selectFrom('personal_tokens').select('id').execute())).toEqual(before);
    expect((await user.get('/session')).status).toBe(200);
  });

  test('the account shows who one is and which roles one has, and nothing to nobody', async () => {
    const user = await api.user({ name: 'Carl', email: 'carl@example.com', passwordHash });
    const id = await user.join('acme', 'developer');
    expect((await user.get('/user')).body).toEqual({
      id: user.id,
      username: user.username,
      name: 'Carl',
      email: 'carl@example.com',
      admin: false,
      has_password: true,
      memberships: [{ id, on: 'acme', role: 'developer', source: 'manual' }],
    });
    const nobody = await api.anonymous.get('/user');
    expect(nobody.status).toBe(401);
    expect(nobody.headers.get('www-authenticate')).toMatch(/^Bearer /);
  });

  describe('the password', () => {
    test('is changed by whoever knows the current one, and all other sessions end', async () => {
      const user = await api.user({ passwordHash });
      const again = await user.again();
      const changed = await user.put('/user/password', { current_password: password, new_password: other });
      expect([changed.status, changed.text]).toEqual([204, '']);
      expect((await user.get('/user')).status).toBe(200);
      expect((await again.get('/user')).status).toBe(401);
      expect((await api.anonymous.post('/session', { username: user.username, password })).status).toBe(401);
      expect((await api.anonymous.post('/session', { username: user.username, password: other })).status).toBe(201);
      expect(await eventsOf(user)).toEqual(['password_changed user', 'signed_in user']);
    });

    test('stays with a wrong current one, and guesses are throttled as at a sign-in', async () => {
      const user = await api.user({ passwordHash });
      const change = (current_password: string) => user.put('/user/password', { current_password, new_password: other });
      for (let i = 0; i < 5; i++) expect((await change('wrong horse battery')).status).toBe(403);
      expect((await change(password)).status).toBe(429);
    });

    test('of too little strength is refused with a pointer to it, without a look at the current one', async () => {
      const user = await api.user({ passwordHash });
      for (let i = 0; i < 7; i++) {
        const answer = await user.put('/user/password', { current_password: 'wrong', new_password: 'short' });
        expect(answer.body.errors).toEqual([
          { pointer: '#/new_password', detail: 'a password must have at least 12 characters' },
        ]);
      }
    });
  });

  describe('sessions', () => {
    test('are listed with where they began, the current one marked, and end one by one', async () => {
      const user = await api.user();
      const again = await user.again();
      const { body, text } = await user.get('/user/sessions');
      expect(body.items).toHaveLength(2);
      expect(body.items.map(({ current }: { current: boolean }) => current)).toEqual([false, true]);
      expect(body.items[0]).toEqual({
        id: expect.any(Number),
        current: false,
        provider: null,
        address: '127.0.0.1',
        user_agent: 'test',
        created_at: expect.stringMatching(/Z$/),
        last_seen_at: expect.stringMatching(/Z$/),
        expires_at: expect.stringMatching(/Z$/),
      });
      expect(text).not.toMatch(/[0-9a-f]{64}/);
      expect((await user.delete(`/user/sessions/${body.items[0].id}`)).status).toBe(204);
      expect((await again.get('/user')).status).toBe(401);
      const own = await user.delete(`/user/sessions/${body.items[1].id}`);
      expect(own.headers.get('set-cookie')).toContain('Max-Age=0');
      expect((await user.get('/user')).status).toBe(401);
      expect(await eventsOf(user)).toEqual(['signed_out session', 'signed_out session']);
    });

    test('of others are answered to the letter like unknown ones', async () => {
      const [user, stranger] = [await api.user(), await api.user()];
      const [{ id }] = (await stranger.get('/user/sessions')).body.items;
      const [foreign, unknown] = [await user.delete(`/user/sessions/${id}`), await user.delete('/user/sessions/999999')];
      expect(foreign.status).toBe(404);
      expect(foreign.text).toBe(unknown.text);
      expect((await user.delete('/user/sessions/x')).text).toBe(unknown.text);
      expect((await stranger.get('/user')).status).toBe(200);
    });

    test('end all at once, this one included, and personal tokens stay', async () => {
      const user = await api.user();
      const [again, token] = [await user.again(), await user.personalToken('account:read')];
      const answer = await user.delete('/user/sessions');
      expect(answer.status).toBe(204);
      expect(answer.headers.get('set-cookie')).toContain('Max-Age=0');
      expect([(await user.get('/user')).status, (await again.get('/user')).status]).toEqual([401, 401]);
      expect((await token.get('/user')).status).toBe(200);
    });

    test('that were idle for too long are neither good nor listed', async () => {
      const [user, idle] = await api.user().then(async (user) => [user, await user.again()] as const);
      const ago = Date.now() - promgate.settings.sessions.idle - 1_000;
      await api.database.write((trx) =>
        trx
          .updateTable('sessions')
          .set({ created_at: ago })
          .where('user_id', '=', user.id)
          .where('id', '=', (eb) => eb.selectFrom('sessions').select(eb.fn.max('id').as('id')).where('user_id', '=', user.id))
          .execute(),
      );
      expect((await idle.get('/user')).status).toBe(401);
      expect((await user.get('/user/sessions')).body.items).toHaveLength(1);
    });
  });

  describe('personal tokens', () => {
    test('are shown once, work as far as their scopes go, and are dead at once when revoked', async () => {
      const user = await api.user();
      const made = await user.post('/user/personal_tokens', { name: 'terraform', scopes: ['account:read'] });
      expect(made.status).toBe(201);
      expect(made.body.token).toMatch(/^promgate_api_[0-9A-Za-z]{38}$/);
      const { token, ...record } = made.body;
      expect(Date.parse(record.expires_at) - Date.parse(record.created_at)).toBe(90 * DAY);
      const client = clientWith(`${promgate.url}/-/api/v1`, { authorization: `Bearer ${token}` });
      expect((await client.get('/user')).body.username).toBe(user.username);
      expect((await client.get('/session')).body).toMatchObject({ csrf_token: null, expires_at: null, scopes: ['account:read'] });
      const refused = await client.get('/groups');
      expect(refused.status).toBe(403);
      expect(refused.body.detail).toBe('this needs a personal token with the scope directory:read');
      const list = await user.get('/user/personal_tokens');
      expect(list.body.items).toEqual([{ ...record, last_used_at: null }]);
      expect(list.text).not.toContain(token);
      expect(list.text).not.toMatch(/[0-9a-f]{64}/);
      const path = `/user/personal_tokens/${record.id}`;
      expect((await user.delete(path)).status).toBe(204);
      expect((await client.get('/user')).status).toBe(401);
      expect((await user.delete(path)).status).toBe(204);
      expect((await user.get('/user/personal_tokens')).body.items[0].revoked_at).toMatch(/Z$/);
      expect(await eventsOf(user)).toEqual(['created personal_token', 'revoked personal_token']);
    });

    test('do nothing that only a signed-in user may: no token makes another, or itself last longer', async () => {
      const user = await api.user({ passwordHash });
      const token = await user.personalToken('account:read', 'users:write', 'directory:write');
      const answers = [
        await token.get('/user/personal_tokens'),
        await token.post('/user/personal_tokens', { name: 'x', scopes: ['account:read'] }),
        await token.get('/user/sessions'),
        await token.delete('/user/sessions'),
        await token.delete('/session'),
        await token.put('/user/password', { current_password: password, new_password: other }),
        await token.get('/user/identities'),
      ];
      for (const { status, body } of answers) {
        expect(status).toBe(403);
        expect(body.detail).toBe('this needs signing in: no personal token may do this');
      }
    });

    test('are the own ones alone', async () => {
      const [user, stranger] = [await api.user(), await api.user()];
      const token = await stranger.personalToken('account:read');
      const [{ id }] = (await stranger.get('/user/personal_tokens')).body.items;
      const [foreign, unknown] = [
        await user.delete(`/user/personal_tokens/${id}`),
        await user.delete('/user/personal_tokens/999999'),
      ];
      expect(foreign.status).toBe(404);
      expect(foreign.text).toBe(unknown.text);
      expect((await token.get('/user')).status).toBe(200);
      expect((await user.get('/user/personal_tokens')).body.items).toEqual([]);
    });

    test('end a year from now at the latest, and are told apart by pages', async () => {
      const user = await api.user();
      const make = (days: number) =>
        user.post('/user/personal_tokens', {
          name: 'x',
          scopes: ['account:read'],
          expires_at: new Date(Date.now() + days * DAY).toISOString(),
        });
      expect((await make(365)).status).toBe(201);
      for (const days of [-1, 367]) {
        expect((await make(days)).body.errors).toEqual([{ pointer: '#/expires_at', detail: expect.any(String) }]);
      }
      await make(1);
      const first = await user.get('/user/personal_tokens?limit=1');
      const second = await user.get(`/user/personal_tokens?limit=1&after=${first.body.next}`);
      expect(second.body.next).toBeNull();
      expect(second.body.items[0].id).toBeGreaterThan(first.body.items[0].id);
    });

    test('that have expired open nothing', async () => {
      const user = await api.user();
      const token = await user.personalToken('account:read');
      await api.database.write((trx) =>
        trx.updateTable('personal_tokens').set({ expires_at: Date.now() }).where('user_id', '=', user.id).execute(),
      );
      expect((await token.get('/user')).status).toBe(401);
    });

    test('need a name and scopes that there are', async () => {
      const user = await api.user();
      const faulty = await user.post('/user/personal_tokens', { name: ' ', scopes: ['all'], expires_at: 'soon' });
      expect(faulty.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
        '#/name',
        '#/scopes/0',
        '#/expires_at',
      ]);
      for (const scopes of [[], ['account:read', 'account:read'], 'account:read']) {
        expect((await user.post('/user/personal_tokens', { name: 'x', scopes })).body.errors).toEqual([
          { pointer: '#/scopes', detail: expect.any(String) },
        ]);
      }
    });
  });

  describe('linked accounts', () => {
    const subject = (name: string) => ({ provider: name, issuer: `https://${name}.example`, subject: '17' });
    const link = (user: ApiUser, name: string) =>
      api.database.write((trx) =>
        insertIdentity(trx, { userId: user.id, ...subject(name), subject: user.username, at: Date.now() }),
      );

    test('are listed, and removed as long as there is another way to sign in', async () => {
      const user = await api.user();
      const [one, two] = [await link(user, 'gitlab'), await link(user, 'keycloak')];
      expect((await user.get('/user/identities')).body.items).toEqual([
        expect.objectContaining({ id: one.id, provider: 'gitlab', issuer: 'https://gitlab.example', subject: user.username }),
        expect.objectContaining({ id: two.id, provider: 'keycloak', last_sign_in_at: null }),
      ]);
      expect((await user.delete(`/user/identities/${one.id}`)).status).toBe(204);
      const last = await user.delete(`/user/identities/${two.id}`);
      expect(last.status).toBe(409);
      expect(last.body.detail).toContain('only way to sign in');
      const withPassword = await api.user({ passwordHash });
      const three = await link(withPassword, 'gitlab');
      expect((await withPassword.delete(`/user/identities/${three.id}`)).status).toBe(204);
    });

    test('of others are answered to the letter like unknown ones', async () => {
      const [user, stranger] = [await api.user(), await api.user({ passwordHash })];
      const { id } = await link(stranger, 'gitlab');
      const [foreign, unknown] = [await user.delete(`/user/identities/${id}`), await user.delete('/user/identities/999999')];
      expect(foreign.status).toBe(404);
      expect(foreign.text).toBe(unknown.text);
      expect((await stranger.get('/user/identities')).body.items).toHaveLength(1);
    });

    test('are begun only with providers of the configuration', async () => {
      const user = await api.user();
      expect((await user.post('/user/identities', { provider: 'gitlab' })).body.errors).toEqual([
        { pointer: '#/provider', detail: 'there is no such provider: there are none' },
      ]);
    });
  });
});
