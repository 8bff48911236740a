import type { Command } from 'commander';
import type { Asked, Explanation } from '../guard/explain.ts';
import { formatDuration } from '../promql/format.ts';
import { addSettingsOptions, exitCodes, note, type RegisterCommand, settingsOf, UsageError } from './command.ts';
import { loadSnapshot, targetNamed } from './directory.ts';
import { addOutputOption, formatTable, type OutputFormat, print } from './output.ts';

interface Options {
  output: OutputFormat;
  time?: string;
  start?: string;
  end?: string;
  step?: string;
  var: Map<string, string>;
}

export const register: RegisterCommand = (program) => {
  addOutputOption(addSettingsOptions(program.command('explain'), 'storage'))
    .description('say what becomes of a query: variables, confinement, limits; it is not asked')
    .argument('<name>', 'environment (acme/shop:production), project (acme/shop) or group (acme)')
    .argument('<query>', 'PromQL; - reads it from standard input')
    .option('--time <time>', 'when an instant query would be asked: Unix seconds or RFC 3339 (default: now)')
    .option('--start <time>', 'first time of a range query')
    .option('--end <time>', 'last time of a range query')
    .option('--step <duration>', 'seconds, or a duration such as 1m')
    .option('--var <name=value>', 'a query variable; may be repeated', addVariable, new Map())
    .action(async (name: string, query: string, options: Options, command: Command) => {
      const { time, start, end, step } = options;
      const { askedProblems, explainQuery } = await import('../guard/explain.ts');
      const problems = askedProblems({ time, start, end, step });
      if (problems.length > 0) throw new UsageError(problems.map(({ name, problem }) => `--${name} ${problem}`).join('\n'));
      const asked: Asked = {
        query: query === '-' ? await standardInput() : query,
        time,
        start,
        end,
        step,
        variables: options.var,
      };
      const settings = await settingsOf(command);
      const directory = await loadSnapshot(settings);
      const target = await targetNamed(directory, name);
      const server = directory.server(target);
      if (server === null) {
        note(`No server answers for ${name}; see promgate resolve ${name}`);
        process.exitCode = exitCodes.problems;
        return;
      }
      const { PromgateError } = await import('../errors.ts');
      const { bind } = await import('../upstream/binding.ts');
      const { createAskServer } = await import('../upstream/collect.ts');
      const { createPools } = await import('../upstream/pools.ts');
      const { createGuard } = await import('../guard/decide.ts');
      const pools = createPools(() => settings.outbound.allow);
      try {
        const guard = createGuard({ ask: createAskServer(pools, () => undefined), alarm: () => undefined });
        const binding = bind(target, server, settings, directory.purges);
        const explanation = await explainQuery(asked, settings.limits, { binding, guard });
        await print(options.output, explanation, textOf(explanation));
        if (!explanation.valid || explanation.refused !== null) process.exitCode = exitCodes.problems;
      } catch (error) {
        if (!(error instanceof PromgateError)) throw error;
        // The server must not be asked for this endpoint, whatever the query.
        note(error.message);
        process.exitCode = exitCodes.problems;
      } finally {
        await pools.destroy();
      }
    });
};

function addVariable(text: string, variables: Map<string, string>): Map<string, string> {
  const equals = text.indexOf('=');
  if (equals < 1) throw new UsageError(`--var ${text}: write it as name=value`);
  return variables.set(text.slice(0, equals), text.slice(equals + 1));
}

async function standardInput(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
  return text.trimEnd();
}

/** For a person: what comes of the query, piece by piece, and the verdict last. */
function textOf(explanation: Explanation): string {
  const { query, variables, selectors, limits } = explanation;
  const substituted = query.substituted === query.given ? null : query.substituted;
  const facts: [string, string | null][] = [
    ['query', query.given],
    ['with variables', substituted],
    ['confined', query.confined],
    ['extra_filters[]', query.extra_filters],
    ['type', explanation.type],
    ['server', serverText(explanation)],
    ['verified', verifiedText(explanation)],
  ];
  const shown = facts.filter((fact): fact is [string, string] => fact[1] !== null);
  const width = Math.max(...shown.map(([name]) => name.length));
  const sections = [
    shown.map(([name, text]) => `${name.padEnd(width)}  ${text.replaceAll('\n', `\n${' '.repeat(width + 2)}`)}`).join('\n'),
    ...explanation.errors.map((error) => errorText(error, query.substituted ?? query.given)),
    section(
      ['variable', 'value', 'set by'],
      variables.map(({ name, value, predefined }) => [
        name,
        value ?? '(stays as written)',
        value === null ? 'nobody' : predefined ? 'Promgate' : 'the request',
      ]),
    ),
    section(
      ['selector'],
      selectors.map(({ text }) => [text]),
    ),
    section(
      ['limit', 'at most', 'asked', ''],
      limits.map(({ name, unit, limit, asked, ok }) => [
        name,
        limit === null ? 'unlimited' : amount(limit, unit),
        asked === null ? 'all of time' : amount(asked, unit),
        ok ? 'ok' : 'EXCEEDED',
      ]),
    ),
    verdict(explanation),
  ];
  return sections.filter((text) => text !== '').join('\n\n');
}

function section(columns: string[], rows: string[][]): string {
  return rows.length === 0 ? '' : formatTable({ columns, rows });
}

function amount(count: number, unit: Explanation['limits'][number]['unit']): string {
  return unit === 'seconds' ? formatDuration(Math.round(count * 1000)) : `${count} ${unit}`;
}

function serverText({ server }: Explanation): string | null {
  if (server === null) return null;
  return server.kind === null ? server.name : `${server.name} (${server.kind})`;
}

function verifiedText({ verified, verified_with }: Explanation): string | null {
  if (verified === null) return null;
  return verified === 'server' ? `in the server's own reading (${verified_with})` : "in Promgate's own reading";
}

/** The error, the line it is in, and a caret under the place. */
function errorText({ line, offset, message, found, expected }: Explanation['errors'][number], text: string): string {
  const from = text.lastIndexOf('\n', offset - 1) + 1;
  const before = text.slice(from, offset).replace(/[^\t]/gu, ' ');
  const place = `  ${text.split('\n')[line - 1] ?? ''}\n  ${before}^`;
  const detail = [found === undefined ? '' : `found ${found === '' ? 'the end' : found}`, expected && `expected ${expected}`];
  return [message, place, detail.filter(Boolean).join(', ')].filter(Boolean).join('\n');
}

function verdict({ refused, valid, query, server }: Explanation): string {
  if (refused !== null) return `Refused with ${refused.status}: ${refused.error}`;
  const last = `server ${server?.name} has the last word`;
  if (!valid && query.extra_filters !== null)
    return `Not PromQL that Promgate reads: sent as it is, confined by extra_filters[]; ${last}.`;
  if (!valid) return `Not PromQL that Promgate reads: sent as it is; ${last}.`;
  return query.confined === null ? 'Allowed. The server confines nothing: sent as it is.' : 'Allowed, and sent confined.';
}
