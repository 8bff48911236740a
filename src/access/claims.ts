/** The claims of a verified JWT: finding one by the name that the configuration has for it. */

/** JSON of a token's body. */
export type Claims = Readonly<Record<string, unknown>>;

/**
 * The claim with this name; `undefined` where there is none. A name that starts with `/` is a path into nested claims (JSON
 * pointer, RFC 6901): `/kubernetes.io/serviceaccount/name`. Any other is the name of a claim as it stands, slashes and dots
 * included, as in `https://acme.example/roles`.
 */
export function claimAt(claims: Claims, name: string): unknown {
  let value: unknown = claims;
  for (const step of stepsOf(name)) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, step)) return undefined;
    value = (value as Claims)[step];
  }
  return value;
}

function stepsOf(name: string): string[] {
  if (!name.startsWith('/')) return [name];
  const steps = name.slice(1).split('/');
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** What is wrong with `name` as the name of a claim, or `null`. */
export function claimNameProblem(name: string): string | null {
  if (name === '') return 'must not be empty';
  if (/[{}\p{Cc}]/u.test(name)) return 'is no name of a claim: braces and control characters are not possible';
  if (name !== name.trim()) return 'must not start or end with a blank';
  if (!name.startsWith('/')) return null;
  return /^(\/([^~/]|~[01])+)+$/.test(name)
    ? null
    : 'must be a path such as /kubernetes.io/namespace (RFC 6901), or not start with "/"';
}
