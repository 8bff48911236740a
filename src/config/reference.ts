import { identityReference } from './identity-reference.ts';
import { flagName, type KeyName, keys, variableName } from './schema.ts';

/** The text of `docs/configuration.md`; `npm run docs` writes it there. */
export function configurationReference(): string {
  return `# Configuration

<!-- Made from src/config/schema.ts and identity-reference.ts by \`npm run docs\`. Change it there. -->

A setting is taken from the first of these that has it:

1. the command's flags,
2. environment variables; an empty one counts as not set,
3. the YAML file that \`--config\` or \`PROMGATE_CONFIG\` names, else \`promgate.yml\` in the working directory where there is one,
4. the default.

\`promgate config check\` reads all of them as \`promgate serve\` would and tells every problem at once: which flag, variable or
line of the file, what stands there and what would be right. A key or a \`PROMGATE_…\` variable that does not exist is a
problem too. On SIGHUP a running server reads everything again; with a problem in it, the old settings stay.

Durations are written as in Prometheus: \`500ms\`, \`30s\`, \`1h30m\`, \`31d\`. Sizes are written \`64MiB\`, \`128KiB\` (powers of
1024), \`10MB\` (powers of 1000) or in plain bytes. Several values are a list in the file; in a variable they stand apart by commas;
a flag takes commas or is repeated.

A secret can also be read from a file: add \`_file\` to the key, \`_FILE\` to the variable, \`-file\` to the flag. White space around
it in the file does not count. Giving both forms in one place is a problem. Relative paths start from the configuration file's
directory when they stand in it, else from the working directory.

| key | variable | flag | default | meaning |
| --- | --- | --- | --- | --- |
${keys.map(row).join('\n')}

Two more variables: \`PROMGATE_CONFIG\`, the path of the file; \`PROMGATE_DEBUG=1\`, which prints the stack trace of an error that
ends a command.

## Example

\`\`\`yaml
${keys
  .filter((key) => !key.secret)
  .flatMap(exampleLines)
  .join('\n')}
\`\`\`

Every value here is the default, except the lists and \`external_url\`.

${identityReference()}
`;
}

function row(key: KeyName): string {
  const standard = key.defaultMeaning ?? `\`${key.default}\``;
  const flags = key.noFlag ? `\`--${flagName(key.path)}-file\` only` : `\`--${flagName(key.path)}\``;
  return `| ${[`\`${key.path}\``, `\`${variableName(key.path)}\``, flags, standard, key.meaning].join(' | ')} |`;
}

const examples: Readonly<Record<string, string>> = {
  external_url: 'https://promgate.example',
  'cors.origins': '[https://grafana.example]',
  trusted_proxies: '[10.0.0.0/8]',
  'outbound.allow': '[prometheus.internal, 10.1.0.0/16]',
};

/** The key's line, after its section's where it is the section's first. */
function exampleLines(key: KeyName, index: number, shown: readonly KeyName[]): string[] {
  const line = (name: string): string => `${name}: ${examples[key.path] ?? key.default}`;
  const [section = '', name] = key.path.split('.');
  if (name === undefined) return [line(section)];
  const first = !shown[index - 1]?.path.startsWith(`${section}.`);
  return [...(first ? [`${section}:`] : []), `  ${line(name)}`];
}
