/**
 * Worlds of the permission matrix, written straight into the database: a tree of groups and projects with one thing of each kind
 * at each place, and a person for each role at each place.
 */
import type { Scope } from '../../src/access/permissions.ts';
import { hashToken, newTokenText } from '../../src/access/token-text.ts';
import { insertEnvironments } from '../../src/storage/environments.ts';
import { insertGroups } from '../../src/storage/groups.ts';
import { insertProjects } from '../../src/storage/projects.ts';
import type { Row, Trx } from '../../src/storage/schema.ts';
import { insertPeople, type Owner, type People, type PeopleMoulds } from './matrix-people.ts';
import { namesIn, type Place, placesOf, type Standing } from './matrix-places.ts';

export type Kind = 'group' | 'project' | 'environment' | 'server' | 'token' | 'member' | 'user';
type ByPlace<T> = Partial<Readonly<Record<Place, T>>>;

export interface World extends Omit<People, 'crewId' | 'memberships'> {
  /** As on the command line. */
  readonly names: Readonly<Record<Place, string>>;
  /** Of what is at each place. */
  readonly ids: Readonly<Record<Kind, ByPlace<number>>>;
  /** Usernames and texts of endpoint tokens. */
  readonly tokens: ByPlace<{ readonly username: string; readonly text: string }>;
}

export interface Moulds extends PeopleMoulds {
  /** A server's row, of which all others are copies: its credentials are sealed to its URL alone. */
  readonly server: Omit<Row<'servers'>, 'id' | 'level' | keyof Owner>;
}

/** `who`: the people that are needed; `scopes`: of the personal tokens that each of them has. */
export async function insertWorld(
  trx: Trx,
  name: string,
  { server, ...moulds }: Moulds,
  who: readonly Standing[],
  scopes: readonly Scope[] = [],
): Promise<World> {
  const names = namesIn(name);
  const { ids, owners, spareGroup } = await insertTree(trx, name);
  const servers = await trx
    .insertInto('servers')
    .values([
      { ...server, ...nowhere, level: 'instance', name: `shared-${name}` },
      ...Array.from(owners, ([place, owner]) => ({ ...server, ...owner, level: levelOf(place), name: 'main' })),
    ])
    .returningAll()
    .execute();
  const texts = Array.from(owners.keys(), (place) => [place, { username: `${name}.${place}`, text: newTokenText() }] as const);
  const tokens = await trx
    .insertInto('tokens')
    .values(texts.map(([place, { username, text }]) => ({ ...(owners.get(place) ?? nowhere), ...tokenRow(username, text) })))
    .returningAll()
    .execute();
  const idsAt = (rows: readonly (Owner & { id: number })[]): ByPlace<number> =>
    Object.fromEntries(Array.from(owners, ([place, owner]) => [place, rows.find((row) => isOf(row, owner))?.id]));
  const { crewId, memberships, ...people } = await insertPeople(trx, { world: name, who, scopes, owners, spareGroup }, moulds);
  return {
    ...people,
    names,
    ids: {
      ...ids,
      server: { ...idsAt(servers), instance: servers.find(({ level }) => level === 'instance')?.id ?? 0 },
      token: idsAt(tokens),
      member: memberships,
      user: { instance: crewId },
    },
    tokens: Object.fromEntries(texts),
  };
}

const nowhere: Owner = { group_id: null, project_id: null, environment_id: null };

async function insertTree(trx: Trx, name: string) {
  const names = namesIn(name);
  const made = { managed_by: null, description: '' };
  const spare = `${name}-spare`;
  const roots = await insertGroups(
    trx,
    [names.top, names.far, spare].map((path) => ({ ...made, path, parent_id: null })),
  );
  const [top, far, spareGroup] = [idAt(roots, names.top), idAt(roots, names.far), idAt(roots, spare)];
  const mid = idAt(await insertGroups(trx, [{ ...made, path: names.mid, parent_id: top }]), names.mid);
  const projects = await insertProjects(trx, [
    { ...made, path: names.shop, group_id: mid },
    { ...made, path: names.sibling, group_id: mid },
    { ...made, path: names.web, group_id: far },
  ]);
  const project = {
    shop: idAt(projects, names.shop),
    sibling: idAt(projects, names.sibling),
    web: idAt(projects, names.web),
  };
  const production = { name: 'production', slug: 'production', kube_namespace: '', managed_by: null };
  const environments = await insertEnvironments(
    trx,
    [project.shop, project.web].map((project_id) => ({ ...production, project_id })),
  );
  const environmentOf = (id: number) => environments.find(({ project_id }) => project_id === id)?.id ?? 0;
  const group = { top, mid, far };
  const environment = {
    'shop:production': environmentOf(project.shop),
    'web:production': environmentOf(project.web),
  };
  const owners = new Map<Place, Owner>([
    ...placesOf.group.map((place) => [place, { ...nowhere, group_id: group[place] }] as const),
    ...placesOf.project.map((place) => [place, { ...nowhere, project_id: project[place] }] as const),
    ...placesOf.environment.map((place) => [place, { ...nowhere, environment_id: environment[place] }] as const),
  ]);
  return { ids: { group, project, environment }, owners, spareGroup };
}

function levelOf(place: Place): string {
  return (['group', 'project', 'environment'] as const).find((level) => isOneOf(place, placesOf[level])) ?? 'instance';
}

function isOneOf(place: Place, some: readonly Place[]): boolean {
  return some.includes(place);
}

function isOf(row: Owner, owner: Owner): boolean {
  return (['group_id', 'project_id', 'environment_id'] as const).every((column) => row[column] === owner[column]);
}

function idAt(rows: readonly { id: number; path: string }[], path: string): number {
  const row = rows.find((each) => each.path === path);
  if (row === undefined) throw new Error(`${path} was not inserted`);
  return row.id;
}

function tokenRow(username: string, text: string) {
  return {
    name: 'test',
    username,
    hash: hashToken(text),
    previous_hash: null,
    previous_expires_at: null,
    allowed_networks: '[]',
    created_at: Date.now(),
    expires_at: null,
    revoked_at: null,
  };
}
