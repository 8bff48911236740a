import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { permissions } from '../access/permissions.ts';
import { operations } from './operations/index.ts';
import { permissionReference } from './permission-reference.ts';
import { questionRoutes } from './question-routes.ts';

it('docs/permissions.md says what the table says (else: npm run docs)', () => {
  const written = readFileSync(join(import.meta.dirname, '../../docs/permissions.md'), 'utf8');
  expect(written).toBe(permissionReference([...operations, ...questionRoutes]));
});

it('every permission is asked for by an operation', () => {
  const asked = [...operations, ...questionRoutes].map(({ permission }) => permission);
  expect(Object.keys(permissions).filter((name) => !asked.some((each) => each === name))).toEqual([]);
});
