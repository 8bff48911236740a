import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { belowPath, type CheckRig, environment, startCheckRig } from './support/check-rig.ts';
import { startTestPromgate } from './support/promgate.ts';

/** `POST /-/api/v1/promql/check`: what it tells of a query, held against what the endpoint then does. */
let rig: CheckRig;
beforeAll(async () => {
  rig = await startCheckRig();
});
afterAll(() => rig?.close());

describe('a query for an environment', () => {
  it('is told with its variables, what would be sent, its selectors, limits and verification', async () => {
    const asked = { query: 'sum by (job) (rate(up{team="{{team}}"}[{{__range}}]))', environment: environment('prometheus') };
    const times = { start: 0, end: '3600', step: '15s', variables: { team: 'a"b', kube_namespace: 'never' } };
    expect(await rig.check({ ...asked, ...times })).toEqual({
      valid: true,
      type: 'instant vector',
      errors: [],
      variables: [
        { name: 'team', value: 'a"b', predefined: false },
        { name: '__range', value: '3600s', predefined: true },
      ],
      query: {
        given: asked.query,
        substituted: 'sum by (job) (rate(up{team="a\\"b"}[3600s]))',
        confined: 'sum by (job) (rate(up{namespace="shop-prod",team="a\\"b"}[1h]))',
        extra_filters: null,
      },
      selectors: [
        {
          text: 'up{namespace="shop-prod",team="a\\"b"}',
          name: 'up',
          matchers: [
            { label: 'namespace', op: '=', value: 'shop-prod' },
            { label: 'team', op: '=', value: 'a"b' },
          ],
        },
      ],
      limits: [
        { name: 'max_query_bytes', unit: 'bytes', limit: 131072, asked: 43, ok: true },
        { name: 'max_depth', unit: 'levels', limit: 100, asked: 3, ok: true },
        { name: 'max_range', unit: 'seconds', limit: null, asked: 7200, ok: true },
        { name: 'max_points', unit: 'points', limit: 11000, asked: 240, ok: true },
      ],
      refused: null,
      verified: 'server',
      verified_with: 'format_query',
      server: { name: 'main', kind: 'prometheus' },
    });
  });

  it('may name its environment by name or slug; a project is a name too', async () => {
    const slug = rig.promgate.endpoint('acme/shop:review/login').split('/').at(-2);
    const query = 'x{e="{{ci_environment_name}}"}';
    for (const name of ['acme/shop:review/login', `acme/shop:${slug}`]) {
      const { variables, server } = await rig.check({ query, environment: name });
      expect(server?.name).toBe('main');
      expect(variables).toEqual([{ name: 'ci_environment_name', value: 'review/login', predefined: true }]);
    }
    const other = await rig.promgate.token('other/secret');
    expect(await rig.check({ query, environment: 'other/secret' }, other)).toMatchObject({
      variables: [{ name: 'ci_environment_name', value: null, predefined: true }],
      server: { name: 'main' },
    });
  });

  it('a variable that nobody has set stays, is told, and one in a comment does not count', async () => {
    const { query, variables, errors } = await rig.check({
      query: '{{mine}} # {{other}}',
      environment: environment('open'),
    });
    expect(query.substituted).toBe('{{mine}} # {{other}}');
    expect(variables).toEqual([{ name: 'mine', value: null, predefined: false }]);
    expect(errors).toHaveLength(1);
  });
});

/** So that what reaches back from now is the same for both. */
const noon = 1_700_000_000;
const asked = [
  'up',
  '1 + 1',
  'time()',
  'up{namespace="other"}',
  'up{namespace=~".+"} or {__name__=~".+"}',
  'quantile(scalar(max(up)), up)',
  'max_over_time(rate(up[5m])[1h:1m] offset 1d)',
  'info(up)',
  'up{',
  '1 + "a"',
  'rate(up)',
  'up # x\r or up',
  'up{x="{{kube_namespace}}"}',
  'up{x=`{{quoted}}`}',
  'WITH (x = up) x',
  'up @ 0',
  '{"http.requests"}',
  'sum(sum(sum(up)))',
  'count(up{a="a long text so that the limit of bytes is met"})',
];

describe.each(['prometheus', 'victoria', 'local', 'limited', 'open', 'dead'])(
  'before %s, what it tells is what the endpoint does',
  (name) => {
    it.each(asked)('%j', async (query) => {
      const recorder =
        name === 'victoria' ? rig.recorders.victoria : name === 'open' ? rig.recorders.open : rig.recorders.prometheus;
      const told = await rig.check({ query, environment: environment(name), time: noon, variables: { quoted: 'a`b' } });
      recorder.take();
      const asks = await rig.ask(name, 'query', [
        ['query', query],
        ['time', String(noon)],
        ['variables[quoted]', 'a`b'],
      ]);
      const evaluated = recorder.take().filter(({ path }) => path.endsWith('/query'));
      const sent = evaluated.flatMap(({ params }) => params.filter(([key]) => key === 'query').map(([, value]) => value));
      if (told.refused === null) expect(sent).toEqual([told.query.confined ?? told.query.substituted]);
      else {
        expect(sent).toEqual([]);
        const { errorType, error } = JSON.parse(asks.body) as Record<string, unknown>;
        expect(told.refused).toEqual({ status: asks.status, errorType, error });
        expect(told.limits.some(({ ok }) => !ok) || told.refused.status !== 422 || query.includes('info')).toBe(true);
      }
      expect(told.query.given).toBe(query);
      expect(told.valid).toBe(told.errors.length === 0 && told.type !== null);
    });
  },
);

describe('nothing is evaluated', () => {
  const reads = /\/(?:query_range|query_exemplars|series|federate)$/;

  it('a confined server is asked how it reads a query, once for each text', async () => {
    rig.recorders.prometheus.take();
    const first = { query: 'sum(never_seen_before)', environment: environment('prometheus') };
    await rig.check(first);
    const requests = rig.recorders.prometheus.take();
    expect(requests.map(({ path }) => path)).toEqual(['/api/v1/format_query']);
    await rig.check(first);
    expect(rig.recorders.prometheus.take()).toEqual([]);
  });

  it('a server that confines nothing is asked nothing', async () => {
    rig.recorders.open.take();
    await rig.check({ query: 'sum(up)', environment: environment('open') });
    await rig.check({ query: 'sum(', environment: environment('open') });
    expect(rig.recorders.open.take()).toEqual([]);
  });

  it('nor is one with verify: local, or one before a query that is refused', async () => {
    await rig.check({ query: 'up', environment: environment('prometheus') });
    rig.recorders.prometheus.take();
    expect(await rig.check({ query: 'sum(up) or vector(7)', environment: environment('local') })).toMatchObject({
      verified: 'local',
      verified_with: null,
      server: { name: 'local', kind: null },
    });
    await rig.check({ query: 'info(up) + 7', environment: environment('prometheus') });
    await rig.check({ query: 'up[', environment: environment('prometheus') });
    expect(rig.recorders.prometheus.take()).toEqual([]);
  });

  it('not even where the guard has to learn first what a server is', async () => {
    const fresh = await startTestPromgate({ resources: rig.resources, settings: belowPath });
    try {
      const { basic } = await fresh.token('acme/shop');
      rig.recorders.victoria.take();
      for (const query of ['up', 'WITH (x = up) x']) {
        const body = JSON.stringify({ query, environment: environment('victoria') });
        expect((await rig.send({ to: fresh, body, headers: { authorization: basic } })).status).toBe(200);
      }
      const requests = rig.recorders.victoria.take();
      expect(requests.length).toBeGreaterThan(0);
      expect(requests.filter(({ path }) => reads.test(path))).toEqual([]);
      const evaluated = requests.filter(({ path }) => path.endsWith('/query')).flatMap(({ params }) => params);
      expect(evaluated.filter(([key, value]) => key === 'query' && value !== '1')).toEqual([]);
    } finally {
      await fresh.close();
    }
  });
});

describe('before VictoriaMetrics', () => {
  it('PromQL is rewritten and verified here, and confined by the server as well', async () => {
    expect(await rig.check({ query: 'sum(up)', environment: environment('victoria') })).toMatchObject({
      valid: true,
      query: { confined: 'sum(up{namespace="shop-prod"})', extra_filters: '{namespace="shop-prod"}' },
      verified: 'local',
      server: { name: 'victoria', kind: 'victoriametrics' },
    });
  });

  it('MetricsQL is not valid PromQL, and goes on as it is with what the server confines it by', async () => {
    expect(await rig.check({ query: 'WITH (x = up) x', environment: environment('victoria') })).toMatchObject({
      valid: false,
      query: { confined: null, extra_filters: '{namespace="shop-prod"}' },
      selectors: [],
      refused: null,
      verified: null,
    });
  });
});

describe('errors', () => {
  it.each([
    ['sum(up', { line: 1, column: 4, offset: 3, expected: '")"' }],
    ['sum(\n  up{é="x"}\n)', { line: 2, column: 6, offset: 10, found: 'é' }],
    ['"é𝄞" + foo(up)', { line: 1, column: 8, offset: 8, found: 'foo', expected: 'a function' }],
    ['up + "text"', { line: 1, column: 6, offset: 5 }],
    ['', { line: 1, column: 1, offset: 0 }],
  ])('%j is placed', async (query, place) => {
    const told = await rig.check({ query });
    expect(told).toMatchObject({ valid: false, type: null, errors: [place], selectors: [] });
    expect(told.errors[0]?.message).toMatch(new RegExp(`^${place.line}:${place.column}: parse error: .`));
  });

  it.each([
    ['1', 'scalar'],
    ['up', 'instant vector'],
    ['up[5m]', 'range vector'],
    ['"a"', 'string'],
  ])('%s is a %s', async (query, type) => {
    expect(await rig.check({ query })).toMatchObject({ valid: true, type, errors: [] });
  });
});

it('without an environment any token will do; only the text is looked at, by the limits of the instance', async () => {
  const other = await rig.promgate.token('other/secret:production');
  const told = await rig.check({ query: 'up{a="{{b}}",c="{{kube_namespace}}"}[5m:1m]', variables: { b: 'c' } }, other);
  expect(told).toEqual({
    valid: true,
    type: 'range vector',
    errors: [],
    variables: [
      { name: 'b', value: 'c', predefined: false },
      { name: 'kube_namespace', value: null, predefined: true },
    ],
    query: {
      given: 'up{a="{{b}}",c="{{kube_namespace}}"}[5m:1m]',
      substituted: 'up{a="c",c="{{kube_namespace}}"}[5m:1m]',
      confined: null,
      extra_filters: null,
    },
    selectors: [
      {
        text: 'up{a="c",c="{{kube_namespace}}"}',
        name: 'up',
        matchers: [
          { label: 'a', op: '=', value: 'c' },
          { label: 'c', op: '=', value: '{{kube_namespace}}' },
        ],
      },
    ],
    limits: [
      { name: 'max_query_bytes', unit: 'bytes', limit: 131072, asked: 39, ok: true },
      { name: 'max_depth', unit: 'levels', limit: 100, asked: 2, ok: true },
      { name: 'max_range', unit: 'seconds', limit: null, asked: 300, ok: true },
    ],
    refused: null,
    verified: null,
    verified_with: null,
    server: null,
  });
});

describe('limits', () => {
  const limits = async (given: object) => {
    const told = await rig.check({ environment: environment('limited'), ...given });
    return { exceeded: told.limits.filter(({ ok }) => !ok), refused: told.refused, confined: told.query.confined };
  };

  it('each that is exceeded is told with what was asked, as the endpoint tells it', async () => {
    expect(await limits({ query: 'sum(sum(up))' })).toMatchObject({
      exceeded: [{ name: 'max_depth', unit: 'levels', limit: 2, asked: 3 }],
      refused: { status: 422, errorType: 'execution', error: expect.stringContaining('limit max_depth exceeded') },
    });
    expect(await limits({ query: 'rate(up[2h])', time: 1e9 })).toMatchObject({
      exceeded: [{ name: 'max_range', unit: 'seconds', limit: 3600, asked: 7200 }],
      refused: { status: 422, error: expect.stringContaining('limit max_range exceeded') },
    });
    expect(await limits({ query: 'up', start: 0, end: 1e9, step: 1 })).toMatchObject({
      exceeded: [
        { name: 'max_range', asked: 1e9 },
        { name: 'max_points', unit: 'points', limit: 100, asked: 1e9 },
      ],
      confined: null,
    });
    expect(await limits({ query: 'up', start: '1970-01-01T00:00:00Z', end: 3600, step: '36s' })).toMatchObject({
      exceeded: [],
      refused: null,
    });
    expect(await limits({ query: 'up @ end() offset -2h', start: 0, end: 60 })).toMatchObject({
      exceeded: [{ name: 'max_range', asked: 7260 }],
    });
  });

  it('what is too long is not read', async () => {
    const query = `up{a="${'é'.repeat(50)}"}`;
    const told = await rig.check({ query, environment: environment('limited') });
    expect(told).toMatchObject({ valid: false, errors: [{ line: 1, column: 1, offset: 0 }], selectors: [] });
    expect(told.errors[0]?.message).toBe(told.refused?.error);
    expect(told.refused).toMatchObject({ status: 422, error: expect.stringContaining('has 108 bytes, at most 60') });
  });
});

describe('a server that cannot be asked', () => {
  it('is told as the endpoint tells it, without its URL', async () => {
    const told = await rig.check({ query: 'up', environment: environment('dead') });
    expect(told).toMatchObject({
      valid: true,
      query: { confined: null },
      refused: { status: 503, errorType: 'unavailable' },
      server: { name: 'dead', kind: null },
    });
    expect(JSON.stringify(told)).not.toContain('127.0.0.1');
  });

  it.each([
    ['acme/shop:nameless', 'has no value here'],
    ['acme/serverless:production', 'No prometheus server found'],
  ])('for %s at all is 503', async (name, text) => {
    const group = await rig.promgate.token('groups/acme');
    const answer = await rig.send({
      body: JSON.stringify({ query: 'up', environment: name }),
      headers: { authorization: group.basic },
    });
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ status: 503, detail: expect.stringContaining(text) });
  });
});
