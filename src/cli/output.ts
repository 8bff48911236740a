import { type Command, Option } from 'commander';

export const outputFormats = ['table', 'json', 'yaml'] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** Rows for a person; cells are plain text. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Gives a command `-o, --output table|json|yaml`; its action finds the choice in `options.output`. */
export function addOutputOption(command: Command): Command {
  return command.addOption(new Option('-o, --output <format>', 'how to print').choices(outputFormats).default('table'));
}

/**
 * Prints a command's data on stdout: `data` as JSON or YAML, or `table` (a table or ready text) for a person.
 * Keys of `data` are written as they are: snake_case, as in the API.
 */
export async function print(format: OutputFormat, data: unknown, table: Table | string): Promise<void> {
  if (format === 'json') writeText(JSON.stringify(data, null, 2));
  else if (format === 'yaml') writeText((await import('yaml')).stringify(data));
  else writeText(typeof table === 'string' ? table : formatTable(table));
}

function writeText(text: string): void {
  if (text !== '') process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Columns as wide as their widest cell, two spaces between them, headings in capitals. */
export function formatTable({ columns, rows }: Table): string {
  const lines = [columns.map((column) => column.toUpperCase()), ...rows];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => [...(line[index] ?? '')].length)));
  const pad = (cell: string, width: number): string => cell + ' '.repeat(width - [...cell].length);
  return lines
    .map((line) =>
      columns
        .map((_, index) => pad(line[index] ?? '', widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
