import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { blockAccount, createAccount } from '../src/access/accounts.ts';
import { dropMissingProviders, unlinkIdentity } from '../src/access/oidc-removal.ts';
import type { Role } from '../src/access/roles.ts';
import { startSession } from '../src/access/sessions.ts';
import type { OidcProvider, RoleRule } from '../src/config/identity.ts';
import { commandLineActor } from '../src/ops/audit.ts';
import { findMember, insertMember } from '../src/storage/members.ts';
import type { Row, Trx } from '../src/storage/schema.ts';
import { Browser } from './support/cookie-jar.ts';
import { dialects } from './support/database.ts';
import { startOidcProvider, type TestOidcProvider } from './support/oidc-provider.ts';
import { configured, type OidcRig, startOidcRig } from './support/oidc-rig.ts';
import { insertGroup, insertProject } from './support/rows.ts';

const actor = commandLineActor('test');
const NOW = 1_700_000_000_000;

describe.each(dialects)('accounts of people who sign in with a provider, on %s', (dialect) => {
  let rig: OidcRig;
  let provider: TestOidcProvider;
  let other: TestOidcProvider;
  let ids: { acme: number; shop: number };

  beforeAll(async () => {
    rig = await startOidcRig({ dialect });
    provider = await startOidcProvider(['main', 'renamed'].map((name) => `${rig.url}/login/oidc/${name}/callback`));
    other = await startOidcProvider([`${rig.url}/login/oidc/other/callback`]);
    ids = await rig.database.write(async (trx) => {
      const acme = await insertGroup(trx, { path: 'acme', parent_id: null, managed_by: null });
      const shop = await insertProject(trx, { path: 'acme/shop', group_id: acme.id, managed_by: null });
      return { acme: acme.id, shop: shop.id };
    });
  });
  beforeEach(() => configure());
  afterEach(async () => {
    await rig.database.write(async (trx) => {
      for (const table of ['users', 'audit_events'] as const) await trx.deleteFrom(table).execute();
    });
    rig.refusals.length = 0;
  });
  afterAll(async () => {
    await rig?.stop();
    await provider?.stop();
    await other?.stop();
  });

  function configure(main: Partial<OidcProvider> = {}, second: Partial<OidcProvider> = {}): void {
    rig.providers = [configured(provider, main), configured(other, { name: 'other', label: 'Other', ...second })];
  }

  /** Signs in with a browser of its own; whose session it has then, or the status that it was refused with. */
  async function come(sub: string, claims: object = {}, name = 'main'): Promise<Row<'users'> | number> {
    (name === 'other' ? other : provider).signsIn({ sub, claims: { ...claims } });
    const browser = new Browser();
    const { status } = await rig.signIn(name, browser);
    return (await rig.signedIn(browser)) ?? status;
  }

  const write = <T>(fn: (trx: Trx) => Promise<T>) => rig.database.write(fn);
  const user = (username: string, email: string | null = null, passwordHash: string | null = null) =>
    write((trx) => createAccount(trx, { username, email, passwordHash }, actor, NOW));
  const usernames = async () =>
    (await rig.database.db.selectFrom('users').select('username').orderBy('id').execute()).map((row) => row.username);
  const events = async () =>
    (await rig.database.db.selectFrom('audit_events').selectAll().orderBy('id').execute()).map(
      (row) => `${row.actor_kind} ${row.actor_name} ${row.action} ${row.object_kind} ${row.object_name}`,
    );

  describe('somebody new', () => {
    it('gets an account with what the provider says, once', async () => {
      const claims = { preferred_username: 'anna', name: 'Anna A.', email: 'anna@a.example', email_verified: true };
      const first = await come('s1', claims);
      expect(first).toMatchObject({ username: 'anna', name: 'Anna A.', email: 'anna@a.example', admin: 0, password_hash: null });
      expect(await events()).toEqual([
        'system oidc:main created user anna',
        'user anna linked identity main@anna',
        'user anna signed_in user anna',
      ]);
      expect(await come('s1', { ...claims, preferred_username: 'renamed' })).toMatchObject({ username: 'anna' });
      expect(await usernames()).toEqual(['anna']);
    });

    it('gets no account where there is no sign-up', async () => {
      configure({ signUp: false });
      expect(await come('s1', { preferred_username: 'anna' })).toBe(403);
      expect(await usernames()).toEqual([]);
      expect(rig.refusals).toMatchObject([
        {
          actor: { kind: 'anonymous', name: '' },
          action: 'sign_in_refused',
          object: { kind: 'user', id: null },
          detail: { reason: 'no such user', provider: 'main', subject: 's1' },
        },
      ]);
    });

    it('never gets the account that has the name already', async () => {
      const local = await user('Anna', 'anna@a.example');
      const second = await come('s1', { preferred_username: 'anna', email: 'anna@a.example', email_verified: true });
      expect(second).toMatchObject({ username: 'anna-2' });
      expect(second).not.toMatchObject({ id: local.id });
      expect(await come('s2', { preferred_username: 'anna' }, 'other')).toMatchObject({ username: 'anna-3' });
    });

    it.each([
      ['anna@a.example', 'anna'],
      ['Änne Müller', 'Anne-Muller'],
      ['../../admin', 'admin'],
      ['12345', 'user-12345'],
      ['…', 'user'],
      ['x'.repeat(200), 'x'.repeat(63)],
      [42, 'user'],
    ])('who is called %j there is called %j here', async (claim, username) => {
      expect(await come('s1', { preferred_username: claim })).toMatchObject({ username });
    });

    it('has no address here that nobody made sure of', async () => {
      expect(await come('s1', { preferred_username: 'anna', email: 'boss@a.example', email_verified: false })).toMatchObject({
        email: null,
      });
    });
  });

  describe('an account is linked by its address', () => {
    beforeEach(() => configure({ linkByEmail: true }));

    it('where the provider made sure of it, whatever the case', async () => {
      const local = await user('anna', 'Anna@A.example');
      const claims = { preferred_username: 'other-name', email: 'aNNA@a.example', email_verified: true };
      expect(await come('s1', claims)).toMatchObject({ id: local.id });
      expect(await come('s1', { email: 'changed@a.example', email_verified: false })).toMatchObject({ id: local.id });
      expect(await events()).toContain('user anna linked identity main@anna');
    });

    it.each<[string, unknown]>([
      ['does not say so', undefined],
      ['says no', false],
      ['says it with a text', 'true'],
      ['says it with a number', 1],
    ])('never where the provider %s', async (_, verified) => {
      const local = await user('anna', 'anna@a.example');
      const claims = { preferred_username: 'x', email: 'anna@a.example', email_verified: verified };
      const came = await come('s1', claims);
      expect(came).toMatchObject({ username: 'x' });
      expect(came).not.toMatchObject({ id: local.id });
      configure({ linkByEmail: true, signUp: false });
      expect(await come('s2', claims)).toBe(403);
    });

    it('never where it is not configured', async () => {
      configure();
      await user('anna', 'anna@a.example');
      expect(await come('s1', { preferred_username: 'x', email: 'anna@a.example', email_verified: true })).toMatchObject({
        username: 'x',
      });
    });

    it('never where two have the address', async () => {
      await user('anna', 'team@a.example');
      await user('bert', 'TEAM@a.example');
      expect(await come('s1', { preferred_username: 'x', email: 'team@a.example', email_verified: true })).toMatchObject({
        username: 'x',
      });
    });

    it('never where its letters only look or fold alike', async () => {
      await user('kim', '\u212aim@a.example');
      expect(await come('s1', { preferred_username: 'x', email: 'kim@a.example', email_verified: true })).toMatchObject({
        username: 'x',
      });
      await user('karl', 'karl@a.example');
      expect(await come('s2', { preferred_username: 'y', email: '\u212aarl@a.example', email_verified: true })).toMatchObject({
        username: 'y',
        email: null,
      });
    });

    it('never where the user has an account at the provider: the address went to somebody else there', async () => {
      const claims = { preferred_username: 'anna', email: 'anna@a.example', email_verified: true };
      const first = await come('s1', claims);
      const second = await come('s2', claims);
      expect([first, second]).toMatchObject([{ username: 'anna' }, { username: 'anna-2' }]);
    });
  });

  describe('an account is linked by who is signed in', () => {
    /** Somebody signed in without a provider, as with a password. */
    async function signedIn(username: string): Promise<{ browser: Browser; row: Row<'users'> }> {
      const row = await user(username);
      const origin = { address: '', userAgent: '', provider: null, previousCookie: null };
      const { cookie } = await write((trx) => startSession(trx, row, origin, { lifetime: 3_600_000, now: Date.now() }));
      const browser = new Browser();
      browser.keep(rig.url, `promgate_session=${cookie}; Path=/`);
      await rig.refresh();
      return { browser, row };
    }

    /** What the API's operation does, and then what the browser does. */
    async function link(browser: Browser, row: Row<'users'>, sub: string) {
      provider.signsIn({ sub, claims: { preferred_username: 'theirs' } });
      const { location, cookie } = await rig.oidc.linkStart(row, 'main', '/');
      browser.keep(`${rig.url}/login/oidc/`, cookie);
      browser.forget(provider.issuer);
      return browser.follow(location, ({ url }) => url.includes('/callback?'));
    }

    it('and the session stays the same', async () => {
      const { browser, row } = await signedIn('anna');
      const before = browser.cookieHeader(rig.url);
      expect(await link(browser, row, 's1')).toMatchObject({ status: 303, location: `${rig.url}/` });
      expect(browser.cookieHeader(rig.url)).toBe(before);
      expect(await rig.signedIn(browser)).toMatchObject({ id: row.id });
      expect(await come('s1')).toMatchObject({ id: row.id });
      expect(await usernames()).toEqual(['anna']);
    });

    it('a second time without harm, but not a second one of the same provider', async () => {
      const { browser, row } = await signedIn('anna');
      await link(browser, row, 's1');
      expect((await link(browser, row, 's1')).status).toBe(303);
      const answer = await link(browser, row, 's2');
      expect(answer.status).toBe(409);
      expect(answer.text).toContain('Another account of Main is linked to yours');
      expect(await come('s2', { preferred_username: 'x' })).toMatchObject({ username: 'x' });
    });

    it('never where it is another user’s', async () => {
      await come('s1', { preferred_username: 'bert' });
      const { browser, row } = await signedIn('anna');
      expect((await link(browser, row, 's1')).status).toBe(409);
      expect(await come('s1')).toMatchObject({ username: 'bert' });
      expect(rig.refusals).toMatchObject([{ actor: { kind: 'user', name: 'anna' }, action: 'refused' }]);
    });

    it('never by a browser that is signed out by then, or is somebody else’s', async () => {
      const { row } = await signedIn('anna');
      const { browser: berts } = await signedIn('bert');
      for (const browser of [new Browser(), berts]) {
        const answer = await link(browser, row, 's1');
        expect(answer.status).toBe(403);
        expect(answer.text).toContain('no longer signed in');
      }
      expect(await rig.database.db.selectFrom('identities').selectAll().execute()).toEqual([]);
    });

    it('of nobody who was blocked meanwhile', async () => {
      const { row } = await signedIn('anna');
      const from = { address: '', userAgent: '', previousCookie: null };
      provider.signsIn({ sub: 's1', claims: {} });
      const { location, cookie } = await rig.oidc.linkStart(row, 'main', '/');
      const back = await new Browser().follow(location, (answer) => answer.location?.startsWith(rig.url) === true);
      const query = new URL(back.location ?? '').search.slice(1);
      await write((trx) => blockAccount(trx, row, actor, NOW));
      const finish = { provider: 'main', query, cookieHeader: cookie.split(';')[0], signedIn: row.id, from, requestId: 'r' };
      await expect(rig.oidc.finish(finish)).rejects.toMatchObject({ code: 'forbidden' });
    });
  });

  it('a blocked user is refused with the same page as somebody unknown', async () => {
    const anna = await come('s1', { preferred_username: 'anna' });
    await write((trx) => blockAccount(trx, anna as Row<'users'>, actor, NOW));
    configure({ signUp: false });
    const pages = [];
    for (const sub of ['s1', 'unknown']) {
      provider.signsIn({ sub, claims: {} });
      const { status, text, setCookie } = await rig.signIn('main');
      pages.push({ status, text, cookies: setCookie.length });
    }
    expect(pages[0]).toEqual(pages[1]);
    expect(pages[0]?.status).toBe(403);
    expect(rig.refusals.map(({ detail }) => detail?.reason)).toEqual(['blocked', 'no such user']);
    expect(await rig.database.db.selectFrom('sessions').selectAll().execute()).toEqual([]);
  });

  describe('rules', () => {
    const gives = (value: string, role: Role, on: string, claim = 'groups'): RoleRule => ({ claim, value, gives: { role, on } });
    const admins: RoleRule = { claim: 'groups', value: 'ops', gives: { admin: true } };
    const rules = [
      gives('dev', 'developer', 'acme'),
      gives('lead', 'maintainer', 'acme'),
      gives('shop', 'owner', 'Acme/Shop'),
      admins,
    ];
    const anna = (groups: unknown) => come('s1', { preferred_username: 'anna', groups });
    const isAdmin = async () => (await rig.database.db.selectFrom('users').selectAll().executeTakeFirstOrThrow()).admin_by;

    it('give, change and take roles with each sign-in', async () => {
      configure({ rules });
      await anna(['dev', 'shop']);
      expect(await rig.roles('anna')).toEqual(['acme developer oidc:main', 'acme/shop owner oidc:main']);
      await anna(['dev', 'lead']);
      expect(await rig.roles('anna')).toEqual(['acme maintainer oidc:main']);
      await anna([]);
      expect(await rig.roles('anna')).toEqual([]);
      expect((await events()).filter((event) => event.includes('member')).sort()).toEqual([
        'system oidc:main changed member anna@acme',
        'system oidc:main created member anna@acme',
        'system oidc:main created member anna@acme/shop',
        'system oidc:main removed member anna@acme',
        'system oidc:main removed member anna@acme/shop',
      ]);
    });

    it('that nothing changes of write no events', async () => {
      configure({ rules });
      await anna(['dev', 'ops']);
      const before = await events();
      await anna(['dev', 'ops']);
      expect((await events()).slice(before.length)).toEqual(['user anna signed_in user anna']);
    });

    it('take a text for its value, a list for its values, and nothing else', async () => {
      configure({ rules: [gives('dev', 'developer', 'acme'), gives('a', 'guest', 'acme/shop', '/realm_access/roles')] });
      await anna('dev');
      expect(await rig.roles('anna')).toEqual(['acme developer oidc:main']);
      for (const groups of ['de', 'dev,ops', { dev: true }, [['dev']], null, undefined]) {
        await anna(groups);
        expect(await rig.roles('anna')).toEqual([]);
      }
      await come('s1', { realm_access: { roles: ['a'] } });
      expect(await rig.roles('anna')).toEqual(['acme/shop guest oidc:main']);
    });

    it('leave alone what people and other providers gave', async () => {
      configure({ rules }, { rules: [gives('dev', 'reporter', 'acme')], linkByEmail: true });
      const email = { email: 'anna@a.example', email_verified: true };
      const row = (await come('s1', { preferred_username: 'anna', ...email })) as Row<'users'>;
      await write((trx) => insertMember(trx, { level: 'group', id: ids.acme }, { userId: row.id, role: 'guest', at: NOW }));
      await come('o1', { ...email, groups: ['dev'] }, 'other');
      await anna(['dev']);
      expect(await rig.roles('anna')).toEqual(['acme developer oidc:main', 'acme guest manual', 'acme reporter oidc:other']);
      await anna([]);
      expect(await rig.roles('anna')).toEqual(['acme guest manual', 'acme reporter oidc:other']);
      expect(await rig.database.read((trx) => findMember(trx, { level: 'group', id: ids.acme }, row.id))).toMatchObject({
        role: 'guest',
      });
    });

    it('make an administrator, and only their own provider takes that back', async () => {
      configure({ rules }, { linkByEmail: true });
      const email = { email: 'anna@a.example', email_verified: true };
      await come('s1', { preferred_username: 'anna', groups: ['ops'], ...email });
      expect(await isAdmin()).toBe('main');
      await come('o1', { ...email, groups: [] }, 'other');
      expect(await isAdmin()).toBe('main');
      await anna([]);
      expect(await isAdmin()).toBeNull();
    });

    it('that name nothing are passed over, and said once', async () => {
      configure({ rules: [gives('dev', 'owner', 'gone'), ...rules] });
      await anna(['dev']);
      await anna(['dev']);
      expect(await rig.roles('anna')).toEqual(['acme developer oidc:main']);
      expect(rig.log.filter((line) => line.includes('names no group and no project') && line.includes('"gone"'))).toHaveLength(1);
    });

    it('count at once for the endpoints', async () => {
      configure({ rules });
      const row = (await anna(['shop'])) as Row<'users'>;
      const group = { id: ids.acme, path: 'acme', parent: null, servers: [] };
      const project = { id: ids.shop, path: 'acme/shop', group, servers: [] };
      expect(rig.directory().people.roleOn(row.id, { level: 'project', project })).toBe('owner');
    });
  });

  describe('a provider that is gone', () => {
    const rules: RoleRule[] = [
      { claim: 'groups', value: 'dev', gives: { role: 'developer', on: 'acme' } },
      { claim: 'groups', value: 'dev', gives: { admin: true } },
    ];
    const everything = async () => ({
      roles: await rig.roles('anna'),
      admin: (await rig.database.db.selectFrom('users').selectAll().executeTakeFirstOrThrow()).admin_by,
      sessions: (await rig.database.db.selectFrom('sessions').selectAll().execute()).length,
    });
    const nothing = { roles: [], admin: null, sessions: 0 };
    const all = { roles: ['acme developer oidc:main'], admin: 'main', sessions: 1 };
    beforeEach(async () => {
      configure({ rules });
      await come('s1', { preferred_username: 'anna', groups: ['dev'] });
    });

    it('takes along all that it gave, with events', async () => {
      expect(await everything()).toEqual(all);
      const before = (await events()).length;
      await dropMissingProviders(rig.database, rig.providers.slice(1));
      expect(await everything()).toEqual(nothing);
      expect((await events()).slice(before)).toEqual([
        'system  removed member anna@acme',
        'system  changed user anna',
        'system  signed_out user anna',
      ]);
    });

    it('or has another issuer now takes it along, too', async () => {
      await dropMissingProviders(rig.database, [configured(other, { rules })]);
      expect(await everything()).toEqual(nothing);
    });

    it('gives it again when it comes back', async () => {
      await dropMissingProviders(rig.database, []);
      await come('s1', { groups: ['dev'] });
      expect(await everything()).toEqual(all);
    });

    it('takes along nothing while it is there, and nothing of what others gave', async () => {
      await dropMissingProviders(rig.database, rig.providers);
      expect(await everything()).toEqual(all);
      const row = await rig.database.db.selectFrom('users').selectAll().executeTakeFirstOrThrow();
      const origin = { address: '', userAgent: '', provider: null, previousCookie: null };
      await write(async (trx) => {
        await insertMember(trx, { level: 'group', id: ids.acme }, { userId: row.id, role: 'guest', at: NOW });
        await startSession(trx, row, origin, { lifetime: 1_000, now: NOW });
      });
      await dropMissingProviders(rig.database, []);
      expect(await everything()).toEqual({ roles: ['acme guest manual'], admin: null, sessions: 1 });
    });

    it('under its old name gives the same under its new one', async () => {
      rig.providers = [configured(provider, { name: 'renamed', rules })];
      await dropMissingProviders(rig.database, rig.providers);
      expect(await everything()).toEqual(nothing);
      await come('s1', { groups: ['dev'] }, 'renamed');
      expect(await usernames()).toEqual(['anna']);
      expect(await everything()).toEqual({ roles: ['acme developer oidc:renamed'], admin: 'renamed', sessions: 1 });
    });
  });

  describe('removing the link to an account', () => {
    const rules: RoleRule[] = [{ claim: 'groups', value: 'dev', gives: { role: 'developer', on: 'acme' } }];
    const identities = () => rig.database.db.selectFrom('identities').selectAll().execute();

    it('takes along what it gave', async () => {
      configure({ rules, linkByEmail: true });
      const row = await user('anna', 'anna@a.example', 'hash');
      await come('s1', { email: 'anna@a.example', email_verified: true, groups: ['dev'] });
      expect(await rig.roles('anna')).toEqual(['acme developer oidc:main']);
      const [identity] = await identities();
      expect(await write((trx) => unlinkIdentity(trx, row.id, identity?.id ?? 0, actor, NOW))).toBe(true);
      expect(await rig.roles('anna')).toEqual([]);
      expect(await identities()).toEqual([]);
      expect(await rig.database.db.selectFrom('sessions').selectAll().execute()).toEqual([]);
    });

    it('is refused where it is the only way to sign in, and does nothing for another user', async () => {
      const anna = (await come('s1', { preferred_username: 'anna' })) as Row<'users'>;
      const bert = (await come('s2', { preferred_username: 'bert' })) as Row<'users'>;
      const [identity] = await identities();
      const unlink = (userId: number) => write((trx) => unlinkIdentity(trx, userId, identity?.id ?? 0, actor, NOW));
      await expect(unlink(anna.id)).rejects.toMatchObject({ code: 'conflict' });
      expect(await unlink(bert.id)).toBe(false);
      expect(await identities()).toHaveLength(2);
    });
  });
});
