/** What a one-time link opens: the first administrator's account, or a user's new password. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { checkOrigin } from '../access/csrf.ts';
import { findLinkHolder, type LinkHolder, linkIsGone, useOneTimeLink } from '../access/one-time-links.ts';
import { setSessionCookie } from '../access/session-cookie.ts';
import { beginSession } from '../access/sign-in.ts';
import { PromgateError } from '../errors.ts';
import { html } from './html.ts';
import { alert, type Page, sendPage } from './layout.ts';
import { field, goTo, type PageSettings, parameter, visitorOf } from './scope.ts';
import type { SignInPageParts } from './sign-in.ts';
import { notKeptHere } from './usual-address.ts';

export function addSetupPages(app: FastifyInstance, parts: SignInPageParts): void {
  const holderOf = (token: string) => parts.database.read((trx) => findLinkHolder(trx, token, Date.now()));

  app.get('/-/setup', async (request, reply) => {
    const token = parameter(request, 'token') ?? '';
    const holder = await holderOf(token);
    if (holder === null) throw linkIsGone();
    return sendPage(reply, 200, setupPage(request, parts.settings(), { token, holder }));
  });

  app.post('/-/setup', async (request, reply) => {
    const { settings, origin, cookie } = visitorOf(request, parts);
    const { basePath, externalUrl, sessions } = settings;
    checkOrigin(request.headers, externalUrl);
    const token = field(request, 'token');
    const holder = await holderOf(token);
    if (holder === null) throw linkIsGone();
    const typed = { username: field(request, 'username'), name: field(request, 'name'), password: field(request, 'password') };
    try {
      if (typed.password !== field(request, 'password_again')) throw new PromgateError('bad_data', 'the two passwords differ');
      const context = { requestId: request.id, now: Date.now() };
      const { cookie: value } = await useOneTimeLink(parts, token, typed, { ...context, address: origin.address }, (trx, user) =>
        beginSession(trx, user, { ...origin, provider: null }, { ...context, lifetime: sessions.lifetime }),
      );
      await parts.refresh();
      return goTo(reply.header('Set-Cookie', setSessionCookie(cookie, value, sessions.lifetime)), `${basePath}/`);
    } catch (error) {
      const isTheForms = error instanceof PromgateError && ['bad_data', 'conflict', 'unavailable'].includes(error.code);
      if (!isTheForms) throw error;
      const page = setupPage(request, settings, { token, holder, ...typed, problem: error.message });
      return sendPage(reply.headers(error.headers ?? {}), error.status, page);
    }
  });
}

interface SetupForm {
  readonly token: string;
  readonly holder: LinkHolder;
  readonly username?: string;
  readonly name?: string;
  readonly problem?: string;
}

function setupPage(
  { raw: request }: FastifyRequest,
  { basePath, externalUrl }: PageSettings,
  { token, holder, username = '', name = '', problem }: SetupForm,
): Page {
  const { user } = holder;
  const title = user === null ? 'The first administrator' : 'Set your password';
  const account =
    user === null
      ? html`<label>Username <input name="username" value="${username}" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="63" required autofocus></label>
<label>Name <span class="quiet">As others read it; without one, the username</span> <input name="name" value="${name}" autocomplete="name" maxlength="255"></label>`
      : html`<label>Username <input name="username" value="${user.username}" autocomplete="username" readonly></label>`;
  return {
    title,
    body: html`<section>
<h1>${title}</h1>
${notKeptHere(request, externalUrl, 'Do this', `/-/setup?token=${encodeURIComponent(token)}`)}
${alert(problem ?? null)}
<form method="post" action="${basePath}/-/setup">
<input type="hidden" name="token" value="${token}">
${account}
<label>Password <span class="quiet">At least 12 characters; a few words will do</span>
<input name="password" type="password" autocomplete="new-password" minlength="12" maxlength="1024" required${user === null ? null : html` autofocus`}></label>
<label>Password again <input name="password_again" type="password" autocomplete="new-password" maxlength="1024" required></label>
<button>${user === null ? 'Create the account' : 'Set the password'}</button>
</form>
</section>`,
  };
}
