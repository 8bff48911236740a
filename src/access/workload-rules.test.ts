import { describe, expect, it } from 'vitest';
import type { Target } from '../directory/model.ts';
import { environmentSlug } from '../directory/slug.ts';
import { Directory } from '../directory/snapshot.ts';
import type { Claims } from './claims.ts';
import { openedNames, scopeOf } from './workload-rules.ts';

const directory = new Directory();
directory.putGroup({ id: 1, path: 'acme', parent_id: null });
directory.putGroup({ id: 2, path: 'acme/platform', parent_id: 1 });
directory.putProject({ id: 1, path: 'acme/shop', group_id: 1 });
directory.putProject({ id: 2, path: 'acme/platform/api', group_id: 2 });
for (const [index, name] of ['production', 'review/login', 'Big One'].entries()) {
  for (const project of [1, 2]) {
    const row = { id: project * 10 + index, project_id: project, name, slug: environmentSlug(name), kube_namespace: '' };
    directory.putEnvironment(row);
  }
}

function nameOf(target: Target | null): string | null {
  if (target === null) return null;
  if (target.level === 'environment') return `${target.environment.project.path}:${target.environment.name}`;
  return target.level === 'project' ? target.project.path : `group ${target.group.path}`;
}

/** What a rule opens to whoever has its claims and these; `null`: nothing. */
function opened(opens: string, claims: Claims = {}): string | null {
  const [name] = openedNames([{ claims: { sub: ['x'] }, opens }], { sub: 'x', ...claims });
  return name === undefined ? null : nameOf(scopeOf(directory, name));
}

const fits = (claim: unknown, ...patterns: string[]) =>
  openedNames([{ claims: { c: patterns }, opens: 'acme' }], { c: claim }).length === 1;

describe('whether a claim fits', () => {
  it.each<[unknown, string[], boolean]>([
    ['main', ['main'], true],
    ['main', ['Main'], false],
    ['main', ['mai'], false],
    ['main', ['dev', 'main'], true],
    ['acme/shop', ['acme/*'], true],
    ['acme/a/b', ['acme/*'], true],
    ['acme', ['acme/*'], false],
    ['xacme/shop', ['acme/*'], false],
    ['a-b-c', ['a*b*c'], true],
    ['a.c', ['a?c'], false],
    ['anything', ['*'], true],
    ['', ['*'], true],
    [['dev', 'main'], ['main'], true],
    [['dev'], ['main'], false],
    [[], ['*'], false],
    [[['main']], ['main'], false],
    [true, ['true'], true],
    ['true', ['true'], true],
    [12, ['12'], true],
    [1.5, ['*'], false],
    [null, ['*'], false],
    [undefined, ['*'], false],
    [{ main: 'main' }, ['*'], false],
  ])('%j with %j: %j', (claim, patterns, expected) => {
    expect(fits(claim, ...patterns)).toBe(expected);
  });

  it('every claim of a rule has to', () => {
    const rules = [{ claims: { a: ['1'], b: ['2'] }, opens: 'acme' }];
    expect(openedNames(rules, { a: '1', b: '2' })).toHaveLength(1);
    expect(openedNames(rules, { a: '1', b: '3' })).toHaveLength(0);
    expect(openedNames(rules, { a: '1' })).toHaveLength(0);
  });

  it('each rule that fits opens its own', () => {
    const rules = ['acme', 'acme/shop', '{{none}}'].map((opens) => ({ claims: { a: ['1'] }, opens }));
    expect(openedNames(rules, { a: '1' }).map((name) => nameOf(scopeOf(directory, name)))).toEqual(['group acme', 'acme/shop']);
  });
});

describe('what a rule opens', () => {
  it.each([
    ['acme', 'group acme'],
    ['acme/platform', 'group acme/platform'],
    ['acme/shop', 'acme/shop'],
    ['acme/shop:production', 'acme/shop:production'],
    ['acme/shop:review/login', 'acme/shop:review/login'],
    [`acme/shop:${environmentSlug('review/login')}`, 'acme/shop:review/login'],
    ['acme/shop:Big One', 'acme/shop:Big One'],
    ['none', null],
    ['Acme/Shop', null],
    ['acme/shop:none', null],
    ['acme/shop:Production', null],
    ['acme/shop:big one', null],
    ['acme/shop:10', null],
    ['acme/shop/', null],
  ])('%s: %j', (opens, expected) => {
    expect(opened(opens)).toBe(expected);
  });

  it.each<[string, Claims, string | null]>([
    ['{{p}}:{{e}}', { p: 'acme/shop', e: 'production' }, 'acme/shop:production'],
    ['{{ p }}:{{  e}}', { p: 'acme/platform/api', e: 'review/login' }, 'acme/platform/api:review/login'],
    ['{{p}}', { p: 'acme/shop' }, 'acme/shop'],
    ['acme/{{p}}:production', { p: 'shop' }, 'acme/shop:production'],
    ['{{g}}/{{p}}:production', { g: 'acme', p: 'shop' }, 'acme/shop:production'],
    ['acme/shop:review/{{b}}', { b: 'login' }, 'acme/shop:review/login'],
    ['acme/{{/k.io/ns}}:production', { 'k.io': { ns: 'shop' } }, 'acme/shop:production'],
    ['{{a:b}}:production', { 'a:b': 'acme/shop' }, 'acme/shop:production'],
  ])('%s with %j: %j', (opens, claims, expected) => {
    expect(opened(opens, claims)).toBe(expected);
  });

  it.each<[string, string, Claims]>([
    ['a claim is missing', '{{p}}:production', {}],
    ['a claim is empty', 'acme/shop{{x}}:production', { x: '' }],
    ['a claim is no text', '{{p}}:production', { p: ['acme/shop'] }],
    ['a claim is a number', 'acme/shop:{{e}}', { e: 10 }],
    ['a claim names an id', 'acme/shop:{{e}}', { e: '10' }],
    ['a claim is only there by inheritance', '{{constructor}}:production', {}],
    ['a claim brings the colon', '{{p}}', { p: 'acme/shop:production' }],
    ['a claim brings another colon', '{{p}}:{{e}}', { p: 'acme/shop', e: 'production:' }],
    ['a claim brings a slash to a part of the path', 'acme/{{p}}:production', { p: 'platform/api' }],
    ['claims bring a slash to parts of the path', '{{g}}/{{p}}:production', { g: 'acme/platform', p: 'api' }],
    ['a claim brings a slash to a part of the name', 'acme/shop:{{a}}{{b}}', { a: 'review/', b: 'login' }],
    ['a claim would make it a group', '{{p}}', { p: 'acme/platform' }],
    ['a claim would make it a group, in part', 'acme/{{p}}', { p: 'platform' }],
    ['a claim has a star', 'acme/shop:{{e}}', { e: '*' }],
    ['a claim has braces', 'acme/shop:{{e}}', { e: '{{f}}', f: 'production' }],
    ['a claim leads upwards', '{{p}}:production', { p: 'acme/none/../shop' }],
    ['a claim differs in case', '{{p}}:production', { p: 'Acme/shop' }],
    ['a claim has a blank', '{{p}}:production', { p: 'acme/shop ' }],
  ])('nothing where %s', (_, opens, claims) => {
    expect(opened(opens, claims)).toBeNull();
  });

  it('a value with a colon is not even looked for', () => {
    const claims = { c: ['x'] };
    for (const opens of ['{{p}}', '{{p}}:x', 'acme/shop:{{p}}']) {
      expect(openedNames([{ claims, opens }], { c: 'x', p: 'a:b' }), opens).toEqual([]);
      expect(openedNames([{ claims, opens }], { c: 'x', p: 'a' }), opens).toHaveLength(1);
    }
  });

  it('a name that only has the same slug is another one', () => {
    // `review/login` and this one cannot be in one project, because they share a slug.
    const target = directory.environment('acme/shop', environmentSlug('review/login'));
    expect(target).not.toBeNull();
    const name = { path: 'acme/shop', environment: { text: 'other', slug: environmentSlug('review/login') }, group: false };
    expect(scopeOf(directory, name)).toBeNull();
  });
});
