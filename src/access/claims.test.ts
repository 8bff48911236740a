import { expect, it } from 'vitest';
import { claimAt, claimNameProblem } from './claims.ts';

const claims = JSON.parse(`{
  "sub": "system:serviceaccount:shop-prod:grafana",
  "kubernetes.io": { "namespace": "shop-prod", "serviceaccount": { "name": "grafana" } },
  "https://acme.example/roles": ["a"],
  "a/b": 1, "a~b": 2, "a": { "b": 3, "c/d": 4 },
  "list": [{ "x": 5 }],
  "__proto__": { "own": 6 }
}`);

it.each([
  ['sub', 'system:serviceaccount:shop-prod:grafana'],
  ['/kubernetes.io/namespace', 'shop-prod'],
  ['/kubernetes.io/serviceaccount/name', 'grafana'],
  ['https://acme.example/roles', ['a']],
  ['a/b', 1],
  ['/a/b', 3],
  ['/a~1b', 1],
  ['/a~0b', 2],
  ['/a/c~1d', 4],
  ['/__proto__/own', 6],
  ['none', undefined],
  ['kubernetes.io/namespace', undefined],
  ['/kubernetes.io/none', undefined],
  ['/sub/length', undefined],
  ['/list/0/x', undefined],
  ['/list/length', undefined],
  ['constructor', undefined],
  ['/a/constructor/name', undefined],
  ['toString', undefined],
])('%s is the claim %j', (name, value) => {
  expect(claimAt(claims, name)).toEqual(value);
});

it.each(['', ' sub', 'sub ', '/', '/a/', '//a', '/a~', '/a~2b', 'a{b', 'a}', 'a\nb'])('%j is no name of a claim', (name) => {
  expect(claimNameProblem(name)).not.toBeNull();
});

it.each(['sub', '/kubernetes.io/namespace', '/a~1b/c~0d', 'https://acme.example/roles', 'a b', 'a~b'])(
  '%j is a name of a claim',
  (name) => {
    expect(claimNameProblem(name)).toBeNull();
  },
);
