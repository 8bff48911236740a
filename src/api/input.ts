/** What comes with a request, read by the shape that is documented for it. */
import type { z } from 'zod';
import { issueMessage } from '../config/shapes.ts';
import { PromgateError } from '../errors.ts';
import { FaultyRequest } from './problem.ts';

/** Values in a body or query, at any depth. A shape says something of each, so a body of nothing but faults would keep us busy for long. */
const MOST = 2_000;

/** Throws `bad_data`. Without a shape nothing is read. */
export function inputOf(schema: z.ZodType | undefined, given: unknown, where: 'query' | 'body'): unknown {
  if (schema === undefined) return undefined;
  refuseMany(given, where);
  const parsed = schema.safeParse(given, { error: issueMessage, reportInput: true });
  if (!parsed.success) throw new FaultyRequest(parsed.error.issues, where);
  return parsed.data;
}

/** Throws `bad_data` for what holds more values than anybody needs. To be asked before a shape is. */
export function refuseMany(given: unknown, where: 'query' | 'body' = 'body'): void {
  const open = [given];
  // It grows while it is gone through: what is nested deeply must not need as deep a stack.
  for (const value of open) {
    if (typeof value !== 'object' || value === null) continue;
    for (const inner of Object.values(value)) open.push(inner);
    if (open.length > MOST) throw new PromgateError('bad_data', `the ${where} holds more than ${MOST} values`);
  }
}
