/** Everything that the control API can do, in the order of its documents. */
import type { Operation } from '../operation.ts';
import { groupOperations } from './groups.ts';

export const operations: readonly Operation[] = [...groupOperations];
