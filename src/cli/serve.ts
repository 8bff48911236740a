import type { Command } from 'commander';
import type { Promgate } from '../app.ts';
import { addSettingsOptions, exitCodes, note, type RegisterCommand, settingsOf } from './command.ts';

export const register: RegisterCommand = (program) => {
  addSettingsOptions(program.command('serve'), 'all')
    .description('run the gateway')
    .action(async (_options, command: Command) => {
      const starting = start(command);
      // Before the start is done: a signal without a handler would end the process in the middle of it.
      // Why a start failed is told by the command itself.
      const started = starting.catch(() => null);
      stopOnSignals(started);
      reloadOnHangup(started, command);
      const promgate = await starting;
      note(`Promgate listens on ${promgate.url}, for operators on ${promgate.opsUrl}`);
      if (promgate.setupUrl !== null) note(`There is no administrator yet. Make one here, within a day: ${promgate.setupUrl}`);
    });
};

async function start(command: Command): Promise<Promgate> {
  const settings = await settingsOf(command, note);
  const { startPromgate } = await import('../app.ts');
  return await startPromgate(settings);
}

/** The first signal lets the start and running answers finish, the second does not. */
function stopOnSignals(started: Promise<Promgate | null>): void {
  let stopping = false;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (stopping) {
      note('stopping at once');
      process.exit(exitCodes.failed);
    }
    stopping = true;
    note(`${signal}: stopping as soon as the running answers are sent; once more to stop at once`);
    const promgate = await started;
    if (promgate === null) return;
    try {
      await promgate.close();
    } catch (error) {
      note(`promgate: could not stop in order: ${messageOf(error)}`);
      process.exit(exitCodes.failed);
    }
    // What is still open then (a database that does not answer) must not keep the process.
    process.exit(exitCodes.done);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** A configuration with problems is reported and changes nothing. */
function reloadOnHangup(started: Promise<Promgate | null>, command: Command): void {
  // One after the other: the last file read is the one in force.
  let reloading = Promise.resolve();
  process.on('SIGHUP', () => {
    reloading = reloading.then(async () => {
      const promgate = await started;
      if (promgate === null) return;
      try {
        promgate.reload(await settingsOf(command));
        note('SIGHUP: the configuration was read again');
      } catch (error) {
        note(`SIGHUP: the old configuration stays: ${messageOf(error)}`);
      }
    });
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
