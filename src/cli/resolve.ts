import type { Command } from 'commander';
import type { Target } from '../directory/model.ts';
import type { Candidate } from '../directory/resolve.ts';
import type { Directory } from '../directory/snapshot.ts';
import { addSettingsOptions, exitCodes, note, type RegisterCommand, settingsOf } from './command.ts';
import { addOutputOption, type OutputFormat, print } from './output.ts';

export const register: RegisterCommand = (program) => {
  addOutputOption(addSettingsOptions(program.command('resolve'), 'storage'))
    .description('say which server answers, and why not another one')
    .argument('<name>', 'environment (acme/shop:production), project (acme/shop) or group (acme)')
    .action(async (name: string, options: { output: OutputFormat }, command: Command) => {
      const directory = await loadAll(command);
      const { server, candidates } = directory.explain(await targetNamed(directory, name));
      const data = { name, server: server?.name ?? null, url: server?.url ?? null, candidates: candidates.map(entry) };
      const columns = ['server', 'of', 'scope', 'outcome', 'reason', 'url'];
      await print(
        options.output,
        data,
        candidates.length === 0 ? '' : { columns, rows: candidates.map((each) => Object.values(entry(each))) },
      );
      if (server !== null) return;
      note(`No server answers for ${name}.`);
      process.exitCode = exitCodes.problems;
    });
};

function entry({ server, owner, outcome, reason }: Candidate) {
  return { server: server.name, owner, environment_scope: server.environmentScope, outcome, reason, url: server.url };
}

/** The whole directory as the gateway sees it: the same code answers here and there. */
async function loadAll(command: Command): Promise<Directory> {
  const settings = await settingsOf(command);
  const { loadDirectory } = await import('../directory/load.ts');
  const { createLog } = await import('../ops/log.ts');
  const { openKeyring } = await import('../storage/crypto.ts');
  const { openDatabase } = await import('../storage/database.ts');
  const database = await openDatabase(settings);
  try {
    const log = createLog(settings.logLevel);
    const { directory } = await database.read((trx) => loadDirectory(trx, openKeyring(settings), log));
    return directory;
  } finally {
    await database.close();
  }
}

async function targetNamed(directory: Directory, name: string): Promise<Target> {
  const { parseDirectoryName } = await import('../directory/paths.ts');
  const { environmentSlug } = await import('../directory/slug.ts');
  const { path, environment } = parseDirectoryName(name);
  const target =
    environment === null
      ? (directory.project(path) ?? directory.group(path))
      : (directory.environment(path, environmentSlug(environment)) ?? directory.environment(path, environment));
  if (target !== null) return target;
  throw new Error(environment === null ? `There is no project or group ${path}.` : `There is no environment ${name}.`);
}
