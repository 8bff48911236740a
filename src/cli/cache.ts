import type { Command } from 'commander';
import type { PurgeSubject } from '../cache/purge.ts';
import type { Settings } from '../config/settings.ts';
import type { Target } from '../directory/model.ts';
import type { Directory } from '../directory/snapshot.ts';
import { actorHere } from './actor.ts';
import { addSettingsOptions, exitCodes, note, type RegisterCommand, settingsOf, UsageError } from './command.ts';
import { loadSnapshot } from './directory.ts';
import { addOutputOption, type OutputFormat, print } from './output.ts';

interface PurgeOptions {
  readonly all?: true;
  readonly server?: string;
  readonly of?: string;
  readonly environment?: string;
  readonly project?: string;
  readonly group?: string;
  readonly output: OutputFormat;
}

/** What is meant, how it is told as data, and to a person. */
interface Found {
  readonly subject: PurgeSubject;
  readonly endpoint: Target | null;
  readonly data: object;
  readonly words: string;
}

export const register: RegisterCommand = (program) => {
  const cache = program.command('cache').description('answers that are kept');

  addOutputOption(addSettingsOptions(cache.command('purge'), 'storage'))
    .description('have the servers asked anew, by all running processes')
    .option('--environment <name>', 'what an environment is shown, such as acme/shop:production', once)
    .option('--project <path>', "what a project's own endpoint is shown, such as acme/shop", once)
    .option('--group <path>', "what a group's own endpoint is shown, such as acme", once)
    .option('--server <name>', 'all that a server has answered', once)
    .option('--of <name>', 'where several servers have the name: instance, or the path of what it belongs to', once)
    .option('--all', 'everything')
    .action(async (options: PurgeOptions, command: Command) => {
      const settings = await settingsOf(command);
      const found = await find(options, settings);
      if (found === null) return;
      const { purge } = await import('../cache/purge.ts');
      const { databasePlace, openDatabase } = await import('../storage/database.ts');
      const database = await openDatabase(settings, { create: false });
      try {
        await purge(database, found.subject, await actorHere(), found.endpoint);
      } finally {
        await database.close();
      }
      const where = databasePlace(settings);
      await print(options.output, { purged: found.data, database: where }, `Purged ${found.words}, in ${where}.`);
    });
};

function once(value: string, previous: string | undefined): string {
  if (previous === undefined) return value;
  throw new UsageError(`each option can be given once: ${JSON.stringify(previous)} and ${JSON.stringify(value)} are two`);
}

/** `null`: no server answers there, or it must not, which is told. */
async function find({ all, server, of, ...named }: PurgeOptions, settings: Settings): Promise<Found | null> {
  const endpoints = (['environment', 'project', 'group'] as const).flatMap((level) => {
    const path = named[level];
    return path === undefined ? [] : [{ level, path }];
  });
  const [endpoint] = endpoints;
  const count = endpoints.length + (server === undefined ? 0 : 1) + (all === true ? 1 : 0);
  const choices = 'one of --environment, --project, --group, --server and --all';
  if (count === 0) throw new UsageError(`say what to purge, ${choices}`);
  if (count > 1) throw new UsageError(`give only ${choices}`);
  if (of !== undefined && server === undefined) throw new UsageError('--of goes only with --server');
  if (server !== undefined) {
    const { namedServerSubject } = await import('../cache/purge-names.ts');
    const found = namedServerSubject(await loadSnapshot(settings), server, of);
    const words = `all of server ${server} (${found.of})`;
    return { subject: found.subject, endpoint: null, data: { server, of: found.of }, words };
  }
  if (endpoint === undefined) {
    const { everything } = await import('../cache/purge.ts');
    return { subject: everything, endpoint: null, data: { all: true }, words: 'everything' };
  }
  const { level, path } = endpoint;
  const directory = await loadSnapshot(settings);
  const target = await targetAt(directory, level, path);
  const { PromgateError } = await import('../errors.ts');
  const { endpointSubject } = await import('../cache/purge-names.ts');
  try {
    const { server, subject } = endpointSubject(directory, target);
    const words = `what ${level} ${path} is shown by server ${server.name}, and all that are shown the same`;
    return { subject, endpoint: target, data: { [level]: path, server: server.name }, words };
  } catch (error) {
    if (!(error instanceof PromgateError)) throw error;
    note(`${path}: ${error.message}; see promgate resolve ${path}`);
    process.exitCode = exitCodes.problems;
    return null;
  }
}

async function targetAt(directory: Directory, level: Target['level'], path: string): Promise<Target> {
  const { namedTarget } = await import('../directory/named.ts');
  const target = namedTarget(directory, path);
  if (target?.level === level) return target;
  const hint = level === 'environment' && !path.includes(':') ? '; write it as acme/shop:production' : '';
  throw new Error(`There is no ${level} ${path}${hint}.`);
}
