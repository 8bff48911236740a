import type { Command } from 'commander';
import { addSettingsOptions, exitCodes, note, type RegisterCommand, settingsOf } from './command.ts';
import { loadSnapshot, targetNamed } from './directory.ts';
import { addOutputOption, type OutputFormat, print } from './output.ts';

/** A clock that is further off than this makes "now" of a dashboard another moment than the server's. */
const WORRYING_SECONDS = 2;

export const register: RegisterCommand = (program) => {
  const server = program.command('server').description('servers, which Promgate asks');

  addOutputOption(addSettingsOptions(server.command('test'), 'storage'))
    .description('ask the server of an environment what it is, and whether its clock agrees')
    .argument('<name>', 'environment (acme/shop:production), project (acme/shop) or group (acme)')
    .action(async (name: string, options: { output: OutputFormat }, command: Command) => {
      const settings = await settingsOf(command);
      const directory = await loadSnapshot(settings);
      const target = await targetNamed(directory, name);
      const chosen = directory.server(target);
      if (chosen === null) {
        note(`No server answers for ${name}; see promgate resolve ${name}`);
        process.exitCode = exitCodes.problems;
        return;
      }
      const { bind } = await import('../upstream/binding.ts');
      const { createAskServer } = await import('../upstream/collect.ts');
      const { createPools } = await import('../upstream/pools.ts');
      const { probe } = await import('../upstream/probe.ts');
      const pools = createPools(() => settings.outbound.allow);
      try {
        const found = await probe(
          createAskServer(pools, () => undefined),
          bind(target, chosen, settings, directory.purges),
        );
        const data = {
          server: chosen.name,
          url: chosen.url,
          kind: found.kind,
          version: found.version,
          clock_ahead_seconds: Math.round(found.clockAhead * 10) / 10,
          answer_seconds: found.seconds,
        };
        const columns = Object.keys(data).map((key) => key.replaceAll('_', ' '));
        await print(options.output, data, { columns, rows: [Object.values(data).map((value) => String(value ?? 'unknown'))] });
        if (!(Math.abs(found.clockAhead) > WORRYING_SECONDS)) return;
        note(`The clocks of this machine and of server ${chosen.name} differ by ${Math.abs(found.clockAhead).toFixed(1)} s.`);
        process.exitCode = exitCodes.problems;
      } catch (error) {
        const { operator } = error as { operator?: string };
        note(`${(error as Error).message}${operator === undefined ? '' : ` (${operator})`}`);
        process.exitCode = exitCodes.problems;
      } finally {
        await pools.destroy();
      }
    });
};
