import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openDatabase } from '../src/storage/database.ts';
import { askPage, password, signIn } from './support/person.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

// Each test starts programs or hashes passwords, which a busy machine is slow at.
vi.setConfig({ testTimeout: 120_000 });

const program = join(import.meta.dirname, '../bin/promgate');

describe('promgate user', () => {
  let promgate: TestPromgate;
  beforeAll(async () => {
    promgate = await startTestPromgate({ resources: '{"projects": []}' });
  });
  afterAll(() => promgate.close());

  /** Beside the running gateway, on its database. */
  const run = async (args: string[], input = '') => {
    const child = spawn(program, ['user', ...args, '--external-url', promgate.url], {
      cwd: promgate.settings.dataDir,
      env: { PATH: process.env.PATH, PROMGATE_DATA_DIR: promgate.settings.dataDir },
    });
    child.stdin.end(input);
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await closed, stdout, stderr };
  };
  const json = async (...args: string[]) => JSON.parse((await run([...args, '-o', 'json'])).stdout);
  const mayNot = async (username: string) => {
    await expect(signIn(promgate.url, username)).rejects.toThrow('401');
  };

  it('makes an account with a password from standard input, good at once in the running gateway', async () => {
    const made = await run(
      ['create', '--username', 'ada', '--name', 'Ada', '--email', 'ada@x.example', '--admin', '--password-stdin', '-o', 'json'],
      `${password}\n`,
    );
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(made.stdout)).toEqual({
      id: expect.any(Number),
      username: 'ada',
      name: 'Ada',
      email: 'ada@x.example',
      admin: true,
      state: 'active',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      last_sign_in_at: null,
    });
    const page = await askPage(`${promgate.url}/`, { cookie: await signIn(promgate.url, 'ada') });
    expect(page.body).toContain('<b>Ada</b> (ada), an administrator');
  });

  it('makes one without a password, and a link to set it, which is followed by being signed in', async () => {
    const made = await json('create', '--username', 'bob');
    expect(made).toMatchObject({ name: 'bob', email: null, admin: false });
    const lifetime = Date.parse(made.setup_url_expires_at) - Date.parse(made.created_at);
    expect(lifetime).toBe(86_400_000);
    await mayNot('bob');
    const [url, token = ''] = made.setup_url.split('?token=');
    const page = await askPage(made.setup_url);
    expect(page.body).toContain('value="bob" autocomplete="username" readonly');
    const done = await askPage(url, { form: { token, password, password_again: password } });
    expect((await askPage(`${promgate.url}/`, { cookie: done.cookie })).body).toContain('<b>bob</b>');
    await signIn(promgate.url, 'bob');
  });

  it('sets another password and ends all sessions; a link alone ends none', async () => {
    await run(['create', '--username', 'carol', '--password-stdin'], password);
    const cookie = await signIn(promgate.url, 'carol');
    const { setup_url: old } = await json('passwd', 'carol');
    expect((await askPage(`${promgate.url}/`, { cookie })).status).toBe(200);
    expect(await run(['passwd', 'CAROL', '--password-stdin'], 'another horse battery\r\n')).toMatchObject({ code: 0 });
    while ((await askPage(`${promgate.url}/`, { cookie })).status !== 303) await delay(50);
    await mayNot('carol');
    const form = { username: 'carol', password: 'another horse battery' };
    expect((await askPage(`${promgate.url}/login`, { form })).status).toBe(303);
    expect((await askPage(old)).status).toBe(404);
  });

  it('keeps somebody out, sessions and all, and lets them in again', async () => {
    await run(['create', '--username', 'dora', '--password-stdin'], password);
    const cookie = await signIn(promgate.url, 'dora');
    expect(await run(['block', 'dora'])).toEqual({ code: 0, stdout: '', stderr: 'The user dora is blocked.\n' });
    while ((await askPage(`${promgate.url}/`, { cookie })).status !== 303) await delay(50);
    await mayNot('dora');
    expect(await json('list')).toContainEqual(expect.objectContaining({ username: 'dora', state: 'blocked' }));
    expect(await run(['unblock', 'dora'])).toMatchObject({ code: 0 });
    await signIn(promgate.url, 'dora');
    // The session from before stays ended.
    expect((await askPage(`${promgate.url}/`, { cookie })).status).toBe(303);
  });

  it('lets in again at once whoever has to wait after failed sign-ins', async () => {
    const wrong = async (username: string) => {
      const form = { username, password: 'wrong password here' };
      return (await askPage(`${promgate.url}/login`, { form })).status;
    };
    const failUntilWaiting = async () => {
      for (let i = 0; i < 5; i++) expect(await wrong('dora')).toBe(401);
      expect(await wrong('dora')).toBe(429);
    };
    await failUntilWaiting();
    const note = 'dora was not blocked; failed sign-ins are forgotten\n';
    expect(await run(['unblock', 'DORA'])).toEqual({ code: 0, stdout: '', stderr: note });
    await failUntilWaiting();
    await run(['passwd', 'dora', '--password-stdin'], password);
    await failUntilWaiting();
    const { setup_url } = await json('passwd', 'dora');
    const [url, token = ''] = setup_url.split('?token=');
    expect(await wrong('dora')).toBe(429);
    await askPage(url, { form: { token, password, password_again: password } });
    await signIn(promgate.url, 'dora');
  });

  it('says to programs whom it blocked and unblocked; to people what a link waits for, and that no administrator is left', async () => {
    expect(await json('block', 'dora')).toMatchObject({ username: 'dora', admin: false, state: 'blocked' });
    const link = await run(['passwd', 'dora', '-o', 'json']);
    expect(link.stderr).toBe('dora is blocked: the link works once the account is unblocked\n');
    const { setup_url } = JSON.parse(link.stdout);
    expect((await askPage(setup_url)).status).toBe(404);
    expect(await json('unblock', 'dora')).toMatchObject({ username: 'dora', state: 'active' });
    expect((await askPage(setup_url)).status).toBe(200);
    expect(await run(['block', 'ada', '-o', 'json'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"state": "blocked"'),
      stderr:
        'The user ada is blocked.\nWarning: now all administrators are blocked. To let this one in again: promgate user unblock ada\n',
    });
    expect(await run(['unblock', 'ada'])).toEqual({ code: 0, stdout: '', stderr: 'The user ada is not blocked any more.\n' });
  });

  it('lists all, for people and for programs', async () => {
    const { stdout } = await run(['list']);
    expect(stdout).toMatch(/^ID +USERNAME +NAME +ADMIN +STATE +LAST SIGN-IN\n1 +ada +Ada +yes +active +2/);
    expect((await json('list')).map(({ username }: { username: string }) => username)).toEqual(['ada', 'bob', 'carol', 'dora']);
  });

  it.each<[string, string[], string, string]>([
    [
      'a short password',
      ['create', '--username', 'eve', '--password-stdin'],
      'short',
      'a password must have at least 12 characters',
    ],
    ['a taken name', ['create', '--username', 'ADA'], '', 'the username ADA is taken'],
    ['a name that is none', ['create', '--username', '4711'], '', 'a username must not be a number'],
    [
      'an address that is none',
      ['create', '--username', 'eve', '--email', 'x'],
      '',
      'an e-mail address has one "@", no spaces, and at most 254 characters',
    ],
    ['somebody unknown', ['passwd', 'nobody'], '', 'there is no user nobody'],
    ['somebody unknown to block', ['block', '4711'], '', 'there is no user 4711'],
  ])('says what is wrong with %s, exit 1', async (_what, args, input, message) => {
    expect(await run(args, input)).toEqual({ code: 1, stdout: '', stderr: `promgate: ${message}\n` });
  });

  it('leaves in the audit log who did what', async () => {
    const database = await openDatabase(promgate.settings);
    const rows = await database.db
      .selectFrom('audit_events')
      .select(['action', 'object_name', 'actor_name'])
      .where('actor_kind', '=', 'command_line')
      .where('object_kind', '=', 'user')
      .orderBy('id')
      .execute();
    await database.close();
    expect(rows.map(({ action, object_name }) => `${action} ${object_name}`)).toEqual([
      'created ada',
      'created bob',
      'one_time_link_created bob',
      'created carol',
      'one_time_link_created carol',
      'password_changed carol',
      'created dora',
      'blocked dora',
      'unblocked dora',
      'changed dora',
      'password_changed dora',
      'one_time_link_created dora',
      'blocked dora',
      'one_time_link_created dora',
      'unblocked dora',
      'blocked ada',
      'unblocked ada',
    ]);
    expect(rows.every(({ actor_name }) => actor_name !== '')).toBe(true);
  });
});
