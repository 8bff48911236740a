/**
 * Purges. Nothing is deleted anywhere: a subject's epoch is part of the policies that it concerns (`policy.ts`), so with a
 * new epoch they are others and what was kept under them is out of reach, in the memory of every process and in the
 * shared tier alike.
 */
import type { Server } from '../directory/model.ts';

/** Epochs by subject. A subject that was never purged has none. */
export type PurgeEpochs = ReadonlyMap<string, number>;

export const NO_PURGES: PurgeEpochs = new Map();

export function serverSubject(id: number): string {
  return `server ${id}`;
}

/** With the record's revision: of another one these answers are out of reach anyway, and the subject can be forgotten. */
export function policySubject({ id, revision }: Pick<Server, 'id' | 'revision'>, basis: string): string {
  return `policy ${id} ${revision} ${basis}`;
}
