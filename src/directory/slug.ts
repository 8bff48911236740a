import { createHash } from 'node:crypto';

const suffixSpace = 36n ** 6n;

/**
 * The short form of an environment's name for URLs and label values: `[a-z][a-z0-9-]*`, at most 24 characters, no dash at
 * the end. The same slug as GitLab's for the same name (`lib/gitlab/slug/environment.rb`), so `CI_ENVIRONMENT_SLUG` and
 * dashboards that use it keep their values. Two names may share a slug in rare cases (`foo` and `foo-`): the directory
 * refuses the second one in a project.
 */
export function environmentSlug(name: string): string {
  let slug = name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-');
  if (!/^[a-z]/.test(slug)) slug = `env-${slug}`;
  slug = slug.replaceAll(/-+/g, '-');
  if (slug.length <= 24 && slug === name) return slug.replace(/-$/, '');
  return `${slug.slice(0, 17).replace(/-$/, '')}-${suffix(name)}`;
}

/** The last six base-36 digits of the name's SHA-256 taken as a number. */
function suffix(name: string): string {
  const digest = BigInt(`0x${createHash('sha256').update(name).digest('hex')}`);
  return (digest % suffixSpace).toString(36).padStart(6, '0');
}
