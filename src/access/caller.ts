/** Whoever asks an endpoint, once the credentials were found good: an endpoint's token, a signed-in user, or a program with a JWT. */
import type { Target, Token } from '../directory/model.ts';
import type { User } from '../directory/people.ts';

export type Caller = TokenCaller | UserCaller | WorkloadCaller;

interface AnyCaller {
  /** The same for the same caller over all its requests and other for every other one: rates are counted by it. */
  readonly key: string;
  /** Whether the target's endpoint may be asked. As things are at this moment: nothing is to remember the answer. */
  readonly opens: (target: Target) => boolean;
}

export interface TokenCaller extends AnyCaller {
  readonly kind: 'token';
  readonly token: Token;
}

export interface UserCaller extends AnyCaller {
  readonly kind: 'user';
  readonly user: User;
  /** The session, where the user came with its cookie and not with a personal token. */
  readonly sessionId: number | null;
  /** Of the personal token; `null`: a session, which may all that its user may. */
  readonly scopes: readonly string[] | null;
}

export interface WorkloadCaller extends AnyCaller {
  readonly kind: 'workload';
  /** Name of the trusted issuer in the configuration. */
  readonly issuer: string;
  /** The claim `sub`. */
  readonly subject: string;
}
