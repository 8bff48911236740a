/** Everything that the control API can do, in the order of its documents. */
import type { Operation } from '../operation.ts';
import { accountOperations } from './account.ts';
import { auditOperations } from './audit.ts';
import { environmentOperations } from './environments.ts';
import { groupOperations } from './groups.ts';
import { identityOperations } from './identities.ts';
import { memberOperations } from './members.ts';
import { personalTokenOperations } from './personal-tokens.ts';
import { projectOperations } from './projects.ts';
import { resolveOperations } from './resolve.ts';
import { serverOperations } from './servers.ts';
import { sessionOperations } from './session.ts';
import { tokenOperations } from './tokens.ts';
import { usageOperations } from './usage.ts';
import { userOperations } from './users.ts';

export const operations: readonly Operation[] = [
  ...sessionOperations,
  ...accountOperations,
  ...personalTokenOperations,
  ...identityOperations,
  ...groupOperations,
  ...projectOperations,
  ...environmentOperations,
  ...memberOperations,
  ...serverOperations,
  ...resolveOperations,
  ...tokenOperations,
  ...usageOperations,
  ...auditOperations,
  ...userOperations,
];
