/** The part of `docs/configuration.md` on the sections that hold lists of objects (see `identity-schema.ts`). */

type Row = readonly [key: string, standard: string, meaning: string];

const required = 'required';
const issuerMeaning = 'An `https` URL without query; plain `http` only on `localhost`, `127.0.0.0/8` and `[::1]`.';
const caMeaning = 'Certificates in PEM form, in place of the authorities that Node.js trusts. Mostly `{ file: … }`.';
const claimMeaning =
  'A name that starts with `/` leads into nested claims (RFC 6901), such as `/kubernetes.io/namespace`; any other stands for itself.';

const providerRows: readonly Row[] = [
  ['name', required, 'Part of URLs: at most 32 lower-case letters, digits and `-`, a letter first.'],
  ['label', 'the name', 'On the sign-in page.'],
  ['issuer', required, `Exactly as in its discovery document. No two providers have the same. ${issuerMeaning}`],
  ['client_id', required, 'As the provider gave it.'],
  ['client_secret', 'none: a public client', 'Text, `{ env: NAME }` or `{ file: path }`.'],
  ['scopes', '`[profile, email]`', 'What is asked for beside `openid`.'],
  ['ca', 'none', caMeaning],
  ['username_claim', '`preferred_username`', "The claim that a new user's name is taken from."],
  ['sign_up', '`true`', 'Whether somebody without an account gets one.'],
  [
    'link_by_email',
    '`false`',
    'Whether an identity is linked to the account with the same e-mail address, where the provider says that it is verified.',
  ],
  ['rules', '`[]`', 'Roles for whoever has a claim, as below.'],
];

const roleRows: readonly Row[] = [
  ['value', required, 'The claim is this, or a list that has it.'],
  ['claim', '`groups`', claimMeaning],
  ['role', '', '`guest`, `reporter`, `developer`, `maintainer` or `owner`; together with `on`.'],
  ['on', '', 'Path of the group or project on which the role is given.'],
  ['admin', '', '`true`, in place of `role` and `on`: makes an administrator.'],
];

const issuerRows: readonly Row[] = [
  ['name', required, 'In logs: at most 32 lower-case letters, digits and `-`, a letter first.'],
  ['issuer', required, `Exactly as in the claim \`iss\`. ${issuerMeaning}`],
  ['jwks_url', 'as the discovery document says', 'Where its keys are.'],
  ['ca', 'none', caMeaning],
  ['audience', required, 'Has to be in the claim `aud`. Entries for one issuer have different ones.'],
  ['clock_skew', '`30s`', 'By how much its clock and ours may differ; at most `5m`.'],
  ['rules', required, 'What its tokens open, as below; at least one.'],
];

const workloadRows: readonly Row[] = [
  [
    'claims',
    required,
    `Each of them has to have its value, or one of its values; \`*\` in a value stands for any characters. Not every token of the issuer may fit. ${claimMeaning}`,
  ],
  [
    'opens',
    required,
    'An environment (`acme/shop:production`, by name or slug), a project or a group; or an environment or project with claims in its name: `{{project_path}}:{{environment}}`.',
  ],
];

/** A whole example of each section. */
const oidcExample = `oidc:
  providers:
    - name: gitlab
      label: GitLab
      issuer: https://gitlab.example
      client_id: 0a1b2c3d
      client_secret: { env: GITLAB_CLIENT_SECRET }
      scopes: [profile, email]
      ca: { file: gitlab-ca.pem }
      username_claim: preferred_username
      sign_up: true
      link_by_email: false
      rules:
        - { value: acme/sre, admin: true }
        - { value: acme, role: reporter, on: acme }
        - { claim: groups_direct, value: acme/shop-team, role: maintainer, on: acme/shop }`;

const workloadExample = `workload_identity:
  issuers:
    - name: gitlab
      issuer: https://gitlab.example
      jwks_url: https://gitlab.example/oauth/discovery/keys
      ca: { file: gitlab-ca.pem }
      audience: https://promgate.example
      clock_skew: 30s
      rules:
        - claims: { project_path: "acme/*", environment_protected: "true" }
          opens: "{{project_path}}:{{environment}}"
        - claims: { project_path: acme/shop, ref: [main, "release/*"] }
          opens: acme/shop`;

export function identityReference(): string {
  return `## Sign-in with OpenID Connect: \`oidc.providers\`

This section and the next hold lists of objects, so they stand in the file alone: no flags, no variables. SIGHUP takes them over.

${table(providerRows)}

Each of its \`rules\`:

${table(roleRows)}

\`\`\`yaml
${oidcExample}
\`\`\`

## Tokens of other issuers: \`workload_identity.issuers\`

See [Workload identity](workload-identity.md).

${table(issuerRows)}

Each of its \`rules\`:

${table(workloadRows)}

\`\`\`yaml
${workloadExample}
\`\`\``;
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(([key, standard, meaning]) => `| \`${key}\` | ${standard} | ${meaning} |`);
  return ['| key | default | meaning |', '| --- | --- | --- |', ...lines].join('\n');
}
