/** The pages for signing in, out, and seeing where one is. Plain HTML: they work without scripts, and without our own front end. */
import type { FastifyInstance } from 'fastify';
import { addHomePage } from './home.ts';
import { openPageScope } from './scope.ts';
import { addSetupPages } from './setup.ts';
import { addSignInPages, type SignInPageParts } from './sign-in.ts';

/** A plugin. */
export function pages(parts: SignInPageParts): (app: FastifyInstance, options: object, done: () => void) => void {
  return (app, _options, done) => {
    openPageScope(app, parts);
    addSignInPages(app, parts);
    addSetupPages(app, parts);
    addHomePage(app, parts);
    done();
  };
}
