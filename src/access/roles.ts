/** Roles on groups and projects, as in GitLab (contract §1). Each includes those before it; a group's reach all below it. */

export const roles = ['guest', 'reporter', 'developer', 'maintainer', 'owner'] as const;
export type Role = (typeof roles)[number];

/** Whether `role` is at least `least`; nobody's role (`null`) is below all. */
export function isAtLeast(role: Role | null, least: Role): boolean {
  return role !== null && roles.indexOf(role) >= roles.indexOf(least);
}

export function higher(a: Role | null, b: Role | null): Role | null {
  if (a === null || b === null) return a ?? b;
  return isAtLeast(a, b) ? a : b;
}
