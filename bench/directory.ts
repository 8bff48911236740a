/** A directory of any size with a token for each environment, and a wrk script that asks for them in turn. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashToken, newTokenText } from '../src/access/token-text.ts';
import { applyResources } from '../src/directory/apply.ts';
import { openKeyring } from '../src/storage/crypto.ts';
import { openDatabase } from '../src/storage/database.ts';
import { allEnvironments } from '../src/storage/environments.ts';
import { insertToken } from '../src/storage/tokens.ts';

/** Environments are spread over projects of ten, in groups of a hundred projects. */
export async function fillDirectory(
  dataDir: string,
  upstream: string,
  environments: number,
): Promise<{ path: string; token: string }[]> {
  const database = await openDatabase({ dataDir, databaseUrl: '' });
  const keyring = openKeyring({ dataDir, secretKey: null });
  const lines = [`servers: [{ name: bench, url: "${upstream}" }]`, 'projects:'];
  for (let i = 0; i < environments; i += 10) {
    const names = Array.from({ length: Math.min(10, environments - i) }, (_, n) => `{ name: env-${n} }`);
    lines.push(`  - { path: g${Math.floor(i / 1000)}/p${i / 10}, environments: [${names.join(', ')}] }`);
  }
  await applyResources(database, keyring, lines.join('\n'), { fileName: 'bench', dryRun: false, prune: false, env: {} });
  const entries = await database.write(async (trx) => {
    const projects = new Map((await trx.selectFrom('projects').selectAll().execute()).map((row) => [row.id, row.path]));
    const made: { path: string; token: string }[] = [];
    for (const environment of await allEnvironments(trx)) {
      const token = newTokenText();
      const owner = { level: 'environment', id: environment.id } as const;
      const record = {
        name: 'bench',
        username: null,
        hash: hashToken(token),
        allowedNetworks: [],
        createdAt: Date.now(),
        expiresAt: null,
      };
      await insertToken(trx, owner, record);
      made.push({ path: `/${projects.get(environment.project_id)}/-/environments/${environment.slug}/prometheus`, token });
    }
    return made;
  });
  await database.close();
  return entries;
}

/** Asks 1,000 of the endpoints (or all, where there are fewer), spread evenly over the directory, in turn. */
export async function writeScript(
  dir: string,
  entries: readonly { path: string; token: string }[],
  query: string,
): Promise<string> {
  const every = Math.max(1, Math.floor(entries.length / 1000));
  const chosen = entries.filter((_, i) => i % every === 0);
  const requests = chosen.map(({ path, token }) => `wrk.format("GET", "${path}${query}", {["Authorization"]="Bearer ${token}"})`);
  const file = join(dir, `requests-${entries.length}.lua`);
  const script = `
local requests = {}
local at = 0
function init()
${requests.map((request) => `  requests[#requests + 1] = ${request}`).join('\n')}
end
function request()
  at = at % #requests + 1
  return requests[at]
end
`;
  await writeFile(file, script);
  return file;
}
