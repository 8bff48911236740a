/** Builds what is about people, once: who is signed in, with what, and how one signs in. `app.ts` hands it to those that need it. */
import type { IncomingMessage } from 'node:http';
import type { UserCaller } from './access/caller.ts';
import { checkCsrf } from './access/csrf.ts';
import { trackLastUsed } from './access/last-used.ts';
import { createPasswords, type Passwords } from './access/passwords.ts';
import { createSessionActivity } from './access/session-activity.ts';
import { isCrossSite, type SessionCookie, sessionCookie } from './access/session-cookie.ts';
import { identifySession, type SignedIn } from './access/sessions.ts';
import { createThrottle, type Throttle } from './access/throttle.ts';
import { isPersonalTokenText } from './access/token-text.ts';
import { bearerOf, type CallerParts, identifyApiCaller } from './api/caller.ts';
import type { Settings } from './config/settings.ts';
import type { Directory } from './directory/snapshot.ts';
import { PromgateError } from './errors.ts';
import { type GatewaySettings, userCaller } from './gateway/entrance.ts';
import type { Log } from './ops/log.ts';
import type { Keyring } from './storage/crypto.ts';
import type { Database } from './storage/database.ts';

export interface PeopleParts {
  readonly database: Database;
  readonly keyring: Keyring;
  readonly log: Log;
  readonly directory: () => Directory;
  /** As they are now. */
  readonly settings: () => Settings;
  readonly gatewaySettings: () => GatewaySettings;
}

export interface People extends CallerParts {
  readonly passwords: Passwords;
  readonly throttle: Throttle;
  /** Who is signed in with the request's cookie, where that may count. */
  readonly signedIn: (request: IncomingMessage, now: number) => SignedIn | null;
  /** Whoever brings a personal token; `null`: the request has none. Rejects with `unauthorized` for a bad one. */
  readonly withPersonalToken: (request: IncomingMessage) => Promise<UserCaller | null>;
  /** Throws `forbidden` for a request with a session's cookie that may not be meant by its user. */
  readonly checkCsrf: (request: IncomingMessage) => void;
  close(): Promise<void>;
}

/** Throws where the database cannot be read. */
export async function createPeople({
  database,
  keyring,
  log,
  directory,
  settings,
  gatewaySettings,
}: PeopleParts): Promise<People> {
  const activity = await createSessionActivity(database, log);
  const personalUses = trackLastUsed(database, log, 'personal_tokens');
  const csrfKey = keyring.derive('csrf');
  // Kept by the URL: it changes only on a reload.
  let cookie: SessionCookie | null = null;
  let cookieFor = '';
  const cookieNow = (): SessionCookie => {
    const { externalUrl } = settings();
    if (cookie === null || cookieFor !== externalUrl) {
      cookie = sessionCookie(externalUrl);
      cookieFor = externalUrl;
    }
    return cookie;
  };
  const signedIn = ({ headers }: IncomingMessage, now: number): SignedIn | null => {
    if (headers.cookie === undefined || isCrossSite(headers)) return null;
    return identifySession(headers.cookie, cookieNow(), directory().people, activity, settings().sessions, now);
  };
  const callerParts: CallerParts = {
    settings: gatewaySettings,
    sessionCookie: cookieNow,
    externalUrl: () => settings().externalUrl,
    sessionLimits: () => settings().sessions,
    activity,
    csrfKey,
    personalTokenUsed: (id, now) => personalUses.note(id, now),
  };
  return {
    ...callerParts,
    passwords: createPasswords(),
    throttle: createThrottle(database, keyring.derive('sign-in throttle')),
    signedIn,
    async withPersonalToken(request) {
      const text = /^bearer /i.test(request.headers.authorization ?? '') ? bearerOf(request) : null;
      if (text === null || !isPersonalTokenText(text)) return null;
      const { user, scopes } = await database.read((trx) => identifyApiCaller(trx, request, '', callerParts));
      return userCaller({ ...user, blocked: false }, { sessionId: null, scopes }, directory);
    },
    checkCsrf(request) {
      const found = signedIn(request, Date.now());
      if (found === null) throw new PromgateError('forbidden', 'the session has ended: sign in again');
      const { session } = found;
      checkCsrf(request.headers, request.headers['x-csrf-token'], { key: csrfKey, session, externalUrl: settings().externalUrl });
    },
    async close() {
      await activity.close();
      await personalUses.close();
    },
  };
}
