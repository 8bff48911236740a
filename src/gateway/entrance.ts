/** What comes first for whatever the gateway is asked: who asks, and on which server what they ask for is answered. */
import type { IncomingMessage } from 'node:http';
import { authenticate } from '../access/authenticate.ts';
import { clientAddress } from '../access/client-address.ts';
import type { Target, Token } from '../directory/model.ts';
import type { Directory } from '../directory/snapshot.ts';
import { PromgateError } from '../errors.ts';
import { type Binding, bind, type InstanceRules } from '../upstream/binding.ts';

export interface GatewaySettings extends InstanceRules {
  /** Path of `external_url`, without trailing slash. */
  readonly basePath: string;
  readonly corsOrigins: readonly string[];
  readonly isTrustedProxy: (address: string) => boolean;
}

export interface EntranceParts {
  readonly directory: () => Directory;
  readonly tokenUsed: (token: Token, now: number) => void;
}

/** The token that the request brings. Throws `unauthorized`, in the same words whatever is wrong. */
export function identify(
  request: IncomingMessage,
  { isTrustedProxy }: Pick<GatewaySettings, 'isTrustedProxy'>,
  { directory, tokenUsed }: EntranceParts,
): Token {
  const now = Date.now();
  const address = () => clientAddress(request, isTrustedProxy);
  const token = authenticate(request.headers.authorization, request.socket, directory(), address, now);
  if (token === null) {
    throw new PromgateError(
      'unauthorized',
      'a valid token is required: HTTP Basic with its username and the token, or Bearer with the token',
      { headers: { 'WWW-Authenticate': 'Basic realm="promgate"' } },
    );
  }
  tokenUsed(token, now);
  return token;
}

/** One text for what does not exist and what is not the caller's to see. */
export function notFound(): PromgateError {
  return new PromgateError('not_found', 'not found: no such endpoint, or the token does not open it');
}

/** A target may be a whole URL too (RFC 9112, 3.2.2); its host says nothing here. */
export function originForm(target: string): string {
  return target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?]*/i, '');
}

/**
 * Bindings, remembered for each target until the directory or the settings change. The function throws `unavailable` where no
 * server answers for the target, or the one that does must not be asked.
 */
export function bindingsOf({
  directory,
}: Pick<EntranceParts, 'directory'>): (target: Target, instance: InstanceRules) => Binding {
  let memory = new WeakMap<Target, Binding>();
  let generation = -1;
  let current: InstanceRules | null = null;
  return (target, instance) => {
    const now = directory();
    if (generation !== now.generation || current !== instance) {
      memory = new WeakMap();
      generation = now.generation;
      current = instance;
    }
    let binding = memory.get(target);
    if (binding === undefined) {
      const server = now.server(target);
      if (server === null) throw new PromgateError('unavailable', 'No prometheus server found');
      binding = bind(target, server, instance, now.purges);
      memory.set(target, binding);
    }
    return binding;
  };
}
