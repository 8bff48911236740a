import type { Command } from 'commander';
import type { Row, Trx } from '../storage/schema.ts';
import { actorHere } from './actor.ts';
import { addSettingsOptions, note, type RegisterCommand, settingsOf } from './command.ts';
import { addOutputOption, type OutputFormat, print } from './output.ts';

interface CreateOptions {
  readonly username: string;
  readonly name?: string;
  readonly email?: string;
  readonly admin?: true;
  readonly passwordStdin?: true;
  readonly output: OutputFormat;
}

type User = Row<'users'>;

const PAGE = 1_000;

export const register: RegisterCommand = (program) => {
  const user = program.command('user').description('people, who sign in');

  addOutputOption(addSettingsOptions(user.command('create'), 'storage'))
    .description('make an account; prints a one-time link to set its password')
    .requiredOption('--username <name>', 'what the person signs in with')
    .option('--name <name>', 'as others read it (default: the username)')
    .option('--email <address>', 'e-mail address')
    .option('--admin', 'an administrator, who may do everything')
    .option('--password-stdin', 'read the password from standard input instead')
    .action(async (options: CreateOptions, command: Command) => {
      const { username, admin = false } = options;
      const passwordHash = options.passwordStdin ? await hashFromStdin(username) : null;
      const account = { username, name: options.name ?? '', email: options.email ?? null, admin, passwordHash };
      const { createAccount } = await import('../access/accounts.ts');
      const actor = await actorHere();
      const work = async (trx: Trx, externalUrl: string, now: number) => {
        const row = await createAccount(trx, account, actor, now);
        return { row, link: passwordHash === null ? await newLink(trx, row, externalUrl, now) : null };
      };
      // The first administrator may be there before the gateway has ever run.
      const made = await inDatabase(command, work, { create: true });
      await printWithLink(options.output, made.row, made.link);
    });

  addOutputOption(addSettingsOptions(user.command('list'), 'storage'))
    .description('list all accounts')
    .action(async ({ output }: { output: OutputFormat }, command: Command) => {
      const { usersAfter } = await import('../storage/users.ts');
      const rows = await inDatabase(command, async (trx) => {
        const all: User[] = [];
        let page: User[];
        do {
          page = await usersAfter(trx, all.at(-1)?.id ?? 0, PAGE);
          all.push(...page);
        } while (page.length === PAGE);
        return all;
      });
      const { isAdministrator } = await import('../access/accounts.ts');
      const table = rows.map((row) => [
        String(row.id),
        row.username,
        row.name,
        isAdministrator(row) ? 'yes' : 'no',
        row.state,
        time(row.last_sign_in_at) ?? 'never',
      ]);
      await print(output, await Promise.all(rows.map(dataOf)), {
        columns: ['id', 'username', 'name', 'admin', 'state', 'last sign-in'],
        rows: table,
      });
    });

  addOutputOption(addSettingsOptions(user.command('passwd'), 'storage'))
    .description('print a one-time link to set a new password')
    .argument('<username>', 'or id')
    .option('--password-stdin', 'read the new password from standard input instead; all sessions of the person end')
    .action(async (name: string, options: { passwordStdin?: true; output: OutputFormat }, command: Command) => {
      const { findAccount, setPassword } = await import('../access/accounts.ts');
      const actor = await actorHere();
      // Its hash is made first, because it takes a while and the rule for it wants the username; so two transactions.
      const before = await inDatabase(command, (trx) => findAccount(trx, name));
      const hash = options.passwordStdin ? await hashFromStdin(before.username) : null;
      const done = await inDatabase(command, async (trx, externalUrl, now) => {
        const row = await findAccount(trx, String(before.id));
        if (hash === null) return { row, link: await newLink(trx, row, externalUrl, now) };
        await setPassword(trx, row, hash, { actor, now });
        return { row, link: null };
      });
      await printWithLink(options.output, done.row, done.link);
      if (done.link !== null && done.row.state === 'blocked') {
        note(`${done.row.username} is blocked: the link works once the account is unblocked`);
      }
    });

  addOutputOption(addSettingsOptions(user.command('block'), 'storage'))
    .description('keep somebody out; all sessions of the person end at once')
    .argument('<username>', 'or id')
    .action(async (name: string, { output }: { output: OutputFormat }, command: Command) => {
      const { blockAccount, findAccount, isAdministrator } = await import('../access/accounts.ts');
      const { hasActiveAdministrator } = await import('../storage/users.ts');
      const actor = await actorHere();
      const { row, isLast } = await inDatabase(command, async (trx, _url, now) => {
        const before = await findAccount(trx, name);
        await blockAccount(trx, before, actor, now);
        const isLast = isAdministrator(before) && !(await hasActiveAdministrator(trx));
        return { row: await findAccount(trx, String(before.id)), isLast };
      });
      await print(output, await dataOf(row), '');
      note(`The user ${name} is blocked.`);
      if (isLast)
        note(`Warning: now all administrators are blocked. To let this one in again: promgate user unblock ${row.username}`);
    });

  addOutputOption(addSettingsOptions(user.command('unblock'), 'storage'))
    .description('let somebody in again, also whoever has to wait after failed sign-ins')
    .argument('<username>', 'or id')
    .action(async (name: string, { output }: { output: OutputFormat }, command: Command) => {
      const { findAccount, forgetFailedSignIns, unblockAccount } = await import('../access/accounts.ts');
      const actor = await actorHere();
      const { row, wasBlocked } = await inDatabase(command, async (trx, _url, now) => {
        const before = await findAccount(trx, name);
        const wasBlocked = before.state === 'blocked';
        await (wasBlocked ? unblockAccount : forgetFailedSignIns)(trx, before, actor, now);
        return { row: await findAccount(trx, String(before.id)), wasBlocked };
      });
      await print(output, await dataOf(row), '');
      if (wasBlocked) note(`The user ${name} is not blocked any more.`);
      else note(`${row.username} was not blocked; failed sign-ins are forgotten`);
    });
};

/** Runs `work` as one transaction. */
async function inDatabase<T>(
  command: Command,
  work: (trx: Trx, externalUrl: string, now: number) => Promise<T>,
  { create = false } = {},
): Promise<T> {
  const settings = await settingsOf(command);
  const { databasePlace, openDatabase } = await import('../storage/database.ts');
  const database = await openDatabase(settings, { create });
  if (database.migrated.from === null) note(`Began a new database: ${databasePlace(settings)}.`);
  try {
    return await database.write((trx) => work(trx, settings.externalUrl, Date.now()));
  } finally {
    await database.close();
  }
}

/** One line end is the shell's, not the password's. */
async function hashFromStdin(username: string): Promise<string> {
  const { text } = await import('node:stream/consumers');
  const { hashNewPassword } = await import('../access/accounts.ts');
  const { createPasswords } = await import('../access/passwords.ts');
  const password = (await text(process.stdin)).replace(/\r?\n$/, '');
  return hashNewPassword(createPasswords(), password, username);
}

interface Link {
  readonly url: string;
  /** Unix milliseconds. */
  readonly expiresAt: number;
}

async function newLink(trx: Trx, user: User, externalUrl: string, now: number): Promise<Link> {
  const { createOneTimeLink, LINK_LIFETIME, linkUrl } = await import('../access/one-time-links.ts');
  const { recordEvents } = await import('../storage/audit.ts');
  const { userObject } = await import('../storage/audit-objects.ts');
  const url = linkUrl(externalUrl, await createOneTimeLink(trx, user.id, { now }));
  const actor = await actorHere();
  await recordEvents(trx, [{ actor, action: 'one_time_link_created', object: userObject(user) }], now);
  return { url, expiresAt: now + LINK_LIFETIME };
}

async function dataOf(user: User) {
  const { isAdministrator } = await import('../access/accounts.ts');
  return {
    id: user.id,
    username: user.username,
    name: user.name,
    email: user.email,
    admin: isAdministrator(user),
    state: user.state,
    created_at: time(user.created_at),
    last_sign_in_at: time(user.last_sign_in_at),
  };
}

async function printWithLink(format: OutputFormat, user: User, link: Link | null): Promise<void> {
  const setup = link === null ? {} : { setup_url: link.url, setup_url_expires_at: time(link.expiresAt) };
  const data = { ...(await dataOf(user)), ...setup };
  const rows = Object.entries(data).map(([key, value]) => [key, String(value ?? 'none')]);
  await print(format, data, { columns: ['key', 'value'], rows });
}

/** RFC 3339 in UTC, to the second. */
function time(milliseconds: number | null): string | null {
  return milliseconds === null ? null : new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
}
