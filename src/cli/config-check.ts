import type { Command } from 'commander';
import { addSettingsOptions, exitCodes, note, type RegisterCommand, settingsOf } from './command.ts';

export const register: RegisterCommand = (program) => {
  const config = program.command('config').description("the server's configuration");
  addSettingsOptions(config.command('check'), 'all')
    .description('read the configuration as serve would and tell every problem')
    .action(async (_options, command: Command) => {
      const { ConfigError, formatProblem } = await import('../config/problems.ts');
      try {
        await settingsOf(command, note);
        note('The configuration is good.');
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        for (const problem of error.problems) note(formatProblem(problem));
        process.exitCode = exitCodes.problems;
      }
    });
};
