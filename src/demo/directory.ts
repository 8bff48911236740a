import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createToken } from '../access/tokens.ts';
import type { Settings } from '../config/settings.ts';
import { applyResources } from '../directory/apply.ts';
import { commandLineActor } from '../ops/audit.ts';
import { openKeyring } from '../storage/crypto.ts';
import { openDatabase } from '../storage/database.ts';

export interface DemoToken {
  readonly username: string;
  readonly token: string;
  /** The URL of the endpoint that it opens. */
  readonly endpoint: string;
}

const resourceFile = join(import.meta.dirname, '../../demo/resources.yml');
const serverInFile = 'http://127.0.0.1:9090';

/** Fills a fresh database with the demo's directory, its server at `serverUrl`, and makes a token for production. */
export async function fillDirectory(settings: Settings, serverUrl: string): Promise<DemoToken> {
  const text = (await readFile(resourceFile, 'utf8')).replace(serverInFile, () => serverUrl);
  const database = await openDatabase(settings);
  const actor = commandLineActor('demo');
  try {
    await applyResources(database, openKeyring(settings), text, {
      fileName: resourceFile,
      dryRun: false,
      prune: false,
      env: {},
      actor,
    });
    const target = { level: 'environment', path: 'demo/shop:production' } as const;
    const { username, token, endpointPath } = await createToken(database, target, { name: 'grafana' }, actor);
    return { username, token, endpoint: `${settings.externalUrl}${endpointPath}` };
  } finally {
    await database.close();
  }
}
