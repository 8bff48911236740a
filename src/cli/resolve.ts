import type { Command } from 'commander';
import type { Candidate } from '../directory/resolve.ts';
import { addSettingsOptions, exitCodes, note, type RegisterCommand, settingsOf } from './command.ts';
import { loadSnapshot, targetNamed } from './directory.ts';
import { addOutputOption, type OutputFormat, print } from './output.ts';

export const register: RegisterCommand = (program) => {
  addOutputOption(addSettingsOptions(program.command('resolve'), 'storage'))
    .description('say which server answers, and why not another one')
    .argument('<name>', 'environment (acme/shop:production), project (acme/shop) or group (acme)')
    .action(async (name: string, options: { output: OutputFormat }, command: Command) => {
      const directory = await loadSnapshot(await settingsOf(command));
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
