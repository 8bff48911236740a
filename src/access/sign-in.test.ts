import { argon2 } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, dialects, type TestDatabase } from '../../test/support/database.ts';
import type { AuditEvent } from '../ops/audit.ts';
import { commandLineActor } from '../ops/audit.ts';
import type { Row, Trx } from '../storage/schema.ts';
import { sessionsOf } from '../storage/sessions.ts';
import { findUserByName } from '../storage/users.ts';
import {
  blockAccount,
  createAccount,
  findAccount,
  forgetFailedSignIns,
  hashNewPassword,
  setPassword,
  unblockAccount,
} from './accounts.ts';
import { changePassword } from './change-password.ts';
import { createPasswords, type Passwords } from './passwords.ts';
import { type SignInParts, signInWithPassword } from './sign-in.ts';
import { createThrottle } from './throttle.ts';

const start = 1_800_000_000_000;
const minute = 60_000;
const password = 'correct horse battery';
const root = commandLineActor('root');

describe.each(dialects)('signing in with a password, on %s', (dialect) => {
  let home: TestDatabase;
  let passwords: Passwords;
  let parts: SignInParts;
  let looked: string[];
  let refusals: AuditEvent[];
  let ada: Row<'users'>;
  beforeEach(async () => {
    home = await createTestDatabase(dialect);
    looked = [];
    refusals = [];
    passwords = createPasswords(((algorithm, input, done) => {
      looked.push(`${input.message} m=${input.memory} t=${input.passes}`);
      // Less work than is asked for, always the same: the test does not take so long.
      argon2(algorithm, { ...input, memory: 64, passes: 1 }, done);
    }) as typeof argon2);
    parts = {
      database: home.database,
      passwords,
      throttle: createThrottle(home.database, Buffer.alloc(32)),
      refusals: { note: (event) => refusals.push(event) },
      sessions: () => ({ idle: minute, lifetime: 10 * minute }),
    };
    ada = await account('ada', password);
    looked = [];
  });
  afterEach(() => home.remove());

  const write = <T>(fn: (trx: Trx) => Promise<T>) => home.database.write(fn);
  const account = async (username: string, text: string | null) => {
    const passwordHash = text === null ? null : await hashNewPassword(passwords, text, username);
    return write((trx) => createAccount(trx, { username, passwordHash }, root, start));
  };
  const signIn = (
    username: string,
    text: string,
    { now = start, address = '192.0.2.1', previousCookie = null as string | null } = {},
  ) => {
    const client = { address, userAgent: 'Firefox', previousCookie, requestId: 'r1' };
    return signInWithPassword(parts, { username, password: text, ...client }, now);
  };
  const userNow = async () => home.database.read((trx) => findAccount(trx, 'ada'));
  const events = async (action: string) =>
    (await home.database.db.selectFrom('audit_events').selectAll().where('action', '=', action).execute()).map((row) => ({
      ...row,
      detail: JSON.parse(row.detail),
    }));

  it('refuses nobody in the audit log where the database failed', async () => {
    const broken = { enter: () => Promise.reject(new Error('connection lost')) };
    const typed = {
      username: 'ada',
      password,
      address: '192.0.2.1',
      userAgent: 'Firefox',
      previousCookie: null,
      requestId: 'r1',
    };
    await expect(signInWithPassword({ ...parts, throttle: broken }, typed, start)).rejects.toThrow('connection lost');
    expect(refusals).toEqual([]);
  });

  it('makes a session, whatever the case of the username, and is recorded', async () => {
    const { user, cookie } = await signIn('ADA', password);
    expect(user.id).toBe(ada.id);
    expect(cookie).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const [session] = await home.database.read((trx) => sessionsOf(trx, ada.id));
    expect(session).toMatchObject({ created_at: start, expires_at: start + 10 * minute, address: '192.0.2.1', provider: null });
    expect((await userNow()).last_sign_in_at).toBe(start);
    expect(await events('signed_in')).toMatchObject([
      { actor_kind: 'user', actor_id: ada.id, actor_name: 'ada', object_kind: 'user', address: '192.0.2.1', request_id: 'r1' },
    ]);
    expect(refusals).toEqual([]);
  });

  it('is refused in the same words and after the same work, whatever is wrong', async () => {
    const bob = await account('bob', password);
    await write((trx) => blockAccount(trx, bob, root, start));
    await account('carol', null);
    looked = [];
    const attempts: [string, string][] = [
      ['ada', 'wrong password here'],
      ['nobody', password],
      ['bob', password],
      ['carol', password],
      ['', ''],
      ["ada' or 1=1 --", password],
      ['a'.repeat(10_000), password],
    ];
    const refused = await Promise.all(attempts.map(([name, text]) => signIn(name, text).catch((error: unknown) => error)));
    for (const error of refused) {
      expect(error).toMatchObject({ code: 'unauthorized', message: 'wrong username or password', headers: undefined });
    }
    expect(looked.map((each) => each.replace(/.* m=/, 'm='))).toEqual(attempts.map(() => 'm=19456 t=2'));
    expect(await home.database.db.selectFrom('sessions').selectAll().execute()).toEqual([]);
    const noted = Object.fromEntries(
      refusals.map(({ object, detail }) => [object.name || `nobody ${object.id}`, detail?.reason]),
    );
    expect(noted).toEqual({ ada: 'wrong password', bob: 'blocked', carol: 'wrong password', 'nobody null': 'no such user' });
    expect(refusals.every(({ actor, action }) => actor.kind === 'anonymous' && action === 'sign_in_refused')).toBe(true);
    // What was typed for a username may be a password.
    expect(JSON.stringify(refusals)).not.toMatch(/or 1=1|aaaa/);
  });

  it('looks at five passwords of a hundred guesses at the same moment, and lets its owner in from elsewhere', async () => {
    const guesses = await Promise.all(
      Array.from({ length: 100 }, (_, i) => signIn('ada', `guess number ${i}`).catch((error: { code: string }) => error.code)),
    );
    expect(looked).toHaveLength(5);
    expect(guesses.filter((code) => code === 'unauthorized')).toHaveLength(5);
    expect(guesses.filter((code) => code === 'too_many_requests')).toHaveLength(95);
    // Not even the right one is looked at then.
    await expect(signIn('ada', password)).rejects.toMatchObject({ code: 'too_many_requests', headers: { 'Retry-After': '30' } });
    expect(looked).toHaveLength(5);
    expect(refusals.at(-1)).toMatchObject({ object: { name: 'ada' }, detail: { reason: 'too many attempts' } });
    expect((await signIn('ada', password, { address: '198.51.100.1' })).user.id).toBe(ada.id);
    expect((await signIn('ada', password, { now: start + 30_000 })).user.id).toBe(ada.id);
  });

  it('turns guesses away alike where there is no such account', async () => {
    const answers = async (name: string) => {
      const found: unknown[] = [];
      for (let i = 0; i < 8; i++) {
        await signIn(name, 'wrong password here').catch(({ code, message, headers }) => found.push({ code, message, headers }));
      }
      return found;
    };
    expect(await answers('nobody')).toEqual(await answers('ada'));
  });

  it('forgets the failures of whoever succeeds', async () => {
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 4; i++)
        await expect(signIn('ada', 'wrong password here')).rejects.toMatchObject({ code: 'unauthorized' });
      await signIn('ada', password);
    }
  });

  it('that is turned away because too many sign in at once counts for nothing', async () => {
    const busy: Passwords = {
      ...passwords,
      verify: () => Promise.reject(Object.assign(new Error('busy'), { code: 'unavailable' })),
    };
    for (let i = 0; i < 8; i++) {
      const attempt = {
        username: 'ada',
        password,
        address: '192.0.2.1',
        userAgent: undefined,
        previousCookie: null,
        requestId: 'r',
      };
      await expect(signInWithPassword({ ...parts, passwords: busy }, attempt, start)).rejects.toMatchObject({
        code: 'unavailable',
      });
    }
    await signIn('ada', password);
  });

  it('makes a better hash of a password that was kept with less work', async () => {
    const weak = await new Promise<string>((resolve, reject) => {
      const input = {
        message: password,
        nonce: Buffer.from('saltsaltsaltsalt'),
        tagLength: 32,
        memory: 64,
        passes: 1,
        parallelism: 1,
      };
      argon2('argon2id', input, (error, tag) => {
        const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
        if (error) reject(error);
        else resolve(`$argon2id$v=19$m=64,t=1,p=1$${base64(input.nonce)}$${base64(tag)}`);
      });
    });
    await write((trx) => trx.updateTable('users').set({ password_hash: weak }).execute());
    await signIn('ada', password);
    const { password_hash: better } = await userNow();
    expect(better).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    await signIn('ada', password);
    expect((await userNow()).password_hash).toBe(better);
  });

  it('ends no session but that of the browser’s own cookie', async () => {
    const first = await signIn('ada', password);
    await signIn('ada', password);
    await signIn('ada', password, { previousCookie: first.cookie });
    expect(await home.database.read((trx) => sessionsOf(trx, ada.id))).toHaveLength(2);
  });

  it('comes to nothing where the password is changed or the account blocked meanwhile', async () => {
    for (const meanwhile of [
      (trx: Trx) => setPassword(trx, ada, '$argon2id$other', { actor: root, now: start }),
      (trx: Trx) => blockAccount(trx, ada, root, start),
    ]) {
      const late: Passwords = {
        ...passwords,
        verify: async (...given) => {
          const found = await passwords.verify(...given);
          await write(meanwhile);
          return found;
        },
      };
      const attempt = {
        username: 'ada',
        password,
        address: '192.0.2.1',
        userAgent: undefined,
        previousCookie: null,
        requestId: 'r',
      };
      await expect(signInWithPassword({ ...parts, passwords: late }, attempt, start)).rejects.toMatchObject({
        code: 'unauthorized',
      });
      await write((trx) => unblockAccount(trx, { ...ada, state: 'blocked' }, root, start));
      await write((trx) => trx.updateTable('users').set({ password_hash: ada.password_hash }).where('id', '=', ada.id).execute());
    }
    expect(await home.database.read((trx) => sessionsOf(trx, ada.id))).toEqual([]);
    await signIn('ada', password);
  });

  describe('changing it', () => {
    const next = 'another horse battery';
    const change = async (current: string, given = next, now = start) => {
      const [session] = await home.database.read((trx) => sessionsOf(trx, ada.id));
      const from = { sessionId: session?.id ?? 0, address: '192.0.2.1', requestId: 'r2' };
      await changePassword(parts, ada, { current, next: given, ...from }, now);
    };

    it('wants the present one, and ends all other sessions', async () => {
      await signIn('ada', password);
      await signIn('ada', password);
      const [own] = await home.database.read((trx) => sessionsOf(trx, ada.id));
      await change(password);
      expect((await home.database.read((trx) => sessionsOf(trx, ada.id))).map(({ id }) => id)).toEqual([own?.id]);
      expect(await events('password_changed')).toMatchObject([
        { actor_name: 'ada', request_id: 'r2', detail: { sessions_ended: 1 } },
      ]);
      await expect(signIn('ada', password)).rejects.toMatchObject({ code: 'unauthorized' });
      await signIn('ada', next);
    });

    it('is refused without it, and throttled as signing in is', async () => {
      for (let i = 0; i < 5; i++) await expect(change('wrong password here')).rejects.toMatchObject({ code: 'forbidden' });
      await expect(change(password)).rejects.toMatchObject({ code: 'too_many_requests' });
      await expect(signIn('ada', password)).rejects.toMatchObject({ code: 'too_many_requests' });
      await change(password, next, start + 30_000);
    });

    it('is refused for a new one that is none, which is no guess', async () => {
      for (let i = 0; i < 8; i++) await expect(change(password, 'short')).rejects.toMatchObject({ code: 'bad_data' });
      await signIn('ada', password);
    });
  });

  describe('accounts', () => {
    it.each([
      ['with a new password', (trx: Trx) => setPassword(trx, ada, '$argon2id$other', { actor: root, now: start })],
      ['unblocked', (trx: Trx) => unblockAccount(trx, { ...ada, state: 'blocked' }, root, start)],
      ['not blocked', (trx: Trx) => forgetFailedSignIns(trx, ada, root, start)],
    ])('need not wait any more after failed sign-ins once an administrator made them %s', async (_how, release) => {
      const tryIt = (address?: string) => signIn('ADA', 'wrong password here', address === undefined ? {} : { address });
      for (let i = 0; i < 5; i++) await expect(tryIt()).rejects.toMatchObject({ code: 'unauthorized' });
      for (let i = 0; i < 25; i++) await expect(tryIt(`198.51.100.${i}`)).rejects.toMatchObject({ code: 'unauthorized' });
      for (const address of [undefined, '203.0.113.1']) {
        await expect(tryIt(address)).rejects.toMatchObject({ code: 'too_many_requests' });
      }
      await write(release);
      for (const address of [undefined, '203.0.113.1']) {
        await expect(tryIt(address)).rejects.toMatchObject({ code: 'unauthorized' });
      }
    });

    it('whose failed sign-ins are forgotten are recorded as changed, unless there were none', async () => {
      await write((trx) => forgetFailedSignIns(trx, ada, root, start));
      expect(await events('changed')).toEqual([]);
      await expect(signIn('ada', 'wrong password here')).rejects.toMatchObject({ code: 'unauthorized' });
      await write((trx) => forgetFailedSignIns(trx, ada, root, start));
      expect(await events('changed')).toMatchObject([
        { actor_name: 'root', object_name: 'ada', detail: { fields: ['failed_sign_ins'] } },
      ]);
    });

    it.each(['', 'a b', '.a', '-a', 'a@b', 'ä', '4711', 'a'.repeat(64), 'a/b', '\u212a'])(
      'have no username %j',
      async (username) => {
        await expect(account(username, null)).rejects.toMatchObject({ code: 'bad_data' });
      },
    );

    it('share no username, in whatever case', async () => {
      await expect(account('Ada', null)).rejects.toMatchObject({ code: 'conflict' });
      await expect(home.database.db.updateTable('users').set({ username: 'ADA' }).execute()).resolves.toBeDefined();
      const row = { ...ada, username: 'aDa' };
      const { id: _id, ...values } = row;
      await expect(home.database.db.insertInto('users').values(values).execute()).rejects.toThrow(/unique/i);
    });

    it('are found by id and by name', async () => {
      const find = (text: string) => home.database.read((trx) => findAccount(trx, text));
      expect((await find(String(ada.id))).username).toBe('ada');
      expect((await find('aDA')).id).toBe(ada.id);
      await expect(find('nobody')).rejects.toMatchObject({ code: 'not_found' });
      await expect(find('99')).rejects.toMatchObject({ code: 'not_found' });
      await expect(find('ada\0')).rejects.toMatchObject({ code: 'not_found' });
      expect(await home.database.read((trx) => findUserByName(trx, '%'))).toBeUndefined();
    });

    it('lose their sessions when they are blocked, and what happened is recorded once', async () => {
      await signIn('ada', password);
      for (let i = 0; i < 2; i++) await write(async (trx) => blockAccount(trx, await findAccount(trx, 'ada'), root, start));
      expect(await home.database.read((trx) => sessionsOf(trx, ada.id))).toEqual([]);
      await expect(signIn('ada', password)).rejects.toMatchObject({ code: 'unauthorized' });
      for (let i = 0; i < 2; i++) await write(async (trx) => unblockAccount(trx, await findAccount(trx, 'ada'), root, start));
      await signIn('ada', password);
      expect(await events('blocked')).toMatchObject([{ actor_kind: 'command_line', actor_name: 'root', object_name: 'ada' }]);
      expect(await events('unblocked')).toHaveLength(1);
      expect(await events('created')).toMatchObject([{ object_name: 'ada' }]);
    });
  });
});
