/** What goes wrong with a provider, in words for whoever wants to sign in and in words for the log. */
import { AuthorizationResponseError, ClientError, ResponseBodyError, WWWAuthenticateChallengeError } from 'openid-client';
import type { OidcProvider } from '../config/identity.ts';
import { PromgateError } from '../errors.ts';

/** The provider did not answer in time, or with something that is no answer. */
const unanswered = new Set(['OAUTH_TIMEOUT', 'OAUTH_RESPONSE_IS_NOT_CONFORM', 'OAUTH_RESPONSE_IS_NOT_JSON', 'OAUTH_PARSE_ERROR']);

/**
 * What `openid-client` threw as an error of the catalogue. `forbidden`: the provider, or the person there, said no, or its answer
 * does not belong to this sign-in; `unavailable`: it gave none. Nothing of what the provider wrote is in it but its error's code.
 */
export function providerTrouble({ label }: Pick<OidcProvider, 'label'>, thrown: unknown): PromgateError {
  const detail = { operator: operatorText(thrown) };
  if (thrown instanceof AuthorizationResponseError) {
    const message =
      thrown.error === 'access_denied'
        ? `${label} did not sign you in: you, or somebody who decides there, said no.`
        : `${label} refused the sign-in. Try again; if it stays so, an administrator finds the reason in the log.`;
    return new PromgateError('forbidden', message, detail);
  }
  if (thrown instanceof TypeError || (thrown instanceof ClientError && unanswered.has(thrown.code ?? ''))) {
    return new PromgateError('unavailable', `${label} does not answer. Try again in a moment, or sign in another way.`, detail);
  }
  const message = `What ${label} answered could not be accepted. Sign in again; if it stays so, an administrator finds the reason in the log.`;
  return new PromgateError('forbidden', message, detail);
}

/** The library's words and those of what is underneath. No further: deeper down are tokens and bodies. */
function operatorText(thrown: unknown): string {
  if (thrown instanceof AuthorizationResponseError) return `the provider answered with the error ${codeOf(thrown.error)}`;
  if (thrown instanceof ResponseBodyError) {
    return answered(thrown.status, thrown.error);
  }
  if (thrown instanceof WWWAuthenticateChallengeError) return challenged(thrown);
  if (!(thrown instanceof Error)) return 'something that is no error was thrown';
  const { cause } = thrown;
  return cause instanceof Error && !(cause instanceof SyntaxError) ? `${thrown.message}: ${cause.message}` : thrown.message;
}

/** With Basic authentication (RFC 6749, 5.2), or, from the userinfo endpoint, a word on the access token (RFC 6750, 3). */
function challenged({ status, cause: challenges }: WWWAuthenticateChallengeError): string {
  const error = challenges.map(({ parameters }) => parameters.error).find((each) => each !== undefined);
  const isOfClient = error === 'invalid_client' || (error === undefined && challenges.every(({ scheme }) => scheme === 'basic'));
  if (status === 401 && isOfClient) return `the provider answered 401: ${wrongClient}`;
  return error === undefined ? `the provider answered ${status} with a challenge` : answered(status, error);
}

const wrongClient = 'client_id or client_secret is wrong';

function answered(status: number, error: string): string {
  const text = `the provider answered ${status} with the error ${codeOf(error)}`;
  return error === 'invalid_client' ? `${text}: ${wrongClient}` : text;
}

/** Error codes are plain (RFC 6749, 4.1.2.1); what is not may be anything. */
function codeOf(error: string): string {
  return /^[\w.-]{1,64}$/.test(error) ? error : '(not a valid code)';
}
