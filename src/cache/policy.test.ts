import { describe, expect, it } from 'vitest';
import type { Environment, Server, Target } from '../directory/model.ts';
import { type Binding, bind } from '../upstream/binding.ts';
import { type InstanceCache, policyBasis } from './policy.ts';
import { everything, type PurgeEpochs, policySubject, serverSubject, subjectText } from './purge.ts';

const limits = {
  timeout: 1_000,
  maxRange: 0,
  maxPoints: 1,
  maxDepth: 1,
  maxResponse: 1,
  maxQueryBytes: 1,
  tokenConcurrency: 0,
  tokenRate: 0,
  environmentConcurrency: 0,
  environmentRate: 0,
};
const instance: InstanceCache = { recentWindow: 300_000, maxAge: 86_400_000, instant: true, metadataTtl: 10_000 };

function server(change: Partial<Server> = {}, headers: Record<string, string> = {}, queryParams = {}): Server {
  return {
    id: 1,
    name: 'main',
    level: 'instance',
    url: 'http://127.0.0.1:9090',
    environmentScope: '*',
    enabled: true,
    kind: null,
    enforce: {},
    verify: 'server',
    limits: {},
    expose: [],
    cache: {},
    revision: 'r1',
    restricted: false,
    connection: { auth: { bearer: 't0ken' }, headers, queryParams, tls: {} },
    ...change,
  };
}

function target(id: number, kubeNamespace: string): Target {
  const group = { id: 1, path: 'acme', parent: null, servers: [] };
  const project = { id: 1, path: 'acme/shop', group, servers: [] };
  const environment: Environment = { id, name: `e${id}`, slug: `e${id}`, kubeNamespace, project, servers: [] };
  return { level: 'environment', environment };
}

interface Given {
  of?: Target;
  by?: Server;
  cache?: InstanceCache;
  purges?: PurgeEpochs;
}

const bound = ({ of = target(1, 'a'), by = server(), cache = instance, purges = new Map() }: Given = {}): Binding =>
  bind(of, by, { limits, cache }, purges);
const policy = (given?: Given): string => bound(given).policy;
const enforce = { namespace: ['{{kube_namespace}}'] };
const tenant = (template: string) => server({}, { 'X-Scope-OrgID': template });

describe('the rules of the cache for one endpoint', () => {
  it('are the instance’s, and on', () => {
    expect(bound().cache).toEqual({ enabled: true, ...instance });
  });

  it('are the server’s where it has its own, stricter or not', () => {
    expect(bound({ by: server({ cache: { enabled: false, metadataTtl: 0 } }) }).cache).toEqual({
      ...instance,
      enabled: false,
      metadataTtl: 0,
    });
    const own = { enabled: true, recentWindow: 0, maxAge: 9e9, instant: false, metadataTtl: 60_000 };
    expect(bound({ by: server({ cache: own }) }).cache).toEqual(own);
  });

  it('hold nothing of the settings but rules', () => {
    const settings = { ...instance, memory: 1, shadow: 0, redisUrl: 'redis://:s3cret@a' };
    expect(bound({ cache: settings }).cache).toEqual({ enabled: true, ...instance });
  });
});

describe('two endpoints have one policy', () => {
  it('on a server that confines nothing', () => {
    expect(policy({ of: target(1, 'a') })).toBe(policy({ of: target(2, 'b') }));
  });

  it('with the same scope', () => {
    const by = server({ enforce });
    expect(policy({ by, of: target(1, 'a') })).toBe(policy({ by, of: target(2, 'a') }));
  });

  it('with the same values in headers and parameters', () => {
    const by = server({}, { 'X-Scope-OrgID': '{{ kube_namespace }}' }, { tenant: '{{ci_project_path}}' });
    expect(policy({ by, of: target(1, 'a') })).toBe(policy({ by, of: target(2, 'a') }));
  });
});

describe('a policy is another one', () => {
  it.each<[string, Given, Given]>([
    ['for another server', { by: server({ id: 1 }) }, { by: server({ id: 2 }) }],
    ['after a change of the server’s record', { by: server({ revision: 'r1' }) }, { by: server({ revision: 'r2' }) }],
    ['for another scope', { by: server({ enforce }), of: target(1, 'a') }, { by: server({ enforce }), of: target(2, 'b') }],
    [
      'for another value in a header',
      { by: tenant('{{kube_namespace}}') },
      { by: tenant('{{kube_namespace}}'), of: target(1, 'b') },
    ],
    [
      'for another value in a parameter',
      { by: server({}, {}, { tenant: '{{ci_environment_slug}}' }) },
      { by: server({}, {}, { tenant: '{{ci_environment_slug}}' }), of: target(2, 'a') },
    ],
    [
      'for values that only look alike side by side',
      { by: tenant('{{kube_namespace}}'), of: target(1, 'a","b') },
      { by: tenant('{{kube_namespace}}'), of: target(1, 'a') },
    ],
    ['with another recent window', {}, { cache: { ...instance, recentWindow: 0 } }],
  ])('%s', (_, one, other) => {
    expect(policy(one)).not.toBe(policy(other));
  });

  const subjects = (of: Binding) =>
    [everything, serverSubject(of.server), policySubject(of.server, policyBasis(of))].map(subjectText);

  it('after each purge of everything, of its server and of itself, and never one of before', () => {
    const seen = [policy()];
    const purges = new Map<string, number>();
    for (const epoch of [1, 2, 3]) {
      for (const subject of subjects(bound())) {
        purges.set(subject, epoch);
        seen.push(policy({ purges }));
      }
    }
    expect(new Set(seen).size).toBe(10);
  });

  it('but stays after purges of others', () => {
    const by = server({ enforce });
    const others = [
      ...subjects(bound({ by: server({ id: 2 }) })).slice(1),
      ...subjects(bound({ by: server({ revision: 'r2' }) })).slice(2),
      ...subjects(bound({ by, of: target(2, 'b') })).slice(2),
    ];
    const purges = new Map(others.map((subject) => [subject, 7]));
    expect(others).toHaveLength(4);
    expect(policy({ by, of: target(1, 'a'), purges })).toBe(policy({ by, of: target(1, 'a') }));
    expect(policy({ by, of: target(2, 'b'), purges })).not.toBe(policy({ by, of: target(2, 'b') }));
  });
});

it('a policy tells nothing of what it stands for', () => {
  const by = server({ enforce }, { 'X-Key': 's3cret-{{kube_namespace}}' });
  expect(policy({ by })).toMatch(/^[\w-]{43}$/);
});
