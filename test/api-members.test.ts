import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findGroup } from '../src/storage/groups.ts';
import { insertMember, oidcSource } from '../src/storage/members.ts';
import { type ApiAnswer, type ApiRig, type ApiUser, apiOf } from './support/api.ts';
import { dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

const resources = `
groups: [{ path: acme }, { path: acme/platform }, { path: other }]
projects: [{ path: acme/shop }, { path: other/secret }]
`;

describe.each(dialects)('members on %s', (database) => {
  let promgate: TestPromgate;
  let api: ApiRig;
  let owner: ApiUser;

  beforeAll(async () => {
    promgate = await startTestPromgate({ resources, database });
    api = await apiOf(promgate);
    owner = await api.user({ username: 'olga', name: 'Olga O.' });
    await owner.join('acme', 'owner');
  });
  afterAll(async () => {
    await api.close();
    await promgate.close();
  });

  /** A role that a provider's rules gave. */
  async function given(user: ApiUser, role: 'maintainer' | 'reporter'): Promise<number> {
    return api.database.write(async (trx) => {
      const group = await findGroup(trx, 'acme');
      const on = { level: 'group', id: group?.id ?? 0 } as const;
      return (await insertMember(trx, on, { userId: user.id, role, source: oidcSource('gitlab'), at: Date.now() })).id;
    });
  }

  test('an owner adds somebody by the username, who may at once what the role gives, until it is taken', async () => {
    const anna = await api.user({ username: 'anna', name: 'Anna A.' });
    expect((await anna.get('/projects/acme%2Fshop')).status).toBe(404);
    const made = await owner.post('/members', { of: 'acme/shop', user: 'ANNA', role: 'developer' });
    expect(made.status).toBe(201);
    expect(made.body).toEqual({
      id: made.body.id,
      user: { id: anna.id, username: 'anna', name: 'Anna A.' },
      role: 'developer',
      on: 'acme/shop',
      source: 'manual',
      created_at: expect.stringMatching(/Z$/),
    });
    expect((await anna.get('/projects/acme%2Fshop')).status).toBe(200);
    const path = `/members/${made.body.id}`;
    const read = await owner.get(path);
    expect([read.body, read.etag]).toEqual([made.body, made.etag]);
    const changed = await owner.patch(path, { role: 'maintainer' }, { ifMatch: made.etag });
    expect(changed.body.role).toBe('maintainer');
    expect((await anna.patch('/projects/acme%2Fshop', { description: 'hers' })).status).toBe(200);
    expect((await owner.patch(path, { role: 'guest' }, { ifMatch: made.etag })).status).toBe(412);
    expect((await owner.ask('PATCH', path, { body: { role: 'guest' } })).status).toBe(428);
    expect((await owner.delete(path)).status).toBe(204);
    expect((await anna.get('/projects/acme%2Fshop')).status).toBe(404);
  });

  test('the endpoint is open to a new member at once, and closed at once to one who was removed', async () => {
    const user = await api.user();
    const ask = async () => {
      const answer = await fetch(`${promgate.endpoint('acme/shop')}/api/v1/query?query=1`, { headers: { cookie: user.cookie } });
      await answer.arrayBuffer();
      return answer.status;
    };
    // Whatever the API changes brings the process up to date: it knows the session, too.
    await user.personalToken('account:read');
    expect(await ask()).toBe(404);
    const { body } = await owner.post('/members', { of: 'acme', user: user.username, role: 'reporter' });
    // It has no server: 503 is for those who may ask.
    expect(await ask()).toBe(503);
    await owner.delete(`/members/${body.id}`);
    expect(await ask()).toBe(404);
  });

  test('reporters see who is a member there, with those of the groups above where asked; guests do not', async () => {
    const reporter = await api.user({ username: 'rita' });
    await reporter.join('acme/shop', 'reporter');
    expect(roles(await reporter.get('/members?of=acme/shop'))).toEqual(['rita reporter acme/shop']);
    const inherited = roles(await reporter.get('/members?of=acme/shop&inherited=true'));
    expect(inherited).toEqual(['olga owner acme', 'rita reporter acme/shop']);
    expect(roles(await owner.get('/members?of=acme/platform'))).toEqual([]);
    expect(roles(await owner.get('/members?of=acme/platform&inherited=true'))).toEqual(['olga owner acme']);
    const guest = await api.user();
    await guest.join('acme/shop', 'guest');
    expect((await guest.get('/members?of=acme/shop')).status).toBe(404);
  });

  test('only owners change who is a member', async () => {
    const maintainer = await api.user();
    const id = await maintainer.join('acme', 'maintainer');
    expect((await maintainer.post('/members', { of: 'acme', user: 'olga', role: 'guest' })).status).toBe(404);
    expect((await maintainer.patch(`/members/${id}`, { role: 'owner' })).status).toBe(404);
    expect((await maintainer.delete(`/members/${id}`)).status).toBe(404);
    expect((await maintainer.get(`/members/${id}`)).body.role).toBe('maintainer');
  });

  test('adding somebody unknown is answered to the letter like adding to something unknown', async () => {
    const unknown = await owner.post('/members', { of: 'acme', user: 'nobody', role: 'guest' });
    expect(unknown.status).toBe(404);
    expect(unknown.text).not.toContain('nobody');
    const questions = [
      { of: 'other', user: 'olga', role: 'guest' },
      { of: 'other/secret', user: 'nobody', role: 'guest' },
      { of: 'nothing', user: 'olga', role: 'guest' },
    ];
    for (const question of questions) expect((await owner.post('/members', question)).text).toBe(unknown.text);
  });

  test('nobody but an administrator learns of others by trying ids', async () => {
    const hidden = await api.user();
    expect((await owner.post('/members', { of: 'acme', user: String(hidden.id), role: 'guest' })).status).toBe(404);
    const admin = await api.user({ admin: true });
    const made = await admin.post('/members', { of: 'acme', user: String(hidden.id), role: 'guest' });
    expect(made.body.user.username).toBe(hidden.username);
  });

  test('what is foreign is answered to the letter like what is unknown', async () => {
    const stranger = await api.user();
    const id = await stranger.join('other', 'owner');
    const questions = [
      (member: number) => owner.get(`/members/${member}`),
      (member: number) => owner.patch(`/members/${member}`, { role: 'guest' }),
      (member: number) => owner.delete(`/members/${member}`),
      (member: number) => owner.delete(`/user/memberships/${member}`),
    ];
    for (const question of questions) {
      const [foreign, unknown] = [await question(id), await question(999_999)];
      expect(foreign.status).toBe(404);
      expect(foreign.text).toBe(unknown.text);
    }
    expect((await owner.get('/members?of=other')).text).toBe((await owner.get('/members?of=nothing')).text);
  });

  test('who is a member already is a conflict, and says with which role', async () => {
    const user = await api.user();
    const { body } = await owner.post('/members', { of: 'acme', user: user.username, role: 'reporter' });
    const again = await owner.post('/members', { of: 'acme', user: user.username, role: 'owner' });
    expect(again.status).toBe(409);
    expect(again.body.detail).toBe(`${user.username} is reporter of acme already: change the member ${body.id}`);
  });

  test('what the rules of a provider gave is not changed by hand, and says which rules those are', async () => {
    const user = await api.user();
    const id = await given(user, 'maintainer');
    const member = await owner.get(`/members/${id}`);
    expect(member.body.source).toBe('oidc:gitlab');
    for (const answer of [
      await owner.patch(`/members/${id}`, { role: 'guest' }),
      await owner.delete(`/members/${id}`),
      await user.delete(`/user/memberships/${id}`),
    ]) {
      expect(answer.status).toBe(409);
      expect(answer.body.detail).toContain('the rules of the provider gitlab give this role');
    }
    // Beside it there may be one by hand.
    expect((await owner.post('/members', { of: 'acme', user: user.username, role: 'guest' })).status).toBe(201);
  });

  test('everybody may give up a role of their own, and only when signed in', async () => {
    const user = await api.user();
    const id = await user.join('acme', 'guest');
    const { body } = await user.get('/user');
    expect(body.memberships).toEqual([{ id, on: 'acme', role: 'guest', source: 'manual' }]);
    const token = await user.personalToken('members:write', 'account:read');
    expect((await token.delete(`/user/memberships/${id}`)).status).toBe(403);
    expect((await user.delete(`/user/memberships/${id}`)).status).toBe(204);
    expect((await user.get('/user')).body.memberships).toEqual([]);
    const event = await api.database.read((trx) =>
      trx
        .selectFrom('audit_events')
        .selectAll()
        .where('object_kind', '=', 'member')
        .where('object_id', '=', id)
        .executeTakeFirstOrThrow(),
    );
    expect(event).toMatchObject({ action: 'removed', actor_id: user.id, object_name: `${user.username}@acme` });
  });

  test('every fault is told with a pointer to it', async () => {
    const answer = await owner.post('/members', { user: 7, role: 'boss' });
    expect(answer.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(['#/of', '#/user', '#/role']);
    expect((await owner.get('/members')).body.errors).toEqual([
      { parameter: 'of', detail: 'is missing; it must be the path of a group or project' },
    ]);
  });
});

function roles({ body }: ApiAnswer): string[] {
  type Item = { user: { username: string }; role: string; on: string };
  return body.items.map(({ user, role, on }: Item) => `${user.username} ${role} ${on}`).sort();
}
