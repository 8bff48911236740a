/** The programs of other projects that the demo needs. */
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Programs {
  readonly prometheus: string;
  /** `null`: there is none, and the demo does without. */
  readonly nodeExporter: string | null;
}

const packages = ['prometheus', 'prometheus-node-exporter'] as const;
const installScript = join(import.meta.dirname, '../../scripts/system-packages.sh');

/** Finds them on the path, after installing what is missing if wished. Throws, with what to do, where there is no Prometheus. */
export async function findPrograms({ install }: { install: boolean }): Promise<Programs> {
  const missing = packages.filter((name) => find(name) === null);
  if (install && missing.length > 0) await run(installScript, missing);
  const prometheus = find('prometheus');
  if (prometheus === null) {
    throw new Error(
      `The demo needs Prometheus, and there is no program "prometheus" on the path.
  Debian, Ubuntu:  sudo apt-get install --no-install-recommends ${packages.join(' ')}
                   (or pass --install, and the demo runs that where it may)
  macOS:           brew install prometheus node_exporter
  Or pass --prometheus-url with the URL of a Prometheus that runs already.`,
    );
  }
  return { prometheus, nodeExporter: find('prometheus-node-exporter') };
}

/** Names by which a program is known; the first is Debian's. */
const names: Readonly<Record<(typeof packages)[number], readonly string[]>> = {
  prometheus: ['prometheus'],
  'prometheus-node-exporter': ['prometheus-node-exporter', 'node_exporter'],
};

function find(program: (typeof packages)[number]): string | null {
  for (const name of names[program]) {
    for (const directory of (process.env.PATH ?? '').split(delimiter)) {
      const file = join(directory, name);
      if (directory !== '' && isProgram(file)) return file;
    }
  }
  return null;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** What it says goes to stderr, also why it fails: whether that matters shows afterwards. */
function run(program: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', process.stderr, process.stderr] });
    child.once('error', reject);
    child.once('close', () => resolve());
  });
}
