/** The tree of the permission matrix, and who has which role where. Nothing here knows the code that is tested. */
import { type Role, roles } from '../../src/access/roles.ts';

/** Each place with those whose roles reach it. */
export const reach = {
  instance: [],
  top: ['top'],
  mid: ['mid', 'top'],
  shop: ['shop', 'mid', 'top'],
  'shop:production': ['shop', 'mid', 'top'],
  sibling: ['sibling', 'mid', 'top'],
  far: ['far'],
  web: ['web', 'far'],
  'web:production': ['web', 'far'],
} as const satisfies Record<string, readonly string[]>;

export type Place = keyof typeof reach;
export const places = Object.keys(reach) as Place[];

export const placesOf = {
  instance: ['instance'],
  group: ['top', 'mid', 'far'],
  project: ['shop', 'sibling', 'web'],
  environment: ['shop:production', 'web:production'],
} as const satisfies Record<string, readonly Place[]>;

/** Somebody who is signed in. */
export interface Standing {
  readonly name: string;
  readonly admin: boolean;
  readonly role: Role | null;
  readonly at: Place | null;
}

export const admin: Standing = { name: 'admin', admin: true, role: null, at: null };
export const stranger: Standing = { name: 'stranger', admin: false, role: null, at: null };

function withRole(role: Role, at: Place): Standing {
  return { name: `${role} of ${at}`, admin: false, role, at };
}

/** Roles on a group above, on a group, on a project; and elsewhere. */
const rolePlaces = ['top', 'mid', 'shop', 'far', 'web'] as const;

export const standings: readonly Standing[] = [
  stranger,
  ...rolePlaces.flatMap((at) => roles.map((role) => withRole(role, at))),
  admin,
];

/** Those who ask with personal tokens. */
export const tokenStandings: readonly Standing[] = [stranger, withRole('reporter', 'mid'), withRole('owner', 'top'), admin];

/** As on the command line, in the world of this name. */
export function namesIn(world: string): Record<Place, string> {
  return {
    instance: 'instance',
    top: world,
    mid: `${world}/mid`,
    shop: `${world}/mid/shop`,
    'shop:production': `${world}/mid/shop:production`,
    sibling: `${world}/mid/sibling`,
    // Begins as the other one does.
    far: `${world}-far`,
    web: `${world}-far/web`,
    'web:production': `${world}-far/web:production`,
  };
}
