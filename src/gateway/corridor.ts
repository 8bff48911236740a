/**
 * The corridor: who asks → for what → may they → which server → question → ask → answer. Each step is a function below,
 * in that order; a step that says no throws an error of the catalogue, and nothing after it happens.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../access/caller.ts';
import type { Target } from '../directory/model.ts';
import { type Rates, targetKey } from '../guard/rates.ts';
import type { Binding } from '../upstream/binding.ts';
import { type Address, parseAddress } from './address.ts';
import { corsHeaders } from './cors.ts';
import { bindingsOf, type EntranceParts, type GatewaySettings, identify, notFound, originForm } from './entrance.ts';
import { createBodyReader, decodeForm, type Pair } from './form.ts';
import { type ForwardParts, forward } from './forward.ts';
import { answerOpen, methodNotAllowed } from './open.ts';
import { buildQuestion } from './question.ts';
import { type Endpoint, findRoute, type Route } from './routes.ts';
import { isSignedOutPage, sendToSignIn } from './sign-in-redirect.ts';
import { beginVisit, endVisit, refuse, requestIds, type Visit } from './visit.ts';

export interface CorridorParts extends ForwardParts, EntranceParts {
  readonly rates: Rates;
  /** Current settings; they may change while running. */
  readonly settings: () => GatewaySettings;
  /** Whether the process is on its way out: answers then end their connections. */
  readonly stopping: () => boolean;
}

/** Answers a request to the data plane; returns false, and does nothing, when the URL belongs to something else. */
export type Corridor = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Who may ask what of which server, as of now. */
interface Admitted {
  readonly caller: Caller;
  readonly target: Target;
  readonly route: Route;
  readonly binding: Binding;
}

export function createCorridor(parts: CorridorParts): Corridor {
  const newId = requestIds();
  const bindings = bindingsOf(parts);
  const readBody = createBodyReader();

  return (request, response) => {
    const url = originForm(request.url ?? '/');
    const mark = url.indexOf('?');
    const settings = parts.settings();
    const address = parseAddress(mark === -1 ? url : url.slice(0, mark), settings.basePath);
    if (address === null) return false;
    const visit = beginVisit(request, response, newId(request), corsHeaders(request, settings.corsOrigins));
    visit.headers['X-Request-Id'] = visit.id;
    if (parts.stopping()) visit.headers.Connection = 'close';
    try {
      enter(visit, address, mark === -1 ? '' : url.slice(mark + 1), settings);
    } catch (error) {
      if (isSignedOutPage(request, error)) sendToSignIn(visit, url, settings, parts);
      else refuse(visit, error, parts);
    }
    return true;
  };

  function enter(visit: Visit, address: Address, query: string, settings: GatewaySettings): void {
    const open = answerOpen(visit, address.below, settings.corsOrigins);
    if (open !== null) {
      endVisit(visit, open, null, parts);
      return;
    }
    const caller = identify(visit.request, settings, parts);
    if (caller instanceof Promise)
      caller
        .then((known) => {
          // Nobody would hear of the body's end either.
          if (visit.response.destroyed) endVisit(visit, null, null, parts);
          else ask(visit, known, address, query, settings);
        })
        .catch((error) => refuse(visit, error, parts));
    else ask(visit, caller, address, query, settings);
  }

  function ask(visit: Visit, caller: Caller, address: Address, query: string, settings: GatewaySettings): void {
    const admitted = admit(visit, caller, address, settings);
    if (visit.request.method !== 'POST') {
      go(visit, admitted, query, []);
      return;
    }
    // A body that comes slowly must not take a place among the questions that run. And whoever asks may have lost the right to
    // meanwhile, or another server may answer: all is looked at once more.
    readBody(visit.request)
      .then(async (body) => {
        const now = parts.settings();
        const known = await identify(visit.request, now, parts);
        go(visit, admit(visit, known, address, now), query, body);
      })
      .catch((error) => refuse(visit, error, parts));
  }

  /** Throws `not_found` where the caller may not ask, or there is nothing to ask. */
  function admit(visit: Visit, caller: Caller, address: Address, settings: GatewaySettings): Admitted {
    visit.caller = caller;
    const target = findTarget(address, caller);
    visit.target = target;
    const route = findOpenRoute(address.below);
    visit.endpoint = route.endpoint.name;
    const binding = bindings(target, settings);
    visit.server = binding.server.name;
    checkOpen(route.endpoint, binding, visit.request.method ?? '');
    return { caller, target, route, binding };
  }

  function go(visit: Visit, { caller, target, route, binding }: Admitted, query: string, body: readonly Pair[]): void {
    const question = buildQuestion(route.endpoint, route.upstreamPath, decodeForm(query), body);
    visit.release = parts.rates.enter(
      { caller: caller.key, target: targetKey(target), server: binding.server.id },
      binding.limits,
    );
    forward(visit, question, binding, parts);
  }

  function findTarget(address: Address, caller: Caller): Target {
    const directory = parts.directory();
    const target =
      address.level === 'environment'
        ? directory.environment(address.path, address.environment)
        : address.level === 'project'
          ? directory.project(address.path)
          : directory.group(address.path);
    if (target === null || !caller.opens(target)) throw notFound();
    return target;
  }
}

function findOpenRoute(below: string): Route {
  const route = findRoute(below);
  if (route === null) throw notFound();
  return route;
}

/** Only now, with the server known, is it clear whether an `expose` endpoint exists at all. */
function checkOpen(endpoint: Endpoint, { server, scope }: Binding, method: string): void {
  if (endpoint.expose !== undefined && !server.expose.includes(endpoint.expose)) throw notFound();
  if (endpoint.guarded === 'closed' && scope !== null) throw notFound();
  if (!(endpoint.methods as readonly string[]).includes(method)) throw methodNotAllowed(endpoint.methods.join(', '));
}
