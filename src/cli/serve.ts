import type { Command } from 'commander';
import type { Promgate } from '../app.ts';
import { addSettingsOptions, exitCodes, note, type RegisterCommand, settingsOf } from './command.ts';

export const register: RegisterCommand = (program) => {
  addSettingsOptions(program.command('serve'), 'all')
    .description('run the gateway')
    .action(async (_options, command: Command) => {
      const settings = await settingsOf(command);
      const { startPromgate } = await import('../app.ts');
      const promgate = await startPromgate(settings);
      stopOnSignals(promgate);
      reloadOnHangup(promgate, command);
      // Last, because whoever waits for this line may send signals.
      note(`Promgate listens on ${promgate.url}, for operators on ${promgate.opsUrl}`);
    });
};

/** The first signal lets running answers finish, the second does not. */
function stopOnSignals(promgate: Promgate): void {
  let stopping = false;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (stopping) {
      note('stopping at once');
      process.exit(exitCodes.failed);
    }
    stopping = true;
    note(`${signal}: stopping as soon as the running answers are sent; once more to stop at once`);
    await promgate.close();
    // What is still open then (a database that does not answer) must not keep the process.
    process.exit(exitCodes.done);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** A configuration with problems is reported and changes nothing. */
function reloadOnHangup(promgate: Promgate, command: Command): void {
  // One after the other: the last file read is the one in force.
  let reloading = Promise.resolve();
  process.on('SIGHUP', () => {
    reloading = reloading.then(async () => {
      try {
        promgate.reload(await settingsOf(command));
        note('SIGHUP: the configuration was read again');
      } catch (error) {
        note(`SIGHUP: the old configuration stays: ${error instanceof Error ? error.message : String(error)}`);
      }
    });
  });
}
