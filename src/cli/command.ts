/**
 * How a command of the command line is written. `src/cli/<name>.ts` exports
 *
 *     export const register: RegisterCommand = (program) => {
 *       addSettingsOptions(program.command('migrate').description('bring the database up to date'))
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
import type { Command } from 'commander';

/** Adds one command, with its verbs, to the program. */
export type RegisterCommand = (program: Command) => void;

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
