/** All cases of the permission matrix, with what has to come of each: by the table of permissions and the tree, nothing else. */

import { type PermissionName, permissions, type Scope } from '../../src/access/permissions.ts';
import { roles } from '../../src/access/roles.ts';
import type { About, Operation } from '../../src/api/operation.ts';
import type { Person } from './matrix-people.ts';
import { type Place, places, placesOf, reach, type Standing } from './matrix-places.ts';
import type { Sample } from './matrix-samples.ts';
import type { Kind, World } from './matrix-world.ts';

/** What of an operation the matrix goes by. */
export type Asked = Pick<Operation, 'id' | 'method' | 'path' | 'about'> & {
  readonly status: number;
  /** With a personal token that is not for it. */
  readonly withoutScope: number;
};

/** What a request is about. */
export interface Thing {
  readonly label: string;
  /** `null`: there is no such thing, or none of a kind that the operation takes. */
  readonly place: Place | null;
  /** It is asked about in another way, too. */
  readonly again?: true;
  readonly value: (world: World, person: Person | undefined) => string;
}

export interface Case {
  readonly operation: Asked;
  readonly sample: Sample;
  /** `null`: nobody. */
  readonly standing: Standing | null;
  /** Of the personal token; `null`: by session. */
  readonly scope: Scope | null;
  readonly thing: Thing;
  readonly expected: number;
}

const noId = '999999999';

/** Everything that the operation could be asked about. */
export function thingsOf(about: About, { own }: Sample): Thing[] {
  if (about.kind === 'named') return named(about.kinds);
  if (about.kind === 'instance' || about.kind === 'visible') return [{ label: 'it', place: 'instance', value: () => '' }];
  if (about.kind === 'self') return own === undefined ? [{ label: 'it', place: 'instance', value: () => '' }] : owned(own.id);
  const kind = about.kind as Kind;
  const byId = placesOfKind(kind).map((place) => ({
    label: `the ${kind} of ${place}`,
    place,
    value: (world: World) => String(world.ids[kind][place] ?? ''),
  }));
  return [...byId, { label: 'an unknown id', place: null, value: () => noId }, ...byName(kind)];
}

function placesOfKind(kind: Kind): readonly Place[] {
  if (kind === 'user') return ['instance'];
  if (kind === 'group' || kind === 'project' || kind === 'environment') return placesOf[kind];
  if (kind === 'member') return [...placesOf.group, ...placesOf.project];
  return places.filter((place) => kind === 'server' || place !== 'instance');
}

function byName(kind: Kind): Thing[] {
  if (kind === 'user') {
    return [
      { label: 'the user by name', place: 'instance', again: true, value: ({ crew }) => crew },
      { label: 'an unknown username', place: null, value: () => 'nobody-at-all' },
    ];
  }
  return kind === 'group' || kind === 'project' || kind === 'environment'
    ? named([kind]).map((thing) => ({ ...thing, again: true }))
    : [];
}

/** What is no such thing here does not exist, whatever it is elsewhere. */
function named(kinds: readonly ('instance' | keyof typeof placesOf)[]): Thing[] {
  const known = kinds.flatMap((kind): readonly Place[] => placesOf[kind]);
  return [
    ...places.map((place): Thing => {
      const isKnown = known.includes(place);
      const label = isKnown ? `${place} by name` : `${place}, which is of another kind`;
      return { label, place: isKnown ? place : null, value: ({ names }) => names[place] };
    }),
    { label: 'an unknown name', place: null, value: () => 'nothing-at-all' },
    { label: 'an unknown name in a group', place: null, value: ({ names }) => `${names.top}/nothing` },
    { label: 'an unknown environment', place: null, value: ({ names }) => `${names.shop}:nothing` },
  ];
}

function owned(id: (person: Person) => number): Thing[] {
  const other = ({ people }: World, self: Person | undefined): number => {
    const person = [...people.values()].find((each) => each !== self);
    return person === undefined ? 0 : id(person);
  };
  return [
    { label: 'one’s own', place: 'instance', value: (_world, person) => (person === undefined ? noId : String(id(person))) },
    { label: 'somebody else’s', place: null, value: (world, person) => String(other(world, person)) },
    { label: 'an unknown id', place: null, value: () => noId },
  ];
}

/** What the table says, read as people read it. */
function isAllowed(name: PermissionName, { admin, role, at }: Standing, place: Place): boolean {
  const needed: string = permissions[name].role;
  if (needed === 'self' || admin) return true;
  if (needed === 'admin' || role === null || at === null) return false;
  const reaches = (reach[place] as readonly Place[]).includes(at);
  return reaches && roles.indexOf(role) >= (roles as readonly string[]).indexOf(needed);
}

function statusFor(
  { about, status, withoutScope }: Asked,
  { needs }: Sample,
  standing: Standing,
  scope: Scope | null,
  { place }: Thing,
): number {
  if (needs === null) return status;
  if (scope !== null && permissions[needs].scope !== scope) return withoutScope;
  // Whoever has no role at all has a list, too: it is empty.
  if (about.kind === 'visible') return status;
  return place !== null && isAllowed(needs, standing, place) ? status : 404;
}

/**
 * Nobody and each standing on each thing. By a name, which leads to the same thing as its id, not all of them ask again; and for
 * what does not exist it is enough that the most powerful, the least and one between do.
 */
export function sessionCases(operation: Asked, sample: Sample, all: readonly Standing[]): Case[] {
  const make = (standing: Standing | null, thing: Thing, expected: number): Case => {
    return { operation, sample, standing, scope: null, thing, expected };
  };
  const things = thingsOf(operation.about, sample);
  const some = all.filter(({ role, at }) => at === null || (at === 'top' && role === 'owner'));
  const more = all.filter((standing) => standing.at === 'mid' || some.includes(standing));
  return [
    ...things.map((thing) => make(null, thing, sample.needs === null ? operation.status : 401)),
    ...things.flatMap((thing) =>
      (thing.place === null ? some : thing.again ? more : all).map((standing) =>
        make(standing, thing, statusFor(operation, sample, standing, null, thing)),
      ),
    ),
  ];
}

/**
 * A token of each scope on something that is there, on something foreign, and on nothing. With the wrong scope only of somebody
 * who might do it otherwise.
 */
export function tokenCases(operation: Asked, sample: Sample, who: readonly Standing[], all: readonly Scope[]): Case[] {
  const { needs } = sample;
  if (needs === null) return [];
  const things = thingsOf(operation.about, sample);
  const chosen = [
    things.find(({ place }) => place !== null && place !== 'instance') ?? things.find(({ place }) => place !== null),
    things.find(({ place }) => place === 'far' || place === 'web' || place === 'web:production'),
    things.find(({ place }) => place === null),
  ].filter((thing) => thing !== undefined);
  return all.flatMap((scope) =>
    (permissions[needs].scope === scope ? who : who.slice(-1)).flatMap((standing) =>
      chosen.map((thing) => {
        return { operation, sample, standing, scope, thing, expected: statusFor(operation, sample, standing, scope, thing) };
      }),
    ),
  );
}
