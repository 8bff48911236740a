/**
 * How a command of the command line is written. `src/cli/<name>.ts` exports
 *
 *     export const register: RegisterCommand = (program) => {
 *       addSettingsOptions(program.command('migrate').description('bring the database up to date'), 'storage')
 *         .action(async (_options, command: Command) => {
 *           const settings = await settingsOf(command);
 *           const { openDatabase } = await import('../storage/database.ts');
 *           …
 *         });
 *     };
 *
 * and `main.ts` calls it. At the top of such a file stand only imports that cost nothing (commander, this file,
 * `output.ts`); what the work needs is imported inside the action, so that every command starts quickly.
 *
 * Data goes to stdout (`output.ts`), everything else to stderr (`note`). A command that is done returns; one that
 * failed throws (exit 1, `main.ts` prints the message alone); wrong arguments that commander cannot see throw
 * `UsageError` (exit 2); a check that found problems sets `process.exitCode = exitCodes.problems`.
 */
import { type Command, Option } from 'commander';
import { flagName, keys } from '../config/schema.ts';
import type { Settings } from '../config/settings.ts';

/** Adds one command, with its verbs, to the program. */
export type RegisterCommand = (program: Command) => void;

/** Heading of the settings' flags in the help. */
export const settingsGroup = 'Settings:';

/** Contract §10. */
export const exitCodes = { done: 0, failed: 1, usage: 2, problems: 3 } as const;

/** The arguments do not make sense together. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A line for the person at the terminal, on stderr. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/**
 * Gives a command the flags of the settings: all of them, or those that matter to a command which only works on the
 * database. `settingsOf` reads them.
 */
export function addSettingsOptions(command: Command, which: 'all' | 'storage'): Command {
  const add = (flags: string, text: string): Option => {
    const option = new Option(flags, text).helpGroup(settingsGroup);
    command.addOption(option);
    return option;
  };
  add('--config <file>', 'configuration file (default: promgate.yml, where there is one)');
  for (const key of keys) {
    if (which === 'storage' && !key.storage) continue;
    const hint = key.default === '' ? '' : ` (default: ${key.default})`;
    if (!key.noFlag) {
      const option = add(`--${flagName(key.path)} <value>`, `${firstSentence(key.meaning)}${hint}`);
      if (key.list) option.argParser(append);
    }
    if (key.secret) add(`--${flagName(`${key.path}_file`)} <file>`, `file that holds ${key.path}`);
  }
  return command;
}

/** Says what a setting is, as part of a line; the rest stands in docs/configuration.md. */
function firstSentence(meaning: string): string {
  const text = meaning.replaceAll('`', '').replace(/\.( .*)?$/, '');
  return text.replace(/^[A-Z](?=[a-z ])/, (letter) => letter.toLowerCase());
}

/** A flag that may be repeated, or hold several values apart by commas. */
function append(value: string, previous: string | undefined): string {
  return previous === undefined ? value : `${previous},${value}`;
}

/**
 * The settings for a command with `addSettingsOptions`. Throws `ConfigError` with every problem; `warn` gets a line for
 * whatever is accepted but has no effect.
 */
export async function settingsOf(command: Command, warn?: (line: string) => void): Promise<Settings> {
  const { loadSettings } = await import('../config/settings.ts');
  return loadSettings({ flags: command.opts(), env: process.env, cwd: process.cwd() }, warn);
}
