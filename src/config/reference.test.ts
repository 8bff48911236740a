import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { configurationReference } from './reference.ts';
import { loadSettings } from './settings.ts';

it('docs/configuration.md says what the schema says (else: npm run docs)', () => {
  expect(readFileSync(join(import.meta.dirname, '../../docs/configuration.md'), 'utf8')).toBe(configurationReference());
});

it("the reference's example is a valid configuration", () => {
  const example = /```yaml\n(.*?)```/s.exec(configurationReference())?.[1] ?? '';
  const cwd = mkdtempSync(join(tmpdir(), 'promgate-reference-'));
  try {
    writeFileSync(join(cwd, 'promgate.yml'), example);
    const defaults = loadSettings({ flags: { config: '/dev/null' }, env: {}, cwd });
    expect(loadSettings({ flags: {}, env: {}, cwd })).toEqual({
      ...defaults,
      externalUrl: 'https://promgate.example',
      cors: { origins: ['https://grafana.example'] },
      trustedProxies: ['10.0.0.0/8'],
    });
  } finally {
    rmSync(cwd, { recursive: true });
  }
});
