import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { namespaceProgram } from './support/outbound-namespace.ts';
import { tempDir } from './support/temp-dir.ts';

const apart = ['--net', '--mount', '--'];

/** Needs the right to make a network of one's own, which root has outside of most containers. */
function canUnshare(): boolean {
  try {
    execFileSync('unshare', [...apart, 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

it.skipIf(!canUnshare())(
  'with the resolver of the system, a public name is reached, one of this machine is not, whenever its name changes',
  { timeout: 120_000 },
  async () => {
    const directory = await tempDir('resolver');
    try {
      const command = [process.execPath, namespaceProgram, directory.path];
      const { stdout } = await promisify(execFile)('unshare', [...apart, ...command], { timeout: 100_000 });
      expect(JSON.parse(stdout)).toEqual({
        results: {
          'public.example': { check: 'allowed', answer: '93.184.215.14', asked: 2 },
          'inside.example': { check: 'refused', answer: 'PROMGATE_OUTBOUND', asked: 2 },
          'rebind-after-check.example': { check: 'allowed', answer: 'PROMGATE_OUTBOUND', asked: 2 },
          'rebind-after-lookup.example': { check: 'allowed', answer: '93.184.215.14', asked: 2 },
          'own.example': { check: 'refused', answer: 'PROMGATE_OUTBOUND', asked: 2 },
        },
        violations: [],
      });
    } finally {
      await directory.remove();
    }
  },
);
