import type { Command } from 'commander';
import { addSettingsOptions, note, type RegisterCommand, settingsOf } from './command.ts';

export const register: RegisterCommand = (program) => {
  addSettingsOptions(program.command('migrate'), 'storage')
    .description('bring the database up to date (serve and all others do so too)')
    .action(async (_options, command: Command) => {
      const settings = await settingsOf(command);
      const { openDatabase } = await import('../storage/database.ts');
      const database = await openDatabase(settings);
      const { from, to } = database.migrated;
      await database.close();
      note(from === to ? `The database is up to date: ${to}.` : `The database went from ${from ?? 'empty'} to ${to}.`);
    });
};
