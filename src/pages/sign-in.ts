/** Signing in and out. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ownActor } from '../access/accounts.ts';
import { checkCsrf, checkOrigin } from '../access/csrf.ts';
import { clearSessionCookie, isCrossSite, setSessionCookie } from '../access/session-cookie.ts';
import { type PasswordParts, signInWithPassword } from '../access/sign-in.ts';
import { PromgateError } from '../errors.ts';
import { recordEvents } from '../storage/audit.ts';
import { sessionObject } from '../storage/audit-objects.ts';
import { removeSession } from '../storage/sessions.ts';
import { html } from './html.ts';
import { alert, type Page, sendPage } from './layout.ts';
import { returnTo } from './return-to.ts';
import { field, goTo, type PageScopeParts, type PageSettings, parameter, type Visitor, visitorOf } from './scope.ts';
import { notKeptHere } from './usual-address.ts';

export interface SignInPageParts extends PageScopeParts, PasswordParts {
  /** The keyring's for `csrf`. */
  readonly csrfKey: Buffer;
}

export function addSignInPages(app: FastifyInstance, parts: SignInPageParts): void {
  app.get('/login', (request, reply) => {
    const { settings, signedIn } = visitorOf(request, parts);
    const next = returnTo(parameter(request, 'return_to'), settings.basePath);
    if (signedIn === null) return sendPage(reply, 200, signInPage(request, settings, next));
    // Sent here by a link of another site the browser is nobody to the endpoints, and would be sent here again.
    if (isCrossSite(request.headers)) return sendPage(reply, 200, goOnPage(signedIn.user.username, next));
    return goTo(reply, next);
  });

  app.post('/login', async (request, reply) => {
    const { settings, origin, cookie } = visitorOf(request, parts);
    checkOrigin(request.headers, settings.externalUrl);
    const next = returnTo(field(request, 'return_to'), settings.basePath);
    const username = field(request, 'username');
    const typed = { ...origin, username, password: field(request, 'password'), requestId: request.id };
    try {
      const { cookie: value } = await signInWithPassword({ ...parts, sessions: () => settings.sessions }, typed);
      await parts.refresh();
      return goTo(reply.header('Set-Cookie', setSessionCookie(cookie, value, settings.sessions.lifetime)), next);
    } catch (error) {
      if (!(error instanceof PromgateError) || error.code === 'internal') throw error;
      return sendPage(
        reply.headers(error.headers ?? {}),
        error.status,
        signInPage(request, settings, next, { problem: error.message, username }),
      );
    }
  });

  app.post('/logout', async (request, reply) => {
    const visitor = visitorOf(request, parts);
    const { settings, signedIn } = visitor;
    if (signedIn === null) {
      checkOrigin(request.headers, settings.externalUrl);
      return signedOut(reply, visitor);
    }
    const { user, session } = signedIn;
    const { externalUrl } = settings;
    checkCsrf(request.headers, field(request, 'csrf_token'), { key: parts.csrfKey, session, externalUrl });
    await parts.database.write(async (trx) => {
      if ((await removeSession(trx, session.id)) === undefined) return;
      const actor = ownActor(user, visitor.origin.address, request.id);
      await recordEvents(trx, [{ actor, action: 'signed_out', object: sessionObject(session.id, user) }], Date.now());
    });
    return signedOut(reply, visitor);
  });
}

function signedOut(reply: FastifyReply, { cookie, settings }: Visitor): FastifyReply {
  return goTo(reply.header('Set-Cookie', clearSessionCookie(cookie)), `${settings.basePath}/login`);
}

function signInPage(
  { raw: request }: FastifyRequest,
  { basePath, externalUrl, providers }: PageSettings,
  next: string,
  failed: { problem: string; username: string } | null = null,
): Page {
  const username = failed?.username ?? '';
  const way = next === `${basePath}/` ? '' : `?return_to=${encodeURIComponent(next)}`;
  const buttons = providers.map(
    ({ name, label }) => html`<a class="button" href="${basePath}/login/oidc/${name}${way}">Sign in with ${label}</a>`,
  );
  // The cursor stands where the next thing is to be typed.
  const [first, second] = username === '' ? [html` autofocus`, null] : [null, html` autofocus`];
  return {
    title: 'Sign in',
    body: html`<section>
<h1>Sign in</h1>
${notKeptHere(request, externalUrl, 'Sign in', `/login${way}`)}
${alert(failed?.problem ?? null)}
<form method="post" action="${basePath}/login">
<input type="hidden" name="return_to" value="${next}">
<label>Username <input name="username" value="${username}" autocomplete="username" autocapitalize="none" spellcheck="false" required${first}></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required${second}></label>
<button>Sign in</button>
</form>
${buttons.length === 0 ? null : html`<p class="or">or</p>`}
${buttons}
</section>`,
  };
}

function goOnPage(username: string, next: string): Page {
  return {
    title: 'Signed in',
    body: html`<section><h1>You are signed in as ${username}</h1><p><a class="button" href="${next}">Go on</a></p></section>`,
  };
}
