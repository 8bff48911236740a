import { commandLineActor } from '../../src/ops/audit.ts';

/** Does what tests do without the product's ways in. */
export const tester = commandLineActor('tester');
