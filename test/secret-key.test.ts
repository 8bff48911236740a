import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startPromgate } from '../src/app.ts';
import { createLog } from '../src/ops/log.ts';
import { openKeyring } from '../src/storage/crypto.ts';
import { openDatabase } from '../src/storage/database.ts';
import { checkKey } from '../src/storage/key-check.ts';
import { allServers } from '../src/storage/servers.ts';
import { createDatabaseHome, createTestDatabase, dialects } from './support/database.ts';
import { startTestPromgate, type TestPromgate } from './support/promgate.ts';

// Each test starts programs or hashes passwords, which a busy machine is slow at.
vi.setConfig({ testTimeout: 120_000 });

const program = join(import.meta.dirname, '../bin/promgate');
const right = Buffer.alloc(32, 1);
const wrong = Buffer.alloc(32, 2);
/** The one that runs sees its server sealed with another key in the end, and says so. */
const log = createLog('error', () => undefined);
const refusal = /secret key is not the one that this database is used with\. Set secret_key.*--new-key/;
const missing = /key file .*secret\.key is missing, and this database is used with a key\..*--new-key/;
const resources = JSON.stringify({
  servers: [{ name: 'main', url: 'http://127.0.0.1:1', auth: { bearer: 'hunter2' } }],
  projects: [{ path: 'acme/shop', environments: [{ name: 'production' }] }],
});

describe.each(dialects)('a database on %s that is used with one secret key', (dialect) => {
  let promgate: TestPromgate;
  beforeAll(async () => {
    promgate = await startTestPromgate({ resources, database: dialect, settings: { secretKey: right }, log });
  });
  afterAll(() => promgate?.close());

  const servers = async () => {
    const database = await openDatabase(promgate.settings);
    try {
      return await database.read(allServers);
    } finally {
      await database.close();
    }
  };

  /** Runs a command as a person would, with a key or, without one, the generated file's. */
  async function run(key: Buffer | null, args: string[], input = ''): Promise<{ code: number; stderr: string; stdout: string }> {
    const env = {
      PATH: process.env.PATH,
      PROMGATE_DATA_DIR: promgate.settings.dataDir,
      PROMGATE_DATABASE_URL: promgate.settings.databaseUrl,
      ...(key === null ? {} : { PROMGATE_SECRET_KEY: key.toString('base64') }),
    };
    const running = promisify(execFile)(program, args, { env, cwd: promgate.settings.dataDir });
    running.child.stdin?.end(input);
    return running.then(
      (done) => ({ code: 0, ...done }),
      ({ code, stderr, stdout }) => ({ code, stderr, stdout }),
    );
  }

  it('refuses serve with another one', async () => {
    await expect(startPromgate({ ...promgate.settings, secretKey: wrong })).rejects.toThrow(refusal);
  });

  it.each([
    ['apply', '-f', '-'],
    ['apply', '-f', '-', '--dry-run'],
    ['resolve', 'acme/shop:production'],
    ['server', 'test', 'acme/shop:production'],
    ['explain', 'acme/shop:production', 'up'],
  ])('refuses promgate %s %s %s with another one, and nothing has changed', async (...args) => {
    const before = await servers();
    for (const [key, words] of [
      [wrong, refusal],
      [null, missing],
    ] as const) {
      expect(await run(key, args, resources)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(words) });
    }
    // Another file in its place would hide that it is gone.
    expect(existsSync(join(promgate.settings.dataDir, 'secret.key'))).toBe(false);
    expect(await servers()).toEqual(before);
  });

  it('goes on with its own', async () => {
    const { code, stderr } = await run(right, ['apply', '-f', '-'], resources);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('0 changed') });
    expect((await run(right, ['resolve', 'acme/shop:production'])).code).toBe(0);
  });

  it('takes another one with apply --new-key, not in a dry run, and then refuses the one before', async () => {
    const dry = await run(wrong, ['apply', '-f', '-', '--new-key', '--dry-run'], resources);
    expect({ code: dry.code, stderr: dry.stderr }).toEqual({ code: 0, stderr: expect.stringContaining('1 changed') });
    expect((await run(right, ['resolve', 'acme/shop:production'])).code).toBe(0);
    const { code, stdout } = await run(wrong, ['apply', '-f', '-', '--new-key'], resources);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/changed +server +main .*connection/) });
    expect(await run(right, ['apply', '-f', '-'], resources)).toMatchObject({ code: 1, stderr: expect.stringMatching(refusal) });
    const again = await startPromgate({ ...promgate.settings, secretKey: wrong });
    await again.close();
  });
});

describe.each(dialects)('a new database on %s', (dialect) => {
  it('belongs to the key of one of the processes that start at the same moment', async () => {
    const home = await createDatabaseHome(dialect);
    const outcomes = await Promise.allSettled(
      [right, wrong, right, wrong].map(async (secretKey) => {
        const database = await openDatabase(home.settings);
        try {
          await checkKey(database, openKeyring({ ...home.settings, secretKey }));
        } finally {
          await database.close();
        }
        return secretKey;
      }),
    );
    const taken = outcomes.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const refused = outcomes.flatMap((each) => (each.status === 'rejected' ? [String(each.reason)] : []));
    expect(taken).toHaveLength(2);
    expect(taken[0]).toEqual(taken[1]);
    expect(refused).toEqual([expect.stringMatching(refusal), expect.stringMatching(refusal)]);
    await home.remove();
  });

  it('is not claimed by a look at it', async () => {
    const home = await createTestDatabase(dialect);
    const env = {
      PATH: process.env.PATH,
      PROMGATE_DATA_DIR: home.settings.dataDir,
      PROMGATE_DATABASE_URL: home.settings.databaseUrl,
      PROMGATE_SECRET_KEY: wrong.toString('base64'),
    };
    const look = promisify(execFile)(program, ['resolve', 'acme/shop'], { env, cwd: home.settings.dataDir });
    await expect(look).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('There is no project') });
    await expect(checkKey(home.database, openKeyring({ ...home.settings, secretKey: right }))).resolves.toBeUndefined();
    await home.remove();
  });
});
