import manifest from '../../package.json' with { type: 'json' };
import type { RegisterCommand } from './command.ts';

/** `promgate 0.1.0` */
export const versionText = (): string => `promgate ${manifest.version}`;

export const register: RegisterCommand = (program) => {
  program
    .command('version')
    .description('print the version')
    .action(() => {
      process.stdout.write(`${versionText()}\n`);
    });
};
