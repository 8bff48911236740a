/**
 * The corridor: who asks → for what → may they → which server → question → ask → answer. Each step is a function below,
 * in that order; a step that says no throws an error of the catalogue, and nothing after it happens.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { authenticate, covers } from '../access/authenticate.ts';
import { clientAddress } from '../access/client-address.ts';
import type { Target, Token } from '../directory/model.ts';
import type { Directory } from '../directory/snapshot.ts';
import { PromgateError } from '../errors.ts';
import type { Limits } from '../guard/limits.ts';
import { type RateLimits, type Rates, targetKey } from '../guard/rates.ts';
import { type Binding, bind } from '../upstream/binding.ts';
import { type Address, parseAddress } from './address.ts';
import { corsHeaders } from './cors.ts';
import { decodeForm, readBody } from './form.ts';
import { type ForwardParts, forward } from './forward.ts';
import { answerOpen, methodNotAllowed } from './open.ts';
import { buildQuestion } from './question.ts';
import { type Endpoint, findRoute, type Route } from './routes.ts';
import { beginVisit, endVisit, refuse, requestIds, type Visit } from './visit.ts';

export interface CorridorSettings {
  /** Path of `external_url`, without trailing slash. */
  readonly basePath: string;
  readonly limits: Limits & RateLimits;
  readonly corsOrigins: readonly string[];
  readonly isTrustedProxy: (address: string) => boolean;
}

export interface CorridorParts extends ForwardParts {
  readonly directory: () => Directory;
  readonly rates: Rates;
  /** Current settings; they may change while running. */
  readonly settings: () => CorridorSettings;
  readonly tokenUsed: (token: Token, now: number) => void;
  /** Whether the process is on its way out: answers then end their connections. */
  readonly stopping: () => boolean;
}

/** Answers a request to the data plane; returns false, and does nothing, when the URL belongs to something else. */
export type Corridor = (request: IncomingMessage, response: ServerResponse) => boolean;

export function createCorridor(parts: CorridorParts): Corridor {
  const newId = requestIds();
  const bindings = bindingsOf(parts);

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
      refuse(visit, error, parts);
    }
    return true;
  };

  function enter(visit: Visit, address: Address, query: string, settings: CorridorSettings): void {
    const open = answerOpen(visit, address.below, settings.corsOrigins);
    if (open !== null) {
      endVisit(visit, open, null, parts);
      return;
    }
    const token = identify(visit.request, settings);
    visit.token = token;
    const target = findTarget(address, token);
    visit.target = target;
    const route = findOpenRoute(address.below);
    const { endpoint, upstreamPath } = route;
    visit.endpoint = endpoint.name;
    const binding = bindings(target, settings.limits);
    visit.server = binding.server.name;
    checkOpen(endpoint, binding, visit.request.method ?? '');
    visit.release = parts.rates.enter({ token: token.id, target: targetKey(target), server: binding.server.id }, binding.limits);
    const url = decodeForm(query);
    if (visit.request.method !== 'POST') {
      forward(visit, buildQuestion(endpoint, upstreamPath, url, []), binding, parts);
      return;
    }
    readBody(visit.request)
      .then((body) => forward(visit, buildQuestion(endpoint, upstreamPath, url, body), binding, parts))
      .catch((error) => refuse(visit, error, parts));
  }

  function identify(request: IncomingMessage, settings: CorridorSettings): Token {
    const now = Date.now();
    const address = () => clientAddress(request, settings.isTrustedProxy);
    const token = authenticate(request.headers.authorization, parts.directory(), address, now);
    if (token === null) {
      throw new PromgateError(
        'unauthorized',
        'a valid token is required: HTTP Basic with its username and the token, or Bearer with the token',
        {
          headers: { 'WWW-Authenticate': 'Basic realm="promgate"' },
        },
      );
    }
    parts.tokenUsed(token, now);
    return token;
  }

  function findTarget(address: Address, token: Token): Target {
    const directory = parts.directory();
    const target =
      address.level === 'environment'
        ? directory.environment(address.path, address.environment)
        : address.level === 'project'
          ? directory.project(address.path)
          : directory.group(address.path);
    if (target === null || !covers(token, target)) throw notFound();
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

/** A target may be a whole URL too (RFC 9112, 3.2.2); its host says nothing here. */
function originForm(target: string): string {
  return target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?]*/i, '');
}

/** One text for what does not exist and what is not the caller's to see. */
export function notFound(): PromgateError {
  return new PromgateError('not_found', 'not found: no such endpoint, or the token does not open it');
}

/** Bindings are remembered for each target until the directory or the limits change. */
function bindingsOf(parts: CorridorParts): (target: Target, limits: CorridorSettings['limits']) => Binding {
  let memory = new WeakMap<Target, Binding>();
  let generation = -1;
  let current: CorridorSettings['limits'] | null = null;
  return (target, limits) => {
    const directory = parts.directory();
    if (generation !== directory.generation || current !== limits) {
      memory = new WeakMap();
      generation = directory.generation;
      current = limits;
    }
    let binding = memory.get(target);
    if (binding === undefined) {
      const server = directory.server(target);
      if (server === null) throw new PromgateError('unavailable', 'No prometheus server found');
      binding = bind(target, server, limits);
      memory.set(target, binding);
    }
    return binding;
  };
}
