import { Command, CommanderError, Help } from 'commander';
import { register as apply } from './apply.ts';
import { register as cache } from './cache.ts';
import { exitCodes, note, type RegisterCommand, settingsGroup, UsageError } from './command.ts';
import { register as config } from './config-check.ts';
import { register as demo } from './demo.ts';
import { register as explain } from './explain.ts';
import { register as migrate } from './migrate.ts';
import { register as resolve } from './resolve.ts';
import { register as serve } from './serve.ts';
import { register as server } from './server.ts';
import { register as token } from './token.ts';
import { register as user } from './user.ts';
import { register as version, versionText } from './version.ts';

/** In the order of the help: first what one does first. */
const commands: readonly RegisterCommand[] = [
  demo,
  serve,
  apply,
  resolve,
  explain,
  token,
  user,
  server,
  cache,
  config,
  migrate,
  version,
];

const helpEnd = `
Settings: flags, PROMGATE_… variables, promgate.yml; see docs/configuration.md.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 a check found problems.`;

/** What belongs to the command itself comes first in its help. */
const settingsLast: Help['groupItems'] = (...items) => {
  const groups = new Help().groupItems(...items);
  const settings = groups.get(settingsGroup);
  groups.delete(settingsGroup);
  return settings ? groups.set(settingsGroup, settings) : groups;
};

function buildProgram(): Command {
  const program = new Command('promgate')
    .description('One Prometheus-compatible URL with its own narrow, read-only token for every environment of every project.')
    .version(versionText())
    .addHelpText('after', helpEnd)
    // Commands inherit these, so they come before them.
    .exitOverride()
    .configureHelp({ groupItems: settingsLast });
  for (const register of commands) register(program);
  return program;
}

/** Runs the command that `argv` names and sets the process's exit code. */
export async function run(argv: readonly string[]): Promise<void> {
  process.on('uncaughtException', (error) => {
    report(error);
    process.exit(exitCodes.failed);
  });
  // The reader of a pipe (such as `head`) has what it wants.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.done);
    throw error;
  });
  try {
    await buildProgram().parseAsync(argv);
  } catch (error) {
    process.exitCode = report(error);
  }
}

/** Tells on stderr what went wrong; gives the exit code. A stack trace only with `PROMGATE_DEBUG=1`. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed its message; asking for help is no error.
    return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
  note(`promgate: ${error instanceof Error && error.message !== '' ? error.message : String(error)}`);
  if (process.env.PROMGATE_DEBUG === '1' && error instanceof Error) note(error.stack ?? '');
  return error instanceof UsageError ? exitCodes.usage : exitCodes.failed;
}
