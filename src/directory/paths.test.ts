import { describe, expect, it } from 'vitest';
import {
  ancestorPaths,
  environmentNameProblem,
  environmentScopeProblem,
  groupPathProblem,
  parseDirectoryName,
  projectPathProblem,
} from './paths.ts';

const deep = (levels: number): string => Array.from({ length: levels }, (_, level) => `g${level}`).join('/');

describe('paths of groups and projects', () => {
  it.each(['acme', 'acme/platform', '_x/.y/9-z', 'a.b/c_d', deep(20)])('may be %s', (path) => {
    expect(groupPathProblem(path)).toBeNull();
    expect(projectPathProblem(`${path}/shop`)).toBeNull();
  });

  it.each(['', '/', 'acme/', '/acme', 'a//b', '-acme', 'acme/-', 'a b', 'a:b', 'ä', 'a/..', '.', 'a.git', 'x/a.atom', 'a.'])(
    'are refused: %j',
    (path) => {
      expect(groupPathProblem(path)).not.toBeNull();
      expect(projectPathProblem(`acme/${path}`)).not.toBeNull();
    },
  );

  it.each(['api', 'groups', 'assets', 'metrics', 'login', 'admin', 'help', 'API'])(
    'do not start with %s, which the gateway needs, but may hold it further down',
    (word) => {
      expect(groupPathProblem(word)).toContain('taken');
      expect(projectPathProblem(`${word}/shop`)).toContain('taken');
      expect(groupPathProblem(`acme/${word}`)).toBeNull();
    },
  );

  it('nest at most 20 groups deep', () => {
    expect(groupPathProblem(deep(21))).toContain('20');
    expect(projectPathProblem(deep(22))).toContain('20');
  });

  it('have at most 1024 characters in all', () => {
    const path = Array.from({ length: 4 }, () => 'a'.repeat(255)).join('/');
    expect(groupPathProblem(path)).toBeNull();
    expect(projectPathProblem(`${path}/b`)).toContain('1024');
    expect(groupPathProblem(`${path}/b`)).toContain('1024');
  });

  it('do not start with the name of the whole installation', () => {
    expect(groupPathProblem('instance')).toContain('installation');
    expect(projectPathProblem('Instance/shop')).toContain('installation');
    expect(groupPathProblem('acme/instance')).toBeNull();
  });

  it('have a group above every project', () => {
    expect(projectPathProblem('shop')).toContain('group');
  });
});

describe('names of environments', () => {
  it.each(['production', 'review/feature-1', 'a b', '$X{y}.z_-'])('may be %j', (name) => {
    expect(environmentNameProblem(name)).toBeNull();
  });

  it.each(['', '/x', 'x/', 'a:b', 'a*', 'é', 'a\nb', 'x'.repeat(256)])('are refused: %j', (name) => {
    expect(environmentNameProblem(name)).not.toBeNull();
  });
});

describe('scopes of servers', () => {
  it.each(['*', 'production', 'review/*', '*/eu*'])('may be %j', (scope) => {
    expect(environmentScopeProblem(scope)).toBeNull();
  });

  it.each(['', 'a?', 'a:b', 'x'.repeat(256)])('are refused: %j', (scope) => {
    expect(environmentScopeProblem(scope)).not.toBeNull();
  });
});

describe('parseDirectoryName', () => {
  it('splits an environment from its project at the first colon', () => {
    expect(parseDirectoryName('acme/shop:review/a:b')).toEqual({ path: 'acme/shop', environment: 'review/a:b' });
    expect(parseDirectoryName('acme/shop')).toEqual({ path: 'acme/shop', environment: null });
    expect(parseDirectoryName('acme/shop:')).toEqual({ path: 'acme/shop', environment: '' });
  });
});

describe('ancestorPaths', () => {
  it('gives the groups above, outermost first', () => {
    expect(ancestorPaths('a/b/c')).toEqual(['a', 'a/b']);
    expect(ancestorPaths('a')).toEqual([]);
  });
});
