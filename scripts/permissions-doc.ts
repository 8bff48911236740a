/** Writes docs/permissions.md. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { operations } from '../src/api/operations/index.ts';
import { permissionReference } from '../src/api/permission-reference.ts';
import { questionRoutes } from '../src/api/question-routes.ts';

const text = permissionReference([...operations, ...questionRoutes]);
writeFileSync(join(import.meta.dirname, '../docs/permissions.md'), text);
