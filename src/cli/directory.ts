/** What commands need that look at the directory as the gateway sees it. */
import type { Settings } from '../config/settings.ts';
import type { Target } from '../directory/model.ts';
import type { Directory } from '../directory/snapshot.ts';

/** The whole directory, read by the same code as the gateway's. */
export async function loadSnapshot(settings: Settings): Promise<Directory> {
  const { loadDirectory } = await import('../directory/load.ts');
  const { createLog } = await import('../ops/log.ts');
  const { openKeyring } = await import('../storage/crypto.ts');
  const { openDatabase } = await import('../storage/database.ts');
  const { hasKey, verifyKey } = await import('../storage/key-check.ts');
  const database = await openDatabase(settings, { create: false });
  try {
    const log = createLog(settings.logLevel);
    const keyring = openKeyring(settings, { create: !(await hasKey(database)) });
    return await database.read(async (trx) => {
      await verifyKey(trx, keyring);
      return (await loadDirectory(trx, keyring, log)).directory;
    });
  } finally {
    await database.close();
  }
}

/** An environment (`acme/shop:production`, by name or slug), a project or a group. Throws where there is none. */
export async function targetNamed(directory: Directory, name: string): Promise<Target> {
  const { namedTarget } = await import('../directory/named.ts');
  const target = namedTarget(directory, name);
  if (target !== null) return target;
  throw new Error(
    name.includes(':')
      ? `There is no environment ${name}.`
      : `There is no project or group ${name}; an environment is written as acme/shop:production.`,
  );
}
