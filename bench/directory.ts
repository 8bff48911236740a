/** A directory of any size with a token for each environment, and questions to all of it. */
import { hashToken, newTokenText } from '../src/access/token-text.ts';
import { applyResources } from '../src/directory/apply.ts';
import { commandLineActor } from '../src/ops/audit.ts';
import { openKeyring } from '../src/storage/crypto.ts';
import { openDatabase } from '../src/storage/database.ts';
import { allEnvironments } from '../src/storage/environments.ts';
import { insertToken } from '../src/storage/tokens.ts';
import { pathOf } from './answers.ts';
import type { Ask } from './load.ts';

/** An endpoint. */
export interface Entry {
  /** In front of `/api/v1/…`. */
  readonly path: string;
  readonly token: string;
}

/** Environments are spread over projects of ten, in groups of a hundred projects. */
export async function fillDirectory(dataDir: string, upstream: string, environments: number): Promise<readonly Entry[]> {
  const database = await openDatabase({ dataDir, databaseUrl: '' });
  const keyring = openKeyring({ dataDir, secretKey: null });
  const lines = [`servers: [{ name: bench, url: "${upstream}", cache: { enabled: false } }]`, 'projects:'];
  for (let i = 0; i < environments; i += 10) {
    const names = Array.from({ length: Math.min(10, environments - i) }, (_, n) => `{ name: env-${n} }`);
    lines.push(`  - { path: g${Math.floor(i / 1000)}/p${i / 10}, environments: [${names.join(', ')}] }`);
  }
  await applyResources(database, keyring, lines.join('\n'), {
    fileName: 'bench',
    dryRun: false,
    prune: false,
    env: {},
    actor: commandLineActor('bench'),
  });
  const entries = await database.write(async (trx) => {
    const projects = new Map((await trx.selectFrom('projects').selectAll().execute()).map((row) => [row.id, row.path]));
    const made: Entry[] = [];
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

/** 1,000 questions, all different, spread evenly over the directory. */
export function questions(entries: readonly Entry[]): readonly Ask[] {
  return Array.from({ length: 1000 }, (_, i) => {
    const { path, token } = entries[Math.floor((i * entries.length) / 1000)] as Entry;
    return { path: path + pathOf('small', i), headers: { Authorization: `Bearer ${token}` } };
  });
}
