import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadSettings } from '../src/config/settings.ts';
import { type TempDir, tempDir } from './support/temp-dir.ts';

const text = readFileSync(join(import.meta.dirname, '../docs/oidc.md'), 'utf8');
let dir: TempDir;
beforeAll(async () => {
  dir = await tempDir('docs');
  await writeFile(join(dir.path, 'gitlab-client-secret'), 'secret\n');
});
afterAll(() => dir?.remove());

it('the guide’s configuration for GitLab is one', async () => {
  const block = /```yaml\n( +external_url:[\s\S]*?)```/.exec(text)?.[1] ?? '';
  await writeFile(join(dir.path, 'promgate.yml'), block.replaceAll(/^ {3}/gm, ''));
  const settings = loadSettings({ flags: {}, env: {}, cwd: dir.path });
  expect(settings.oidc.providers).toMatchObject([
    {
      name: 'gitlab',
      issuer: 'https://gitlab.example',
      clientSecret: 'secret',
      scopes: ['profile', 'email'],
      signUp: true,
      linkByEmail: false,
      rules: [
        { claim: 'groups', value: 'acme/sre', gives: { admin: true } },
        { claim: 'groups', value: 'acme', gives: { role: 'reporter', on: 'acme' } },
        { claim: 'groups', value: 'acme/shop-team', gives: { role: 'maintainer', on: 'acme/shop' } },
      ],
    },
  ]);
  expect(text).toContain(`\`${settings.externalUrl}/login/oidc/gitlab/callback\``);
});
