import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from './support/ask.ts';
import { form } from './support/raw-client.ts';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';

/** Contract §7, and the last paragraph of GitLab's behaviours. */
let rig: StrictRig;

beforeAll(async () => {
  rig = await startStrictRig({
    environments: [{ name: 'production', kube_namespace: 'shop-prod' }, { name: 'Review/Feature {1}' }],
  });
});

afterAll(() => rig?.close());

/** What the server is asked in place of `query`. */
async function substituted(
  query: string,
  more: Record<string, string> = {},
  environment = 'production',
): Promise<string | undefined> {
  const params = { query, ...more };
  const path = 'start' in more || 'start_time' in more ? '/api/v1/query_range' : '/api/v1/query';
  const get = await rig.reaching(() => rig.send(`${path}?${form(params)}`, { environment }));
  const post = await rig.reaching(() => rig.post(path, params, { environment }));
  expect(post.params).toEqual(get.params);
  return new Map(get.params).get('query');
}

describe('predefined variables', () => {
  it.each([
    ['ci_environment_slug', 'production'],
    ['ci_environment_name', 'production'],
    ['ci_project_name', 'shop'],
    ['ci_project_namespace', 'acme'],
    ['ci_project_path', 'acme/shop'],
    ['kube_namespace', 'shop-prod'],
    ['environment_filter', 'container_name!="POD",environment="production"'],
  ])('{{%s}} is %s', async (name, value) => {
    expect(await substituted(`up{a=b,{{${name}}}}`)).toBe(`up{a=b,${value}}`);
  });

  it('follow the environment; without a namespace that one is empty', async () => {
    const environment = 'Review/Feature {1}';
    const text = '{{ci_environment_slug}}|{{ci_environment_name}}|{{kube_namespace}}|';
    const slug = new URL(rig.promgate.endpoint(`acme/shop:${environment}`)).pathname.split('/')[5] ?? '';
    expect(slug).toMatch(/^review-feature/);
    expect(await substituted(`${text}{{environment_filter}}`, {}, environment)).toBe(
      `${slug}|Review/Feature {1}||container_name!="POD",environment="${slug}"`,
    );
  });

  it('win over the request’s', async () => {
    const own = { 'variables[ci_environment_slug]': 'x', 'variables[kube_namespace]': 'y', 'variables[__range]': '1y' };
    expect(await substituted('{{ci_environment_slug}} {{kube_namespace}} {{__range}}', own)).toBe(
      'production shop-prod {{__range}}',
    );
    expect(await substituted('up{{kube_namespace}}', own, 'Review/Feature {1}')).toBe('up');
  });

  it('of an environment cannot be given for a project, which has none', async () => {
    const token = await rig.promgate.token('acme/shop');
    const before = rig.upstream.requests.length;
    const params: [string, string][] = [
      ['query', '{{ci_project_path}} {{ci_environment_slug}}'],
      ['variables[ci_environment_slug]', 'x'],
    ];
    await ask(`${rig.promgate.endpoint('acme/shop')}/api/v1/query`, { params, headers: { authorization: token.basic } });
    const { target } = await rig.upstream.request(before);
    expect(new URL(target, 'http://x').searchParams.get('query')).toBe('acme/shop {{ci_environment_slug}}');
  });
});

describe('the braces', () => {
  it.each([
    ['{{ ci_environment_slug}}', 'production'],
    ['{{ci_environment_slug }}', 'production'],
    ['{{  ci_environment_slug  }}', 'production'],
    ['{{\tci_environment_slug\n}}', 'production'],
    ['{{ci_environment_slug}}{{ci_environment_slug}}', 'productionproduction'],
    ['{{ci_environment_slug}} {{nobody_knows}}', 'production {{nobody_knows}}'],
    ['{{}}', '{{}}'],
    ['{{ }}', '{{ }}'],
    ['{{{ci_environment_slug}}}', '{production}'],
    ['{ci_environment_slug}', '{ci_environment_slug}'],
    ['{{ci_environment_slug}', '{{ci_environment_slug}'],
    ['{{ci environment slug}}', '{{ci environment slug}}'],
    ['{{CI_ENVIRONMENT_SLUG}}', '{{CI_ENVIRONMENT_SLUG}}'],
    ['{{constructor}}{{__proto__}}{{toString}}', '{{constructor}}{{__proto__}}{{toString}}'],
    ['%{ci_environment_slug}', '%{ci_environment_slug}'],
  ])('%j becomes %j', async (query, expected) => {
    expect(await substituted(query)).toBe(expected);
  });
});

describe('__range', () => {
  const times: [string, string, string][] = [
    ['2026-01-01T08:19:07.142Z', '2026-01-01T16:19:07.142Z', '28800s'],
    ['2026-01-01T08:19:07+01:00', '2026-01-01T08:19:07Z', '3600s'],
    ['1767225600', '1767229200.4', '3600s'],
    ['1767225600', '2026-01-01T00:01:00Z', '60s'],
    ['100', '100', '0s'],
  ];
  it.each(times)('from %s to %s is %s', async (start, end, range) => {
    expect(await substituted('rate(up[{{__range}}])', { start, end, step: '3600' })).toBe(`rate(up[${range}])`);
    expect(await substituted('rate(up[{{ __range }}])', { start_time: start, end_time: end, step: '3600' })).toBe(
      `rate(up[${range}])`,
    );
  });
  it('stays as written where there is no range', async () => {
    expect(await substituted('rate(up[{{__range}}])')).toBe('rate(up[{{__range}}])');
  });
  it('is there for selectors too', async () => {
    const asked = await rig.reaching(() =>
      rig.send(`/api/v1/series?${form({ 'match[]': 'a{b="{{__range}}"}', start: '0', end: '60' })}`),
    );
    expect(new Map(asked.params).get('match[]')).toBe('a{b="60s"}');
  });
});

describe('the request’s own variables', () => {
  const own = (value: string) => ({ 'variables[x]': value });
  it('are filled in, and are sent no further', async () => {
    const more = { ...own('rate(up[5m])'), 'variables[unused]': 'y', 'variables[y z]': 'q' };
    const asked = await rig.reaching(() => rig.send(`/api/v1/query?${form({ query: 'sum({{x}}) {{y z}}', ...more })}`));
    expect(asked.params).toEqual([
      ['query', 'sum(rate(up[5m])) {{y z}}'],
      ['timeout', '60'],
    ]);
  });
  it('may ride in the URL of a POST, and those of the body win', async () => {
    const asked = await rig.reaching(() =>
      rig.post('/api/v1/query?variables[x]=a&variables[y]=b', { query: '{{x}}{{y}}', ...own('c') }),
    );
    expect(new Map(asked.params).get('query')).toBe('cb');
  });
  it('reach selectors', async () => {
    const params = { 'match[]': ['{{x}}', '{a="{{x}}",b="{{ci_project_name}}"}'], ...own('q"') };
    const asked = await rig.reaching(() => rig.post('/api/v1/series', params));
    expect(asked.params).toEqual([
      ['match[]', 'q"'],
      ['match[]', '{a="q\\"",b="shop"}'],
    ]);
  });
  it('are not looked into again', async () => {
    expect(await substituted('{{x}}', own('{{ci_project_name}} {{x}}'))).toBe('{{ci_project_name}} {{x}}');
  });
  it('may be empty', async () => {
    expect(await substituted('up{{x}}', own(''))).toBe('up');
  });
  it.each([
    ['"{{x}}"', 'a"b', '"a\\"b"'],
    ['"{{x}}"', "a'b`c", '"a\'b`c"'],
    ["'{{x}}'", 'a\'b"c', "'a\\'b\"c'"],
    ['"{{x}}"', 'a\\', '"a\\\\"'],
    ['"{{x}}"', 'a\nb\rc', '"a\\nb\\rc"'],
    ['`{{x}}`', 'a"b\\c', '`a"b\\c`'],
    ['"\\"{{x}}" {{x}}', '"', '"\\"\\"" "'],
    ['"\\\\" {{x}}', '"', '"\\\\" "'],
    ["up{a='\"'} {{x}}", "'", "up{a='\"'} '"],
  ])('inside a string they cannot end it: %s with %j', async (query, value, expected) => {
    expect(await substituted(query, own(value))).toBe(expected);
  });
  it('a back-quote in a back-quoted string is refused', async () => {
    const before = rig.upstream.requests.length;
    const answer = await rig.send(`/api/v1/query?${form({ query: 'up{a=`{{x}}`}', ...own('`} or secret') })}`);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body.toString())).toMatchObject({
      errorType: 'bad_data',
      error: expect.stringContaining('back-quote'),
    });
    expect(rig.upstream.requests.length).toBe(before);
  });
  it.each([
    'variables[]=a',
    'variables=a',
    'variables',
    'variables[a=b',
    'variables[a][b]=c',
    'variables[a]x=c',
    'variables%5B%5D=a',
  ])('%s is 400, and nothing is sent', async (pair) => {
    const before = rig.upstream.requests.length;
    const path = `/api/v1/query?query=up&${pair}`;
    for (const answer of [await rig.send(path), await rig.post(path, { query: 'up' })]) {
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.body.toString())).toMatchObject({
        errorType: 'bad_data',
        error: expect.stringContaining('variables'),
      });
    }
    expect(rig.upstream.requests.length).toBe(before);
  });
});

it('limits count what comes of it', async () => {
  const value = 'x'.repeat(70_000);
  const before = rig.upstream.requests.length;
  const answer = await rig.post('/api/v1/query', { query: '{{x}}{{x}}', 'variables[x]': value });
  expect(answer.status).toBe(422);
  expect(answer.body.toString()).toContain(
    'max_query_bytes exceeded: with its variables the query has more than the 131072 bytes',
  );
  expect(rig.upstream.requests.length).toBe(before);
});
