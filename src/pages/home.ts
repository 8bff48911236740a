/** The first page: who is signed in, and the endpoints that are theirs to ask. */
import type { FastifyInstance } from 'fastify';
import { csrfToken } from '../access/csrf.ts';
import { isAtLeast } from '../access/roles.ts';
import { findUser } from '../storage/users.ts';
import { type VisibleThing, visibleThings } from '../storage/visible.ts';
import { type Html, html } from './html.ts';
import { sendPage } from './layout.ts';
import { goTo, visitorOf } from './scope.ts';
import type { SignInPageParts } from './sign-in.ts';

const MOST_SHOWN = 200;

export function addHomePage(app: FastifyInstance, parts: SignInPageParts): void {
  app.get('/', async (request, reply) => {
    const { settings, signedIn } = visitorOf(request, parts);
    const { basePath, externalUrl } = settings;
    if (signedIn === null) return goTo(reply, `${basePath}/login`);
    const { user, session } = signedIn;
    const { name, things, more } = await parts.database.read(async (trx) => ({
      name: (await findUser(trx, user.id))?.name ?? user.username,
      ...(await visibleThings(trx, user, MOST_SHOWN)),
    }));
    const corner = html`<form method="post" action="${basePath}/logout"><input type="hidden" name="csrf_token" value="${csrfToken(parts.csrfKey, session)}"><button>Sign out</button></form>`;
    const who = name === user.username ? html`<b>${name}</b>` : html`<b>${name}</b> (${user.username})`;
    const body = html`<section>
<h1>Endpoints</h1>
<p>You are signed in as ${who}${user.admin ? ', an administrator' : ''}. <a href="${basePath}/-/api/">What the API can do</a></p>
${things.length === 0 ? html`<p class="quiet">${nothing(user.admin)}</p>` : table(things, externalUrl)}
${more ? html`<p class="quiet">Only the first ${MOST_SHOWN} are shown; the API has them all.</p>` : null}
</section>`;
    return sendPage(reply, 200, { title: 'Endpoints', body, corner, wide: true });
  });
}

function nothing(admin: boolean): string {
  return admin
    ? 'There are no groups and projects yet. Add them with the API, or with “promgate apply” and a resource file.'
    : 'You have no role on any group or project yet. Ask an owner of one to add you.';
}

function table(things: readonly VisibleThing[], externalUrl: string): Html {
  const rows = things.map(({ kind, name, role, endpointPath }) => {
    const mayAsk = role === 'admin' || isAtLeast(role, 'reporter');
    return html`<tr><td>${name}</td><td class="quiet">${kind}</td><td class="quiet">${role === 'admin' ? 'administrator' : role}</td><td>${mayAsk ? urlCell(externalUrl + endpointPath) : null}</td></tr>
`;
  });
  return html`<table><thead><tr><th scope="col">Name</th><th scope="col">Kind</th><th scope="col">Role</th><th scope="col">Endpoint</th></tr></thead><tbody>
${rows}</tbody></table>`;
}

/** Its lines end after a slash alone, where there is room: names stay whole. */
function urlCell(url: string): Html {
  const [first = '', ...pieces] = url.split(/(?<=[^/]\/)(?=[^/])/);
  return html`<code class="url">${first}${pieces.map((piece) => html`<wbr>${piece}`)}</code>`;
}
