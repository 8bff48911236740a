/** The shape of the sections `oidc` and `workload_identity` of the configuration file (see `identity.ts`), which hold lists of objects. */
import { z } from 'zod';
import { claimNameProblem } from '../access/claims.ts';
import { roles } from '../access/roles.ts';
import { opensProblem } from '../access/workload-rules.ts';
import { groupPathProblem, projectPathProblem } from '../directory/paths.ts';
import type { SecretSources } from '../directory/resource-secrets.ts';
import { certificateProblem } from '../directory/resource-values.ts';
import type { OidcProvider, RoleRule, TrustedIssuer } from './identity.ts';
import { issuerUrlProblem } from './identity-values.ts';
import {
  type DataProblem,
  duration,
  filled,
  issueMessage,
  issueProblems,
  list,
  oneOrMore,
  type Problem,
  secret,
  shape,
  text,
} from './shapes.ts';

/** The keys of the file that hold these sections. */
export const identitySections = ['oidc', 'workload_identity'] as const;

export interface Identity {
  readonly providers: readonly OidcProvider[];
  readonly issuers: readonly TrustedIssuer[];
}

/** The sections in `data`, as YAML gave it, or every problem in them. */
export function readIdentity(
  data: Readonly<Record<string, unknown>>,
  sources: SecretSources,
): { readonly value: Identity } | { readonly problems: readonly DataProblem[] } {
  const result = identitySchema(sources).safeParse(data, { error: issueMessage });
  const problems = [...(result.success ? [] : issueProblems(result.error.issues)), ...unusableKeys(data), ...crossProblems(data)];
  if (!result.success || problems.length > 0) return { problems };
  const { oidc, workload_identity } = result.data;
  return { value: { providers: oidc?.providers ?? [], issuers: workload_identity?.issuers ?? [] } };
}

/** zod drops this key without a word, and with it a condition of a rule. */
function unusableKeys(data: unknown, at: readonly PropertyKey[] = []): DataProblem[] {
  if (typeof data !== 'object' || data === null) return [];
  const steps: [PropertyKey, unknown][] = Array.isArray(data) ? [...data.entries()] : Object.entries(data);
  return steps.flatMap(([step, value]) => {
    const path = [...at, step];
    return step === '__proto__' ? [{ path, message: 'is no usable name' }] : unusableKeys(value, path);
  });
}

const nameProblem: Problem = (name) =>
  /^[a-z][a-z0-9-]{0,31}$/.test(name) ? null : 'must be at most 32 lower-case letters, digits and "-", a letter first';
const issuerProblem: Problem = (url) => issuerUrlProblem(url);
const lineProblem: Problem = (line) => filled(line) ?? (/\p{Cc}/u.test(line) ? 'must be one line' : null);
/** RFC 6749, 3.3. */
const scopeProblem: Problem = (scope) =>
  /^[!#-[\]-~]+$/.test(scope) ? null : 'must be printable characters without blanks, quotes and "\\"';
const ownerProblem: Problem = (path) => (path.includes('/') ? projectPathProblem(path) : groupPathProblem(path));

const roleRule = shape({
  claim: text(claimNameProblem).default('groups'),
  value: text(filled),
  role: z.enum(roles).optional(),
  on: text(ownerProblem).optional(),
  admin: z.literal(true, { error: 'must be true, or left out' }).optional(),
}).transform(({ claim, value, role, on, admin }, context): RoleRule => {
  if (admin === true && role === undefined && on === undefined) return { claim, value, gives: { admin } };
  if (admin === undefined && role !== undefined && on !== undefined) return { claim, value, gives: { role, on } };
  context.addIssue({
    code: 'custom',
    message: 'must give either "role" with "on", the path of a group or project, or "admin: true"',
  });
  return z.NEVER;
});

const workloadRule = shape({
  claims: z.record(text(claimNameProblem), oneOrMore(text(filled))).check(({ value, issues }) => {
    if (isOpen(value)) issues.push({ code: 'custom', message: openMessage, input: value });
  }),
  opens: text(opensProblem),
});

const openMessage =
  'would open it to every token of the issuer: name a claim, beside iss and aud, with a value that is not "*" alone';

/** Whether every token of the issuer fits. */
function isOpen(claims: Readonly<Record<string, readonly string[]>>): boolean {
  const telling = Object.entries(claims).filter(([name]) => name !== 'iss' && name !== 'aud');
  return telling.every(([, values]) => values.some((value) => /^\*+$/.test(value)));
}

function identitySchema(sources: SecretSources) {
  const ca = secret(sources, certificateProblem).optional();
  const provider = shape({
    name: text(nameProblem),
    label: text(lineProblem).optional(),
    issuer: text(issuerProblem),
    client_id: text(lineProblem),
    client_secret: secret(sources, filled).optional(),
    scopes: z.array(text(scopeProblem)).default(['profile', 'email']),
    ca,
    username_claim: text(claimNameProblem).default('preferred_username'),
    sign_up: z.boolean().default(true),
    link_by_email: z.boolean().default(false),
    rules: list(roleRule),
  }).transform(
    (raw): OidcProvider => ({
      name: raw.name,
      label: raw.label ?? raw.name,
      issuer: raw.issuer,
      clientId: raw.client_id,
      clientSecret: raw.client_secret ?? null,
      scopes: [...new Set(raw.scopes)].filter((scope) => scope !== 'openid'),
      ca: raw.ca ?? null,
      usernameClaim: raw.username_claim,
      signUp: raw.sign_up,
      linkByEmail: raw.link_by_email,
      rules: raw.rules,
    }),
  );
  const issuer = shape({
    name: text(nameProblem),
    issuer: text(issuerProblem),
    jwks_url: text((url) => issuerUrlProblem(url, { query: true })).optional(),
    ca,
    audience: text(lineProblem),
    clock_skew: duration(0, 300_000, 'must be at most 5m').default(30_000),
    rules: z.array(workloadRule).min(1, { error: 'must not be empty: without rules nothing is opened' }),
  }).transform(
    (raw): TrustedIssuer => ({
      name: raw.name,
      issuer: raw.issuer,
      jwksUrl: raw.jwks_url ?? null,
      ca: raw.ca ?? null,
      audience: raw.audience,
      clockSkew: raw.clock_skew,
      rules: raw.rules,
    }),
  );
  return shape({
    oidc: shape({ providers: list(provider) }).nullish(),
    workload_identity: shape({ issuers: list(issuer) }).nullish(),
  });
}

/** What several entries must fulfil together. Works on the raw data, so that these problems are told beside those of single values. */
function crossProblems(data: Readonly<Record<string, unknown>>): DataProblem[] {
  const { oidc, workload_identity } = data as { oidc?: { providers?: unknown }; workload_identity?: { issuers?: unknown } };
  return [
    ...repeated(oidc?.providers, ['oidc', 'providers'], ['name'], 'two providers have this name'),
    // An account is known by its issuer: what it was given by which of them could not be told.
    ...repeated(oidc?.providers, ['oidc', 'providers'], ['issuer'], 'two providers have this issuer'),
    ...repeated(workload_identity?.issuers, ['workload_identity', 'issuers'], ['name'], 'two issuers have this name'),
    ...repeated(
      workload_identity?.issuers,
      ['workload_identity', 'issuers'],
      ['issuer', 'audience'],
      'two entries for one issuer must have different audiences',
    ),
  ];
}

/** A problem for each element of the list that has the same texts in `keys` as one before it. */
function repeated(elements: unknown, at: readonly string[], keys: readonly string[], message: string): DataProblem[] {
  if (!Array.isArray(elements)) return [];
  const seen = new Set<string>();
  return elements.flatMap((element: Readonly<Record<string, unknown>> | null, index) => {
    const texts = keys.map((key) => element?.[key]);
    if (!texts.every((each) => typeof each === 'string')) return [];
    const together = JSON.stringify(texts);
    const again = seen.has(together);
    seen.add(together);
    return again ? [{ path: [...at, index, keys[keys.length - 1] ?? ''], message }] : [];
  });
}
