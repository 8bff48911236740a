/**
 * Every operation of the API, every role at every place, everything it could be about: what may be done is done, and all else is
 * answered to the letter as what does not exist.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Agent } from 'undici';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createPasswords } from '../src/access/passwords.ts';
import { type PermissionName, permissions, type Scope, scopes } from '../src/access/permissions.ts';
import { operations } from '../src/api/operations/index.ts';
import { openKeyring } from '../src/storage/crypto.ts';
import { openDatabase } from '../src/storage/database.ts';
import { ask } from './support/ask.ts';
import { honest } from './support/made-up.ts';
import { type Asked, type Case, sessionCases, tokenCases } from './support/matrix-cases.ts';
import { placesOf, reach, type Standing, standings, stranger, tokenStandings } from './support/matrix-places.ts';
import { password, type Sample, samples } from './support/matrix-samples.ts';
import { insertWorld, type Moulds, type World } from './support/matrix-world.ts';
import { startOidcProvider, type TestOidcProvider } from './support/oidc-provider.ts';
import { configured } from './support/oidc-rig.ts';
import { basicAuth, startTestPromgate, type TestPromgate } from './support/promgate.ts';
import { type StrictUpstream, startStrictUpstream } from './support/strict-upstream.ts';

// Hundreds of requests in a test, and as many worlds for them before.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 300_000 });

/** The two that are about questions and stand beside the control API. */
const questions: readonly Asked[] = [
  { id: 'checkPromql', path: '/promql/check' },
  { id: 'purgeCache', path: '/cache/purge' },
].map(({ id, path }) => ({
  id,
  method: 'POST',
  path,
  about: { kind: 'named', in: 'body', field: 'environment', kinds: ['group', 'project', 'environment'] },
  status: 200,
  withoutScope: 404,
}));
const all: readonly Asked[] = [...operations.map((each): Asked => ({ ...each, withoutScope: 403 })), ...questions];

const bySession = new Map(all.map((each) => [each.id, sessionCases(each, sampleOf(each), standings)]));
const byToken = new Map(all.map((each) => [each.id, tokenCases(each, sampleOf(each), tokenStandings, scopes)]));

function sampleOf({ id }: Asked): Sample {
  const sample = samples[id];
  if (sample === undefined) throw new Error(`test/support/matrix-samples.ts has no sample for the operation ${id}`);
  return sample;
}

let upstream: StrictUpstream;
let provider: TestOidcProvider;
let promgate: TestPromgate;
let shared: World;
let sharedByToken: World;
const own = new Map<Case, World>();
const dispatcher = new Agent({ connections: 16 });
let count = 0;

const needsOwn = ({ sample, operation, expected }: Case) => sample.once === true && expected === operation.status;

beforeAll(async () => {
  upstream = await startStrictUpstream(honest());
  provider = await startOidcProvider([]);
  promgate = await startTestPromgate({
    resources: JSON.stringify({ servers: [{ name: 'mould', url: upstream.url }] }),
    settings: { outbound: { allow: ['127.0.0.0/8'] }, oidc: { providers: [configured(provider)] } },
  });
  await makeWorlds();
});

afterAll(async () => {
  await dispatcher.close();
  await promgate?.close();
  await provider?.stop();
  await upstream?.stop();
});

async function makeWorlds(): Promise<void> {
  const database = await openDatabase(promgate.settings);
  try {
    const {
      id: _,
      level: _l,
      group_id: _g,
      project_id: _p,
      environment_id: _e,
      ...server
    } = await database.db.selectFrom('servers').selectAll().executeTakeFirstOrThrow();
    const moulds: Moulds = {
      server,
      passwordHash: await createPasswords().hash(password),
      csrfKey: openKeyring(promgate.settings).derive('csrf'),
      issuer: provider.issuer,
    };
    const make = (name: string, who: readonly Standing[], scopes: readonly Scope[] = []) =>
      database.write((trx) => insertWorld(trx, name, moulds, who, scopes));
    shared = await make('shared', standings);
    sharedByToken = await make('by-token', tokenStandings, scopes);
    const cases = [...bySession.values(), ...byToken.values()].flat().filter(needsOwn);
    for (const each of cases) {
      const { standing, scope } = each;
      own.set(each, await make(`own-${own.size}`, [standing ?? stranger], scope === null ? [] : [scope]));
    }
    const last = await make('last', standings);
    const cookie = cookieOf(last, 'stranger');
    // Endpoints know them when they know the last session.
    while ((await ask(`${promgate.url}/x/-/prometheus/api/v1/query`, { headers: { cookie } })).status !== 404) await delay(25);
  } finally {
    await database.close();
  }
}

function cookieOf({ people }: World, standing: string): string {
  return `promgate_session=${people.get(standing)?.cookie}`;
}

interface Answer {
  readonly status: number;
  /** But for what is another at each request. */
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

async function send(each: Case, credentials?: Record<string, string>): Promise<Answer> {
  const { operation, sample, standing, scope, thing } = each;
  const world = own.get(each) ?? (scope === null ? shared : sharedByToken);
  const person = standing === null ? undefined : world.people.get(standing.name);
  const { about } = operation;
  const value = thing.value(world, person);
  const params = 'param' in about ? { [about.param]: value } : sample.own === undefined ? {} : { [sample.own.param]: value };
  const field = about.kind === 'named' ? { [about.field]: value } : {};
  const inQuery = about.kind === 'named' && about.in === 'query' ? field : about.kind === 'visible' ? { limit: '200' } : {};
  const given = { world, unique: `unique-${++count}`, upstream: upstream.url };
  const body =
    operation.id === 'signIn'
      ? { username: person?.username ?? world.crew, password }
      : { ...sample.body?.(given), ...(about.kind === 'named' && about.in === 'body' ? field : {}) };
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
  const answer = await dispatcher.request({
    origin: promgate.url,
    path: `/-/api/v1${path}?${new URLSearchParams(inQuery)}`,
    method: operation.method,
    headers: {
      ...(credentials ?? credentialsOf(world, each)),
      ...(Object.keys(body).length > 0 ? { 'content-type': 'application/json' } : {}),
      ...(operation.method === 'PATCH' ? { 'if-match': '*' } : {}),
    },
    body: Object.keys(body).length > 0 ? JSON.stringify(body) : null,
  });
  const { 'x-request-id': _, date: _d, connection: _c, 'keep-alive': _k, ...headers } = answer.headers;
  return { status: answer.statusCode, headers, text: await answer.body.text() };
}

function credentialsOf(world: World, { standing, scope }: Case): Record<string, string> {
  const person = standing === null ? undefined : world.people.get(standing.name);
  if (person === undefined) return {};
  if (scope !== null) return { authorization: `Bearer ${person.byScope.get(scope)}` };
  return { cookie: cookieOf(world, standing?.name ?? ''), 'x-csrf-token': person.csrf };
}

/** Which of them come out otherwise than they should; several at once. */
async function wrongOf(cases: readonly Case[], credentials?: Record<string, string>): Promise<string[]> {
  const wrong: string[] = [];
  const waiting = [...cases];
  /** Of all refusals of one status: there must be no telling them apart. */
  const refusals = new Map<number, string>();
  const work = async (): Promise<void> => {
    for (let each = waiting.shift(); each !== undefined; each = waiting.shift()) {
      const answer = await send(each, credentials);
      const told = `${answer.text}\n${JSON.stringify(answer.headers)}`;
      const first = refusals.get(answer.status) ?? told;
      refusals.set(answer.status, first);
      const asUnknown = answer.status < 400 || told === first;
      if (answer.status !== each.expected || !asUnknown) wrong.push(describeWrong(each, answer, first));
    }
  };
  await Promise.all(Array.from({ length: 8 }, work));
  return wrong;
}

function describeWrong({ standing, scope, thing, expected }: Case, { status, text }: Answer, first: string): string {
  const who = `${standing?.name ?? 'nobody'}${scope === null ? '' : ` with ${scope}`}`;
  return `${who} on ${thing.label}: ${status} instead of ${expected}: ${text}${status === expected ? ` and not ${first}` : ''}`;
}

it('there is a sample for every operation, and none for anything else', () => {
  expect(Object.keys(samples).sort()).toEqual(all.map(({ id }) => id).sort());
});

it('every operation says of itself that it needs what it needs', () => {
  const said = operations.map(({ id, permission }) => [id, permission]);
  expect(said).toEqual(operations.map(({ id }) => [id, samples[id]?.needs]));
});

it('every permission of the table is what some operation needs', () => {
  const needed = new Set(Object.values(samples).map(({ needs }) => needs));
  expect(Object.keys(permissions).filter((name) => !needed.has(name as PermissionName))).toEqual([]);
});

describe.each(all)('$id', ({ id }) => {
  it('does what the role allows, and for everybody else there is no such thing', async () => {
    expect(await wrongOf(bySession.get(id) ?? [])).toEqual([]);
  });

  it('does with a personal token what its scope and its user’s role allow', async () => {
    expect(await wrongOf(byToken.get(id) ?? [])).toEqual([]);
  });
});

it('an endpoint’s token is refused by every operation of the control API, whatever it is about', async () => {
  for (const { username, text } of Object.values(shared.tokens)) {
    const cases = operations.flatMap(({ id }) => (bySession.get(id) ?? []).filter(({ standing }) => standing === null));
    const refused = cases.map((each) => ({ ...each, expected: 401 }));
    expect(await wrongOf(refused, { authorization: `Bearer ${text}` })).toEqual([]);
    expect(await wrongOf(refused, { authorization: basicAuth(username, text) })).toEqual([]);
  }
});

/** Of what the lists below hold. */
const listed = { listGroups: placesOf.group, listProjects: placesOf.project, listEnvironments: placesOf.environment };

it.each(Object.entries(listed))('%s has all that the role allows to see, and nothing else', async (id, of) => {
  const cases = (bySession.get(id) ?? []).filter(({ standing }) => standing !== null);
  const world = shared;
  for (const each of cases) {
    const { items } = JSON.parse((await send(each)).text) as { items: { path?: string; project?: string; name: string }[] };
    const seen = items.map(({ path, project, name }) => path ?? `${project}:${name}`);
    const own = seen.filter((name) => Object.values(world.names).includes(name)).sort();
    const { standing } = each;
    const reached = of.filter((place) => standing?.admin || (reach[place] as readonly string[]).includes(standing?.at ?? ''));
    expect(own, standing?.name).toEqual(reached.map((place) => world.names[place]).sort());
    // Nothing of other worlds either; of this one a group that has nothing to do with roles here.
    if (!standing?.admin) expect(seen.filter((name) => !own.includes(name) && !name.startsWith('shared'))).toEqual([]);
  }
});
