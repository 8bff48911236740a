/** A PostgreSQL of the tests' own: started in a temporary directory, gone without a trace afterwards. */
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from './ports.ts';
import { startProcess } from './process.ts';
import { tempDir } from './temp-dir.ts';

interface TestPostgres {
  /** Of a superuser in the database `postgres`. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts PostgreSQL on a free port of the loopback interface. Throws, saying what to install, where there is none. */
export async function startPostgres(): Promise<TestPostgres> {
  const bin = findBinaries();
  const account = unprivilegedAccount();
  const directory = await tempDir('postgres');
  try {
    if (account !== null) chownSync(directory.path, account.uid, account.gid);
    const data = join(directory.path, 'data');
    // Not in the current directory, where the other account may not even look.
    const surroundings = { cwd: directory.path, env: { LC_ALL: 'C', TZ: 'UTC' } };
    execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'promgate', '-A', 'trust', '-E', 'UTF8', '--no-sync'], {
      ...surroundings,
      ...account,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const port = await freePort();
    const url = `postgres://promgate@127.0.0.1:${port}/postgres`;
    const command = [...asAccount(account), join(bin, 'postgres'), '-D', data, ...serverOptions(port)];
    const server = await startProcess('setpriv', command, { ...surroundings, ready: () => answers(url) });
    return {
      url,
      async stop() {
        // The fast shutdown; at SIGTERM it would wait for connections that a failed test has left.
        process.kill(server.pid, 'SIGINT');
        await server.stop();
        await directory.remove();
      },
    };
  } catch (error) {
    await directory.remove();
    throw error;
  }
}

/** The newest version where Debian puts them. */
function findBinaries(): string {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  const bin = versions.map((version) => join(root, version, 'bin')).find((path) => existsSync(join(path, 'initdb')));
  if (bin === undefined) throw new Error('The tests need PostgreSQL: run `make test`, or `apt-get install postgresql`.');
  return bin;
}

/** PostgreSQL refuses to run as root; `null`: this process is not. */
function unprivilegedAccount(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  for (const name of ['postgres', 'nobody']) {
    try {
      const number = (flag: string) => Number(execFileSync('id', [flag, name], { stdio: 'pipe' }));
      return { uid: number('-u'), gid: number('-g') };
    } catch {
      // No such account; try the next.
    }
  }
  throw new Error('PostgreSQL does not run as root, and this machine has neither an account `postgres` nor `nobody`.');
}

/** `setpriv`'s arguments. A change of account takes away the parent's death signal, so it is asked for again. */
function asAccount(account: { uid: number; gid: number } | null): string[] {
  const change = account === null ? [] : [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups'];
  return [...change, '--pdeathsig=KILL', '--'];
}

function serverOptions(port: number): string[] {
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    shared_buffers: '32MB',
    max_connections: 100,
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  try {
    await client.connect();
    return true;
  } finally {
    await client.end();
  }
}
