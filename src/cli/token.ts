import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { TokenEntry } from '../access/token-list.ts';
import type { IssuedToken } from '../access/tokens.ts';
import type { TargetName } from '../directory/find.ts';
import type { Database } from '../storage/database.ts';
import { actorHere } from './actor.ts';
import { addSettingsOptions, note, type RegisterCommand, settingsOf, UsageError } from './command.ts';
import { addOutputOption, type OutputFormat, print } from './output.ts';

interface TargetOptions {
  readonly environment?: string;
  readonly project?: string;
  readonly group?: string;
}

interface CreateOptions extends TargetOptions {
  readonly name: string;
  readonly username?: string;
  readonly expires: string;
  readonly allow?: string[];
  readonly output: OutputFormat;
}

export const register: RegisterCommand = (program) => {
  const token = program.command('token').description('tokens, which open endpoints');

  addOutputOption(addTargetOptions(addSettingsOptions(token.command('create'), 'storage')))
    .description('make a token; its text is shown this once')
    .requiredOption('--name <name>', 'what it is for, such as grafana')
    .option('--username <name>', 'for HTTP Basic (default: token-<id>)')
    .option('--expires <when>', 'never, after a time such as 90d, or at a date such as 2030-01-31', 'never')
    .option('--allow <network>', 'use it only from here, such as 10.0.0.0/8 (repeatable)', append)
    .action(async (options: CreateOptions, command: Command) => {
      const target = targetFrom(options);
      if (target === null) throw new UsageError('say what the token opens: --environment, --project or --group');
      const expiresAt = expiryFrom(options.expires, await import('../config/units.ts'), Date.now());
      const { createToken } = await import('../access/tokens.ts');
      const fields = { name: options.name, expiresAt, allowedNetworks: options.allow ?? [] };
      await withDatabase(command, async (database, externalUrl) => {
        const username = options.username === undefined ? {} : { username: options.username };
        await printIssued(
          options.output,
          await createToken(database, target, { ...fields, ...username }, await actorHere()),
          externalUrl,
        );
      });
    });

  addOutputOption(addTargetOptions(addSettingsOptions(token.command('list'), 'storage')))
    .description('list tokens, all or those of one environment, project or group')
    .action(async (options: TargetOptions & { output: OutputFormat }, command: Command) => {
      const target = targetFrom(options);
      const { listTokens } = await import('../access/token-list.ts');
      await withDatabase(command, async (database) => printEntries(options.output, await listTokens(database, target)));
    });

  addOutputOption(addSettingsOptions(token.command('rotate'), 'storage'))
    .description('give a token a new text, shown this once')
    .argument('<id>')
    .option('--grace <duration>', 'how long the old text stays good; 0: dies at once', '0')
    .action(async (id: string, options: { grace: string; output: OutputFormat }, command: Command) => {
      const { parseDuration } = await import('../config/units.ts');
      const grace = parseDuration(options.grace);
      if (grace === null) throw new UsageError(`--grace: "${options.grace}" is not a duration such as 0, 30m or 24h`);
      const { rotateToken } = await import('../access/tokens.ts');
      await withDatabase(command, async (database, externalUrl) => {
        await printIssued(options.output, await rotateToken(database, idFrom(id), grace, await actorHere()), externalUrl);
      });
    });

  addSettingsOptions(token.command('revoke'), 'storage')
    .description('end a token for good, at once')
    .argument('<id>')
    .action(async (id: string, _options: object, command: Command) => {
      const { revokeToken } = await import('../access/tokens.ts');
      await withDatabase(command, async (database) => revokeToken(database, idFrom(id), await actorHere()));
      note(`The token ${id} is revoked.`);
    });
};

function addTargetOptions(command: Command): Command {
  return command
    .option('--environment <name>', 'one environment, such as acme/shop:production')
    .option('--project <path>', 'a project with all its environments, such as acme/shop')
    .option('--group <path>', 'a group with all below it, such as acme');
}

function append(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

/** `null`: none given. */
function targetFrom(options: TargetOptions): TargetName | null {
  const [target, ...more] = (['environment', 'project', 'group'] as const).flatMap((level): TargetName[] => {
    const path = options[level];
    return path === undefined ? [] : [{ level, path }];
  });
  if (more.length > 0) throw new UsageError('give only one of --environment, --project and --group');
  return target ?? null;
}

function idFrom(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new UsageError(`"${text}" is not the id of a token; "token list" shows them`);
  return Number(text);
}

/** Unix milliseconds, `null` for never. A date means the start of that day in UTC. */
function expiryFrom(text: string, { parseDuration }: typeof import('../config/units.ts'), now: number): number | null {
  if (text === 'never') return null;
  const duration = parseDuration(text);
  if (duration !== null) return now + duration;
  const time = /^\d{4}-\d{2}-\d{2}(T.*)?$/.test(text) ? Date.parse(text) : Number.NaN;
  // Date.parse rolls 31 February over into March; the text must come back.
  if (Number.isNaN(time) || (text.length === 10 && new Date(time).toISOString().slice(0, 10) !== text)) {
    throw new UsageError(`--expires: "${text}" is neither "never" nor a duration such as 90d nor a date such as 2030-01-31`);
  }
  return time;
}

async function withDatabase(command: Command, work: (database: Database, externalUrl: string) => Promise<void>): Promise<void> {
  const settings = await settingsOf(command);
  const { openDatabase } = await import('../storage/database.ts');
  const database = await openDatabase(settings, { create: false });
  try {
    await work(database, settings.externalUrl);
  } finally {
    await database.close();
  }
}

/** Running gateways look for changes four times a second: a token that is printed is to work at once in a script's next line. */
const KNOWN_EVERYWHERE = 500;

async function printIssued(format: OutputFormat, issued: IssuedToken, externalUrl: string): Promise<void> {
  await delay(KNOWN_EVERYWHERE);
  const data = {
    id: issued.id,
    name: issued.name,
    username: issued.username,
    token: issued.token,
    url: `${externalUrl}${issued.endpointPath}`,
    expires_at: time(issued.expiresAt),
  };
  const rows = Object.entries(data).map(([key, value]) => [key, String(value ?? 'never')]);
  return print(format, data, { columns: ['key', 'value'], rows });
}

function printEntries(format: OutputFormat, entries: readonly TokenEntry[]): Promise<void> {
  const data = entries.map((entry) => ({
    id: entry.id,
    name: entry.name,
    username: entry.username,
    [entry.target.level]: entry.target.path,
    state: entry.state,
    allowed_networks: entry.allowedNetworks,
    created_at: time(entry.createdAt),
    expires_at: time(entry.expiresAt),
    revoked_at: time(entry.revokedAt),
    previous_until: time(entry.previousUntil),
    last_used_at: time(entry.lastUsedAt),
  }));
  const rows = entries.map((entry) => [
    String(entry.id),
    entry.name,
    entry.username,
    `${entry.target.level} ${entry.target.path}`,
    entry.state,
    time(entry.expiresAt) ?? 'never',
    time(entry.lastUsedAt) ?? 'never',
  ]);
  return print(format, data, { columns: ['id', 'name', 'username', 'opens', 'state', 'expires', 'last used'], rows });
}

/** RFC 3339 in UTC, to the second. */
function time(milliseconds: number | null): string | null {
  return milliseconds === null ? null : new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
}
