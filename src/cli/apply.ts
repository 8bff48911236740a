import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { ApplyResult, Change } from '../directory/apply.ts';
import { actorHere } from './actor.ts';
import { addSettingsOptions, note, type RegisterCommand, settingsOf } from './command.ts';
import { addOutputOption, type OutputFormat, print } from './output.ts';

interface Options {
  readonly file: string;
  readonly dryRun?: true;
  readonly prune?: true;
  readonly newKey?: true;
  readonly output: OutputFormat;
}

export const register: RegisterCommand = (program) => {
  addOutputOption(addSettingsOptions(program.command('apply'), 'storage'))
    .description('make groups, projects, environments and servers what a resource file says')
    .requiredOption('-f, --file <file>', 'resource file; - for standard input')
    .option('--dry-run', 'only say what would be done')
    .option('--prune', 'also remove what an earlier apply made and the file no longer names')
    .option('--new-key', 'the key is lost: use the present one, and encrypt with it what the file names')
    .action(async (options: Options, command: Command) => {
      const settings = await settingsOf(command);
      const text = await readInput(options.file);
      const { applyResources } = await import('../directory/apply.ts');
      const { randomBytes } = await import('node:crypto');
      const { openKeyring } = await import('../storage/crypto.ts');
      const { isDatabaseMissing, openDatabase } = await import('../storage/database.ts');
      const { hasKey } = await import('../storage/key-check.ts');
      // A dry run where there is no database yet makes none that stays.
      const scratch = options.dryRun === true && isDatabaseMissing(settings) ? await makeScratch() : null;
      const database = await openDatabase(scratch === null ? settings : { ...settings, dataDir: scratch });
      try {
        const known = await hasKey(database);
        // A dry run makes no key file: nothing is kept of what it seals.
        const passing = options.dryRun === true && !known && settings.secretKey === null;
        const keyring = passing
          ? openKeyring({ ...settings, secretKey: randomBytes(32) })
          : openKeyring(settings, { create: options.newKey === true || !known });
        const result = await applyResources(database, keyring, text, {
          fileName: options.file === '-' ? 'stdin' : options.file,
          dryRun: options.dryRun === true,
          prune: options.prune === true,
          newKey: options.newKey === true,
          env: process.env,
          actor: await actorHere(),
        });
        await report(options.output, result);
      } finally {
        await database.close();
        if (scratch !== null) await rm(scratch, { recursive: true });
      }
    });
};

function makeScratch(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'promgate-dry-run-'));
}

async function readInput(file: string): Promise<string> {
  if (file === '-') {
    const { text } = await import('node:stream/consumers');
    return text(process.stdin);
  }
  const { readFile } = await import('node:fs/promises');
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as { code?: string };
    const reason =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a directory' : (error as Error).message;
    throw new Error(`cannot read ${JSON.stringify(file)}: ${reason}`, { cause: error });
  }
}

async function report(format: OutputFormat, { dryRun, changes, counts }: ApplyResult): Promise<void> {
  // What stays as it is is counted, not listed: of a large file it is nearly everything.
  const listed = changes.filter(({ action }) => action !== 'unchanged');
  const table = { columns: ['action', 'kind', 'name', 'details'], rows: listed.map(row) };
  await print(format, { dry_run: dryRun, counts, changes }, listed.length === 0 ? '' : table);
  const summary = `${counts.created} created, ${counts.changed} changed, ${counts.unchanged} left as they were, ${counts.removed} removed`;
  const kept = counts.kept === 0 ? '' : `, ${counts.kept} kept`;
  note(`${summary}${kept}${dryRun ? ' (dry run: nothing was done)' : ''}`);
}

function row({ action, kind, name, owner, fields, reason }: Change): string[] {
  return [action, kind, owner === undefined ? name : `${name} (${owner})`, reason ?? fields?.join(', ') ?? ''];
}
