/** The two steps of signing in with an OpenID provider: off to it, and back. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Oidc } from '../access/oidc.ts';
import { setSessionCookie } from '../access/session-cookie.ts';
import { returnTo } from './return-to.ts';
import { openPageScope, type PageScopeParts, parameter, visitorOf } from './scope.ts';

export interface OidcPageParts extends PageScopeParts {
  readonly oidc: Oidc;
  /** Brings the snapshot up to date at once: the browser's next request is to find its session and its roles. */
  readonly refresh: () => Promise<void>;
}

/** A plugin. What goes wrong is a page with a plain reason; nothing that the provider wrote is on it. */
export function oidcPages(parts: OidcPageParts): (app: FastifyInstance, options: object, done: () => void) => void {
  const { oidc } = parts;
  // A `HEAD` must not use a code up.
  const routeOptions = { exposeHeadRoute: false };

  return (app, _options, done) => {
    openPageScope(app, parts);

    app.get('/login/oidc/:provider', routeOptions, async (request, reply) => {
      const { basePath } = parts.settings();
      const next = returnTo(parameter(request, 'return_to'), basePath);
      const { location, cookies } = await oidc.start(providerIn(request), next, request.headers.cookie);
      return leave(reply.header('Set-Cookie', cookies), location);
    });

    app.get('/login/oidc/:provider/callback', routeOptions, async (request, reply) => {
      const query = queryOf(request.url);
      const forgetting = oidc.forget(query);
      // However it ends: a callback counts once.
      if (forgetting !== null) reply.header('Set-Cookie', forgetting);
      // The way back from the provider comes from another site, and the session's cookie counts: it is looked at only for linking,
      // which its user began here.
      const { signedIn, origin, cookie, settings } = visitorOf(request, parts);
      const { returnTo: next, session } = await oidc.finish({
        provider: providerIn(request),
        query,
        cookieHeader: request.headers.cookie,
        signedIn: signedIn?.user.id ?? null,
        from: origin,
        requestId: request.id,
      });
      if (session !== null) {
        await parts.refresh();
        reply.header('Set-Cookie', setSessionCookie(cookie, session, settings.sessions.lifetime));
      }
      return leave(reply, next);
    });
    done();
  };
}

/** The URLs on both sides hold what nobody else should see. */
function leave(reply: FastifyReply, location: string): FastifyReply {
  return reply.headers({ 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' }).redirect(location, 303);
}

function providerIn({ params }: FastifyRequest): string {
  return (params as { provider: string }).provider;
}

function queryOf(url: string): string {
  const mark = url.indexOf('?');
  return mark === -1 ? '' : url.slice(mark + 1);
}
