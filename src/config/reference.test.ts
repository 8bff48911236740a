import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { expect, it } from 'vitest';
import { configurationReference } from './reference.ts';
import { loadSettings } from './settings.ts';

it('docs/configuration.md says what the schema says (else: npm run docs)', () => {
  expect(readFileSync(join(import.meta.dirname, '../../docs/configuration.md'), 'utf8')).toBe(configurationReference());
});

it("the reference's examples are a valid configuration", () => {
  const [example = '', ...sections] = Array.from(
    configurationReference().matchAll(/```yaml\n(.*?)```/gs),
    ([, text]) => text ?? '',
  );
  const cwd = mkdtempSync(join(tmpdir(), 'promgate-reference-'));
  try {
    writeFileSync(join(cwd, 'promgate.yml'), example);
    const defaults = loadSettings({ flags: { config: '/dev/null' }, env: {}, cwd });
    expect(loadSettings({ flags: {}, env: {}, cwd })).toEqual({
      ...defaults,
      externalUrl: 'https://promgate.example',
      cors: { origins: ['https://grafana.example'] },
      trustedProxies: ['10.0.0.0/8'],
      outbound: { allow: ['prometheus.internal', '10.1.0.0/16'] },
    });

    const [ca = ''] = rootCertificates;
    writeFileSync(join(cwd, 'gitlab-ca.pem'), ca);
    writeFileSync(join(cwd, 'promgate.yml'), sections.join(''));
    const { oidc, workloadIdentity } = loadSettings({ flags: {}, env: { GITLAB_CLIENT_SECRET: 's3cret' }, cwd });
    expect(oidc.providers).toEqual([
      {
        name: 'gitlab',
        label: 'GitLab',
        issuer: 'https://gitlab.example',
        clientId: '0a1b2c3d',
        clientSecret: 's3cret',
        scopes: ['profile', 'email'],
        ca,
        usernameClaim: 'preferred_username',
        signUp: true,
        linkByEmail: false,
        rules: [
          { claim: 'groups', value: 'acme/sre', gives: { admin: true } },
          { claim: 'groups', value: 'acme', gives: { role: 'reporter', on: 'acme' } },
          { claim: 'groups_direct', value: 'acme/shop-team', gives: { role: 'maintainer', on: 'acme/shop' } },
        ],
      },
    ]);
    expect(workloadIdentity.issuers).toEqual([
      {
        name: 'gitlab',
        issuer: 'https://gitlab.example',
        jwksUrl: 'https://gitlab.example/oauth/discovery/keys',
        ca,
        audience: 'https://promgate.example',
        clockSkew: 30_000,
        rules: [
          {
            claims: { project_path: ['acme/*'], environment_protected: ['true'] },
            opens: '{{project_path}}:{{environment}}',
          },
          { claims: { project_path: ['acme/shop'], ref: ['main', 'release/*'] }, opens: 'acme/shop' },
        ],
      },
    ]);
  } finally {
    rmSync(cwd, { recursive: true });
  }
});
