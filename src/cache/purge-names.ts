/** What people call the things whose answers are to be purged. */
import type { Server, Target } from '../directory/model.ts';
import type { Directory } from '../directory/snapshot.ts';
import { PromgateError } from '../errors.ts';
import { resolveScope } from '../guard/scope.ts';
import { predefinedVariables } from '../guard/variables.ts';
import { policyBasis } from './policy.ts';
import { type PurgeSubject, policySubject, serverSubject } from './purge.ts';

/** What the endpoint is shown, by the server that answers for it. Throws `unavailable` where none does, or it must not. */
export function endpointSubject(directory: Directory, target: Target): { server: Server; subject: PurgeSubject } {
  const server = directory.server(target);
  if (server === null) throw new PromgateError('unavailable', 'No prometheus server found');
  const variables = predefinedVariables(target);
  const scopeKey = JSON.stringify(resolveScope(server, variables));
  return { server, subject: policySubject(server, policyBasis({ server, variables, scopeKey })) };
}

/**
 * All of the server with this name; `of` is what it attaches to (`instance`, `acme`, `acme/shop`, `acme/shop:production`) and
 * only needed where several have the name. Throws `not_found`, and `bad_data` with all of them where the name fits several.
 */
export function namedServerSubject(
  directory: Directory,
  name: string,
  of: string | undefined,
): { of: string; subject: PurgeSubject } {
  const named = directory.serversNamed(name);
  const fitting = named.filter(({ owner }) => of === undefined || owner === of);
  const [found, ...others] = fitting;
  if (found === undefined) {
    const where = of === undefined ? '' : ` of ${of}`;
    throw new PromgateError('not_found', `There is no server ${JSON.stringify(name)}${where}.${candidates(named)}`);
  }
  if (others.length > 0) {
    throw new PromgateError('bad_data', `Several servers are called ${JSON.stringify(name)}.${candidates(fitting)}`);
  }
  return { of: found.owner, subject: serverSubject(found.server) };
}

function candidates(named: readonly { owner: string }[]): string {
  return named.length === 0 ? '' : ` Say which one it is of: ${named.map(({ owner }) => owner).join(', ')}.`;
}
