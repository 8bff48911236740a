/**
 * What a sign-in that was started at a provider has to be remembered for until the browser comes back: in a sealed cookie of the
 * browser itself, so any process can end what another one began, and nobody else's browser can (RFC 9700, 4.7.1 and 2.1.2).
 */
import { hash } from 'node:crypto';
import { z } from 'zod';
import type { Keyring } from '../storage/crypto.ts';

/** Milliseconds that a person may take at the provider. */
export const SIGN_IN_LIFETIME = 600_000;
/** Sign-ins at once, one in each tab. Their cookies would otherwise add up to more than a request's headers may have. */
const MOST_AT_ONCE = 5;
const PURPOSE = 'oidc sign-in';

const startedSignIn = z.strictObject({
  /** Name in the configuration, and the issuer that it had then. */
  provider: z.string(),
  issuer: z.string(),
  state: z.string(),
  nonce: z.string(),
  /** RFC 7636. */
  verifier: z.string(),
  /** Path to go to afterwards, which was found good at the start. */
  returnTo: z.string(),
  /** The signed-in user who wants to link the account; `null`: somebody wants to sign in. */
  link: z.number().nullable(),
  /** Unix milliseconds. */
  expiresAt: z.number(),
});
export type StartedSignIn = Readonly<z.infer<typeof startedSignIn>>;

/** Where the cookie goes: `https` and path come from `external_url`. */
export interface SignInCookies {
  /** The value of `Set-Cookie` that remembers it. */
  set(started: StartedSignIn): string;
  /** Values of `Set-Cookie` that make room for one more, in a browser that sent this `Cookie` header. */
  makeRoom(header: string | undefined): string[];
  /** The value of `Set-Cookie` that forgets the sign-in with this state. */
  clear(state: string): string;
  /** The sign-in with this state that this browser began; `null` where there is none, or no more. `now` in Unix milliseconds. */
  read(header: string | undefined, state: string, now: number): StartedSignIn | null;
}

export function signInCookies(externalUrl: string, keyring: Pick<Keyring, 'seal' | 'open'>): SignInCookies {
  const { protocol, pathname } = new URL(externalUrl);
  const secure = protocol === 'https:';
  // The other prefix would need the path to be `/`, and all requests would carry the cookie.
  const prefix = `${secure ? '__Secure-' : ''}promgate_oidc_`;
  const attributes = `Path=${pathname.replace(/\/$/, '')}/login/oidc/; ${secure ? 'Secure; ' : ''}HttpOnly; SameSite=Lax`;
  const nameOf = (state: string) => `${prefix}${hash('sha256', state).slice(0, 16)}`;
  const clearing = (name: string) => `${name}=; ${attributes}; Max-Age=0`;

  return {
    set: (started) =>
      `${nameOf(started.state)}=${keyring.seal(JSON.stringify(started), PURPOSE)}; ${attributes}; Max-Age=${SIGN_IN_LIFETIME / 1000}`,
    makeRoom(header) {
      const names = [...new Set(cookiesOf(header).map(({ name }) => name))].filter((name) => name.startsWith(prefix));
      return names.length < MOST_AT_ONCE ? [] : names.map(clearing);
    },
    clear: (state) => clearing(nameOf(state)),
    read(header, state, now) {
      const name = nameOf(state);
      const values = new Set(cookiesOf(header).flatMap((cookie) => (cookie.name === name ? [cookie.value] : [])));
      const [value] = values;
      // Of several that differ one was slipped in.
      if (value === undefined || values.size !== 1) return null;
      const started = open(keyring, value);
      return started !== null && started.state === state && now < started.expiresAt ? started : null;
    },
  };
}

function open(keyring: Pick<Keyring, 'open'>, sealed: string): StartedSignIn | null {
  let text: string;
  try {
    text = keyring.open(sealed, PURPOSE);
  } catch {
    return null;
  }
  return startedSignIn.safeParse(JSON.parse(text)).data ?? null;
}

/** RFC 6265, 4.2.1. */
function cookiesOf(header = ''): { name: string; value: string }[] {
  return header.split(';').flatMap((part) => {
    const equals = part.indexOf('=');
    return equals === -1 ? [] : [{ name: part.slice(0, equals).trim(), value: part.slice(equals + 1).trim() }];
  });
}
