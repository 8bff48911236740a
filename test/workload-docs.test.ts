import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { openedNames } from '../src/access/workload-rules.ts';
import type { TrustedIssuer } from '../src/config/identity.ts';
import { loadSettings } from '../src/config/settings.ts';

const text = readFileSync(join(import.meta.dirname, '../docs/workload-identity.md'), 'utf8');
const blocks = Array.from(text.matchAll(/```yaml\n(.*?)```/gs), ([, block]) => block ?? '');

/** The issuers of the guide's configurations, in order, as Promgate reads them. */
function issuersOfTheGuide(): TrustedIssuer[] {
  const cwd = mkdtempSync(join(tmpdir(), 'promgate-guide-'));
  try {
    writeFileSync(join(cwd, 'ca.crt'), rootCertificates[0] ?? '');
    return blocks
      .filter((block) => block.startsWith('workload_identity:'))
      .flatMap((block) => {
        writeFileSync(join(cwd, 'promgate.yml'), block.replace('/var/run/secrets/kubernetes.io/serviceaccount/ca.crt', 'ca.crt'));
        return loadSettings({ flags: {}, env: {}, cwd }).workloadIdentity.issuers;
      });
  } finally {
    rmSync(cwd, { recursive: true });
  }
}

// What the platforms put into their tokens, as their documents show it.
const gitlab = {
  project_path: 'acme/shop',
  ref: 'main',
  ref_type: 'branch',
  ref_protected: 'true',
  environment: 'production',
  environment_protected: 'true',
};
const github = {
  repository: 'acme/shop',
  repository_owner: 'acme',
  repository_owner_id: '1234567',
  environment: 'production',
  ref: 'refs/heads/main',
};
const kubernetes = {
  sub: 'system:serviceaccount:shop-prod:autoscaler',
  'kubernetes.io': { namespace: 'shop-prod', pod: { name: 'autoscaler' }, serviceaccount: { name: 'autoscaler', uid: 'x' } },
};

it("the guide's configurations open to the guide's jobs what it says, and not to others", () => {
  const issuers = issuersOfTheGuide();
  const opened = (index: number, claims: Record<string, unknown>) =>
    openedNames(issuers[index]?.rules ?? [], claims).map(({ path, environment }) => `${path}:${environment?.text}`);
  const production = ['acme/shop:production'];
  expect(issuers.map(({ name }) => name)).toEqual(['gitlab', 'gitlab', 'github', 'cluster']);
  expect(opened(0, gitlab)).toEqual(production);
  expect(opened(0, { ...gitlab, environment_protected: 'false' })).toEqual([]);
  expect(opened(0, { ...gitlab, environment: 'review/login' })).toEqual(['acme/shop:review/login']);
  expect(opened(1, gitlab)).toEqual(production);
  expect(opened(1, { ...gitlab, ref: 'feature' })).toEqual([]);
  expect(opened(2, github)).toEqual(production);
  expect(opened(2, { ...github, repository_owner_id: '7' })).toEqual([]);
  expect(opened(3, kubernetes)).toEqual(production);
  expect(opened(3, { 'kubernetes.io': { ...kubernetes['kubernetes.io'], namespace: 'other' } })).toEqual([]);
});

it("all of the guide's YAML is YAML, and the audiences are one", () => {
  for (const block of blocks) expect(parse(block)).toBeTypeOf('object');
  const audiences = text.matchAll(/(?:audience|aud)[:=] ?(\S+?)[,"\s]/g);
  expect(new Set(Array.from(audiences, ([, audience]) => audience))).toEqual(new Set(['https://promgate.example']));
});
