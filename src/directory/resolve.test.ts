import { describe, expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import type { Environment, Group, Project, Server, Target } from './model.ts';
import { chooseServer, resolveServer, scopeFit } from './resolve.ts';

let lastId = 0;

function server(name: string, more: Partial<Server> = {}): Server {
  lastId += 1;
  return {
    id: lastId,
    name,
    level: 'project',
    url: 'http://127.0.0.1:9090',
    environmentScope: '*',
    enabled: true,
    kind: null,
    enforce: {},
    limits: {},
    expose: [],
    cache: {},
    revision: '',
    restricted: false,
    verify: 'server',
    connection: { auth: null, headers: {}, queryParams: {}, tls: {} },
    ...more,
  };
}

interface Servers {
  environment?: Server[];
  project?: Server[];
  inner?: Server[];
  outer?: Server[];
}

/** `acme/platform/shop` with one environment. */
function tree(name: string, servers: Servers): { environment: Environment; project: Project; inner: Group } {
  const outer: Group = { id: 1, path: 'acme', parent: null, servers: servers.outer ?? [] };
  const inner: Group = { id: 2, path: 'acme/platform', parent: outer, servers: servers.inner ?? [] };
  const project: Project = { id: 3, path: 'acme/platform/shop', group: inner, servers: servers.project ?? [] };
  const environment = { id: 4, name, slug: 'x', kubeNamespace: '', project, servers: servers.environment ?? [] };
  return { environment, project, inner };
}

function target(name: string, servers: Servers): Target {
  return { level: 'environment', environment: tree(name, servers).environment };
}

describe('chooseServer', () => {
  const everywhere: Required<Servers> = {
    environment: [server('environment')],
    project: [server('project')],
    inner: [server('inner')],
    outer: [server('outer')],
  };
  const instance = [server('instance')];

  it('takes the nearest level: environment, project, groups upwards, instance', () => {
    const servers: Servers = { ...everywhere };
    const order: (string | undefined)[] = [];
    for (const level of ['environment', 'project', 'inner', 'outer'] as const) {
      order.push(chooseServer(target('production', servers), instance)?.name);
      servers[level] = [];
    }
    order.push(chooseServer(target('production', servers), instance)?.name);
    expect(order).toEqual(['environment', 'project', 'inner', 'outer', 'instance']);
    expect(chooseServer(target('production', {}), [])).toBeNull();
  });

  it('goes on to the next level where no scope matches or all are disabled', () => {
    const servers = {
      environment: [server('off', { enabled: false })],
      project: [server('review', { environmentScope: 'review/*' })],
      inner: [server('group')],
    };
    expect(chooseServer(target('production', servers), instance)?.name).toBe('group');
  });

  it('prefers the exact name, then the longest pattern, then *', () => {
    const project = ['*', 'review/*', 'review/a*', 'review/app'].map((scope) => server(scope, { environmentScope: scope }));
    const chosen = (name: string) => chooseServer(target(name, { project }), [])?.name;
    expect([chosen('review/app'), chosen('review/apple'), chosen('review/x'), chosen('production')]).toEqual([
      'review/app',
      'review/a*',
      'review/*',
      '*',
    ]);
  });

  it('breaks a tie by name, whatever the order', () => {
    const [b, a] = [server('b'), server('a')];
    expect(chooseServer(target('x', { project: [b, a] }), [])).toBe(a);
    expect(chooseServer(target('x', { project: [a, b] }), [])).toBe(a);
  });

  it("answers for a project or group only with that level's own servers for all environments", () => {
    const own = { project: [server('scoped', { environmentScope: 'production' })], inner: [server('group')] };
    const { project, inner } = tree('production', own);
    expect(chooseServer({ level: 'project', project }, instance)).toBeNull();
    expect(chooseServer({ level: 'group', group: inner }, instance)?.name).toBe('group');
    expect(chooseServer({ level: 'group', group: tree('x', { outer: [server('outer')] }).inner }, instance)).toBeNull();
  });

  it('keeps the place of a server whose credentials cannot be read, rather than asking another one', () => {
    const broken = server('broken', { connection: null });
    expect(chooseServer(target('x', { project: [broken] }), instance)).toBe(broken);
  });
});

describe('resolveServer', () => {
  it('names every candidate, nearest level and best fit first, with why it lost', () => {
    const servers = {
      project: [
        server('all'),
        server('off', { enabled: false }),
        server('exact', { environmentScope: 'production' }),
        server('review', { environmentScope: 'review/*' }),
      ],
      outer: [server('group')],
    };
    const { server: chosen, candidates } = resolveServer(target('production', servers), [server('shared')]);
    expect(chosen?.name).toBe('exact');
    expect(candidates.map((each) => [each.server.name, each.owner, each.outcome, each.reason])).toEqual([
      ['exact', 'project acme/platform/shop', 'chosen', expect.stringContaining('nearest level')],
      ['all', 'project acme/platform/shop', 'lost', expect.stringContaining('"exact" of the same level')],
      ['off', 'project acme/platform/shop', 'lost', 'disabled'],
      ['review', 'project acme/platform/shop', 'lost', expect.stringContaining('"review/*" does not match "production"')],
      ['group', 'group acme', 'lost', 'a server of project acme/platform/shop is nearer'],
      ['shared', 'the instance', 'lost', 'a server of project acme/platform/shop is nearer'],
    ]);
  });

  it('explains an endpoint without a server', () => {
    const { project } = tree('x', { project: [server('scoped', { environmentScope: 'x' })] });
    const { server: chosen, candidates } = resolveServer({ level: 'project', project }, [server('shared')]);
    expect(chosen).toBeNull();
    expect(candidates.map((each) => each.reason)).toEqual(['its environment_scope "x" speaks for environments only']);
  });

  it('says so when the chosen server cannot be used', () => {
    const { candidates } = resolveServer(target('x', { project: [server('broken', { connection: null })] }), []);
    expect(candidates[0]?.reason).toContain('cannot be decrypted');
  });

  it('always agrees with chooseServer and marks exactly the chosen one', () => {
    const scope = fc.constantFrom('*', 'production', 'pro*', '*tion', 'review/*', 'p*d*n');
    const some = fc.array(
      fc
        .record({ environmentScope: scope, enabled: fc.boolean(), name: fc.constantFrom('a', 'b', 'c') })
        .map((r) => server(r.name, r)),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(some, some, some, some, some, (environment, project, inner, outer, instance) => {
        const at = target('production', { environment, project, inner, outer });
        const { server: chosen, candidates } = resolveServer(at, instance);
        expect(chosen).toBe(chooseServer(at, instance));
        expect(candidates).toHaveLength([environment, project, inner, outer, instance].flat().length);
        expect(candidates.filter((each) => each.outcome === 'chosen').map((each) => each.server)).toEqual(
          chosen === null ? [] : [chosen],
        );
      }),
    );
  });
});

describe('scopeFit', () => {
  it('matches what a pattern with * as "any characters" matches, / included', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*'), maxLength: 8 });
    fc.assert(
      fc.property(pattern, word, (scope, name) => {
        const oracle = new RegExp(`^${scope.replaceAll('*', '[^]*')}$`);
        expect(scopeFit(scope, name) !== -1).toBe(oracle.test(name));
      }),
      { numRuns: 2000 },
    );
  });

  it('gives up quickly on patterns that make a backtracking matcher run for ages', () => {
    expect(scopeFit('*a'.repeat(120), `${'a'.repeat(254)}b`)).toBe(-1);
  });

  it('counts the characters that are no *, and puts the exact name over all', () => {
    expect([scopeFit('*', 'a'), scopeFit('re*/*', 're/x'), scopeFit('re/x', 're/x'), scopeFit('re', 're/x')]).toEqual([
      0,
      3,
      Number.POSITIVE_INFINITY,
      -1,
    ]);
  });
});
