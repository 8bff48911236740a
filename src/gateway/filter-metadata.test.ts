import { describe, expect, it } from 'vitest';
import type { Scope } from '../guard/scope.ts';
import { confinedMetadata, targetsMetadataQuery, visibleNamesQuery } from './filter-metadata.ts';

const scope: Scope = [{ label: 'namespace', values: ['shop-prod'] }];
const own = { job: 'shop', namespace: 'shop-prod' };
const shared = { job: 'kube-state-metrics' };
const foreign = { job: 'b', namespace: 'secret-b' };

function entry(target: unknown, metric: unknown, help: unknown = 'text', more: object = {}): object {
  return { target, metric, type: 'gauge', help, unit: '', ...more };
}

/** What is shown for these entries, where each of `names` has series in scope. */
async function shown(
  entries: unknown,
  names: readonly string[],
  params: Record<string, string> = {},
  limits = scope,
): Promise<unknown> {
  const source = {
    visibleNames: async () => names,
    targetsMetadata: async () => ({ status: 'success', data: entries, warnings: ['secret'] }),
  };
  const answer: unknown = await confinedMetadata(source, limits, new Map(Object.entries(params)));
  expect(answer).toEqual({ status: 'success', data: expect.anything() });
  return (answer as { data: unknown }).data;
}

function gauge(...helps: string[]): object[] {
  return helps.map((help) => ({ type: 'gauge', help, unit: '' }));
}

describe('confinedMetadata', () => {
  it('shows the texts of own and of shared targets, for metrics with series in scope', async () => {
    const entries = [entry(own, 'a', 'of a'), entry(shared, 'b', 'of b'), entry(own, 'no_series'), entry(shared, 'not_mine')];
    expect(await shown(entries, ['a', 'b', 'up'])).toEqual({ a: gauge('of a'), b: gauge('of b') });
  });

  it("never shows the text of another environment's target, even for a metric that both have", async () => {
    const entries = [entry(foreign, 'a', 'secret'), entry(own, 'a', 'mine'), entry(foreign, 'only_b', 'secret')];
    expect(await shown(entries, ['a', 'only_b'])).toEqual({ a: gauge('mine') });
  });

  it('takes an empty label of a target for none', async () => {
    expect(await shown([entry({ namespace: '' }, 'a')], ['a'])).toEqual({ a: gauge('text') });
  });

  it('shows a target only when no label of the scope says that it is of another', async () => {
    const two: Scope = [...scope, { label: 'cluster', values: ['eu', 'us'] }];
    const entries = [
      entry({ ...own, cluster: 'us' }, 'a', '1'),
      entry({ ...own, cluster: 'cn' }, 'a', 'secret'),
      entry({ ...foreign, cluster: 'eu' }, 'a', 'secret'),
      entry({ cluster: 'eu' }, 'a', '2'),
      entry(own, 'a', '3'),
    ];
    expect(await shown(entries, ['a'], {}, two)).toEqual({ a: gauge('1', '2', '3') });
  });

  it.each(['_total', '_bucket', '_sum', '_count', '_created', '_info', '_gsum', '_gcount'])(
    'shows a family of which only series with %s are there',
    async (suffix) => {
      expect(await shown([entry(own, 'family')], [`family${suffix}`])).toEqual({ family: gauge('text') });
    },
  );

  it('does not take any longer name for a part of the family', async () => {
    expect(await shown([entry(own, 'family')], ['family_x', 'family_total_x', 'familytotal', 'my_family'])).toEqual({});
  });

  it('says the same only once, and all that differs', async () => {
    const counter = entry(own, 'a', 'x', { type: 'counter' });
    const entries = [
      entry(own, 'a', 'x'),
      entry({ ...own, instance: '2' }, 'a', 'x'),
      counter,
      entry(shared, 'a', 'x', { unit: 's' }),
    ];
    expect(await shown(entries, ['a'])).toEqual({
      a: [
        { type: 'counter', help: 'x', unit: '' },
        { type: 'gauge', help: 'x', unit: '' },
        { type: 'gauge', help: 'x', unit: 's' },
      ],
    });
  });

  it('applies metric, limit and limit_per_metric, always to the same effect', async () => {
    const entries = [entry(own, 'c'), entry(own, 'a', '2'), entry(own, 'b'), entry(own, 'a', '1'), entry(own, 'hidden')];
    const names = ['a', 'b', 'c'];
    const all = { a: gauge('1', '2'), b: gauge('text'), c: gauge('text') };
    expect(await shown(entries, names)).toEqual(all);
    expect(await shown([...entries].reverse(), names)).toEqual(all);
    expect(await shown(entries, names, { metric: 'b' })).toEqual({ b: all.b });
    expect(await shown(entries, names, { metric: 'hidden' })).toEqual({});
    expect(await shown(entries, names, { metric: 'b_total' })).toEqual({});
    expect(await shown(entries, names, { limit: '2' })).toEqual({ a: all.a, b: all.b });
    expect(await shown(entries, names, { limit: '0' })).toEqual({});
    expect(await shown(entries, names, { limit: '-1' })).toEqual(all);
    expect(await shown(entries, names, { limit: '+1' })).toEqual({ a: all.a });
    expect(await shown(entries, names, { limit_per_metric: '1' })).toEqual({ ...all, a: gauge('1') });
    expect(await shown(entries, names, { limit_per_metric: '0' })).toEqual(all);
    expect(await shown(entries, names, { limit_per_metric: '-3' })).toEqual(all);
    expect(await shown(entries, names, { metric: '', limit: '', limit_per_metric: '' })).toEqual(all);
  });

  it.each(['x', '1.5', ' 1', '1e3', '0x1', '99999999999999999999'])('refuses the limit %j before it asks', async (text) => {
    const source = {
      visibleNames: () => Promise.reject(new Error('asked')),
      targetsMetadata: () => Promise.reject(new Error('asked')),
    };
    await expect(confinedMetadata(source, scope, new Map([['limit', text]]))).rejects.toMatchObject({
      code: 'bad_data',
      message: 'limit must be a number',
    });
    await expect(confinedMetadata(source, scope, new Map([['limit_per_metric', text]]))).rejects.toMatchObject({
      code: 'bad_data',
      message: 'limit_per_metric must be a number',
    });
  });

  it('is empty where the server does not say which target a text is from', async () => {
    const source = { visibleNames: async () => ['a'], targetsMetadata: async () => null };
    expect(await confinedMetadata(source, scope, new Map())).toEqual({ status: 'success', data: {} });
  });

  it('keeps names that JavaScript has other uses for', async () => {
    const data = await shown([entry(own, '__proto__'), entry(own, 'constructor')], ['__proto__', 'constructor']);
    expect(JSON.stringify(data)).toBe(
      '{"__proto__":[{"type":"gauge","help":"text","unit":""}],"constructor":[{"type":"gauge","help":"text","unit":""}]}',
    );
  });

  it.each([
    ['no success', { status: 'error', data: [] }],
    ['data that is no list', { status: 'success', data: {} }],
    ['an entry that is no object', { status: 'success', data: ['secret'] }],
    ['an entry without target', { status: 'success', data: [{ metric: 'a', type: 'gauge', help: 'secret' }] }],
    ['an entry whose target is null', { status: 'success', data: [entry(null, 'a')] }],
    ['a target label that is no text', { status: 'success', data: [entry({ namespace: 1 }, 'a')] }],
    ['an entry without metric', { status: 'success', data: [entry(own, undefined)] }],
    ['a help that is no text', { status: 'success', data: [entry(own, 'a', { secret: 1 })] }],
  ])('refuses an answer with %s', async (_, body) => {
    const source = { visibleNames: async () => ['a'], targetsMetadata: async () => body };
    await expect(confinedMetadata(source, scope, new Map())).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('fails as its source fails', async () => {
    const gone = new Error('gone');
    const entries = async () => ({ status: 'success', data: [] });
    const rejects = () => Promise.reject(gone);
    await expect(confinedMetadata({ visibleNames: rejects, targetsMetadata: entries }, scope, new Map())).rejects.toBe(gone);
    await expect(confinedMetadata({ visibleNames: async () => [], targetsMetadata: rejects }, scope, new Map())).rejects.toBe(
      gone,
    );
  });
});

describe('the questions behind it', () => {
  const several: Scope = [
    { label: 'namespace', values: ['shop.prod', 'a|b'] },
    { label: 'cluster', values: ['e"u'] },
  ];

  it('ask for names with series in scope', () => {
    expect(new URLSearchParams(visibleNamesQuery(scope)).get('match[]')).toBe('{namespace="shop-prod"}');
    expect(new URLSearchParams(visibleNamesQuery(several)).get('match[]')).toBe(
      String.raw`{cluster="e\"u",namespace=~"shop\\.prod|a\\|b"}`,
    );
  });

  it('ask for targets in scope and those without its labels', () => {
    expect(new URLSearchParams(targetsMetadataQuery(scope)).get('match_target')).toBe('{namespace=~"shop-prod|"}');
    expect(new URLSearchParams(targetsMetadataQuery(several)).get('match_target')).toBe(
      String.raw`{cluster=~"e\"u|",namespace=~"shop\\.prod|a\\|b|"}`,
    );
  });

  it('are one parameter each', () => {
    for (const query of [visibleNamesQuery(several), targetsMetadataQuery(several)]) {
      expect(query).toMatch(/^[^&=;+ ]+=[^&=;+ ]+$/);
    }
  });
});
