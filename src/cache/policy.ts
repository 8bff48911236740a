/** Who may share kept answers, and how long they are kept. */
import { hash } from 'node:crypto';
import type { Server, ServerCache } from '../directory/model.ts';
import { fillTemplate } from '../guard/variables.ts';
import { everything, type PurgeEpochs, policySubject, serverSubject, subjectText } from './purge.ts';

/** What holds for one endpoint: the instance's rules, overridden by the server's. Times are milliseconds. */
export interface CacheRules {
  /** Whether anything is kept; what is in flight is shared either way. */
  readonly enabled: boolean;
  /** Points that are newer than this are never kept. */
  readonly recentWindow: number;
  readonly maxAge: number;
  /** Whether instant queries for a time before the recent window are kept. */
  readonly instant: boolean;
  /** Of answers about series, labels and metadata; 0: not kept. */
  readonly metadataTtl: number;
}

/** The instance's part of the rules; `Settings.cache` is one. */
export type InstanceCache = Omit<CacheRules, 'enabled'>;

/** Key by key the server's rule, else the instance's. */
export function cacheRules(server: ServerCache, instance: InstanceCache): CacheRules {
  const { recentWindow, maxAge, instant, metadataTtl } = instance;
  return { enabled: true, recentWindow, maxAge, instant, metadataTtl, ...server };
}

/** An endpoint on its server, as far as its answers depend on it. */
export interface Bound {
  readonly server: Server;
  readonly variables: ReadonlyMap<string, string>;
  /** Equal for equal scopes. */
  readonly scopeKey: string;
}

/**
 * The text that two endpoints have in common where they may share answers: the same record of the same server, the same
 * values filled into its headers and parameters, the same scope, and no purge in between. It changes with each of these, so
 * what was kept before is never looked at again, in any process. The recent window counts too: a process that trusts
 * newer points must not lend them to one that does not. Secrets are in it only as a hash.
 */
export function policyOf(bound: Bound, { recentWindow }: CacheRules, purges: PurgeEpochs): string {
  const basis = policyBasis(bound);
  const { server } = bound;
  const subjects = [everything, serverSubject(server), policySubject(server, basis)];
  const epochs = subjects.map((subject) => purges.get(subjectText(subject)) ?? 0);
  return digest([basis, recentWindow, ...epochs]);
}

/** The policy without what purges and settings have to do with it: what a purge of one endpoint names. */
export function policyBasis({ server, variables, scopeKey }: Bound): string {
  return digest([server.id, server.revision, filledTexts(server, variables), scopeKey]);
}

/** Fixed texts are part of the record, and so of its revision. */
function filledTexts({ connection }: Server, variables: ReadonlyMap<string, string>): string[] {
  if (connection === null) return [];
  return [...Object.values(connection.headers), ...Object.values(connection.queryParams)]
    .filter((text) => text.includes('{{'))
    .map((template) => fillTemplate(template, variables));
}

function digest(parts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url');
}
