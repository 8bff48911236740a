/** Everything that the control API can do, in the order of its documents. */
import type { Operation } from '../operation.ts';
import { environmentOperations } from './environments.ts';
import { groupOperations } from './groups.ts';
import { memberOperations } from './members.ts';
import { projectOperations } from './projects.ts';

export const operations: readonly Operation[] = [
  ...groupOperations,
  ...projectOperations,
  ...environmentOperations,
  ...memberOperations,
];
