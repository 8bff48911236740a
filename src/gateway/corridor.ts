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
import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import { type Asking, ask, type Receiver } from '../upstream/ask.ts';
import { type Binding, bind } from '../upstream/binding.ts';
import { collect } from '../upstream/collect.ts';
import type { Pools } from '../upstream/pools.ts';
import { acceptsGzip } from './accept-encoding.ts';
import { type Address, parseAddress } from './address.ts';
import { corsHeaders, preflightHeaders } from './cors.ts';
import { sendError } from './envelope.ts';
import { type Answer, filterBuildinfo, formatHere, formatQuery, lacksEndpoint } from './filters.ts';
import { decodeForm, type Pair, readBody } from './form.ts';
import { prepare } from './prepare.ts';
import { buildQuestion, type Question } from './question.ts';
import { relayTo } from './relay.ts';
import { findRoute, otherEndpoints, type Route } from './routes.ts';
import { beginVisit, endVisit, requestIds, type Visit } from './visit.ts';

export interface CorridorSettings {
  /** Path of `external_url`, without trailing slash. */
  readonly basePath: string;
  readonly limits: Limits;
  readonly corsOrigins: readonly string[];
  readonly isTrustedProxy: (address: string) => boolean;
}

export interface CorridorParts {
  readonly directory: () => Directory;
  readonly pools: Pools;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Current settings; they may change while running. */
  readonly settings: () => CorridorSettings;
  readonly tokenUsed: (token: Token, now: number) => void;
  /** Whether the process is on its way out: answers then end their connections. */
  readonly stopping: () => boolean;
}

/** Answers a request to the data plane; returns false, and does nothing, when the URL belongs to something else. */
export type Corridor = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Longer questions go as POST: not every server on the way takes long URLs. */
const LONGEST_GET = 4096;
/** For answers that are looked at: build information and one formatted query are small. */
const MAX_COLLECTED = 1024 * 1024;

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
      refuse(visit, error);
    }
    return true;
  };

  function enter(visit: Visit, address: Address, query: string, settings: CorridorSettings): void {
    if (answerWithoutCredentials(visit, address, settings)) return;
    visit.token = identify(visit.request, settings);
    visit.target = findTarget(address, visit.token);
    const route = findOpenRoute(address.below);
    visit.endpoint = route.endpoint.name;
    const binding = bindings(visit.target, settings.limits);
    visit.server = binding.server.name;
    checkOpen(route, binding, visit.request.method ?? '');
    const url = decodeForm(query);
    if (visit.request.method !== 'POST') {
      forward(visit, route, binding, url, []);
      return;
    }
    readBody(visit.request).then(
      (body) => attempt(visit, () => forward(visit, route, binding, url, body)),
      (error) => refuse(visit, error),
    );
  }

  function attempt(visit: Visit, step: () => void): void {
    try {
      step();
    } catch (error) {
      refuse(visit, error);
    }
  }

  function answerWithoutCredentials(visit: Visit, { below }: Address, settings: CorridorSettings): boolean {
    const { request, response } = visit;
    const preflight = preflightHeaders(request, settings.corsOrigins);
    if (preflight !== null) {
      response.writeHead(204, { ...visit.headers, ...preflight });
      response.end();
      endVisit(visit, 204, null, parts);
      return true;
    }
    if (below !== '/-/healthy' && below !== '/-/ready') return false;
    visit.endpoint = otherEndpoints.health;
    if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed('GET, HEAD');
    const text = below === '/-/healthy' ? 'Promgate is Healthy.\n' : 'Promgate is Ready.\n';
    response.writeHead(200, { ...visit.headers, 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': text.length });
    response.end(request.method === 'HEAD' ? undefined : text);
    endVisit(visit, 200, null, parts);
    return true;
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

  function forward(visit: Visit, route: Route, binding: Binding, url: readonly Pair[], body: readonly Pair[]): void {
    if (visit.response.destroyed) {
      endVisit(visit, null, null, parts);
      return;
    }
    const question = buildQuestion(route.endpoint, route.upstreamPath, url, body);
    const parameters = prepare(question, binding);
    const { filter } = route.endpoint;
    const asPost = parameters.length > LONGEST_GET && route.endpoint.methods.includes('POST');
    const path = binding.basePath + question.path;
    const { limits, server } = binding;
    const upstream = {
      method: asPost ? ('POST' as const) : ('GET' as const),
      path: asPost || parameters === '' ? path : `${path}?${parameters}`,
      headers: binding.headers,
      body: asPost ? parameters : null,
      gzip: filter === undefined && acceptsGzip(visit.request.headers['accept-encoding']),
      text: route.endpoint.text === true,
      timeout: limits.timeout,
      maxResponse: filter === undefined ? limits.maxResponse : Math.min(limits.maxResponse, MAX_COLLECTED),
    };
    const askedAt = performance.now();
    let asking: Asking | null = null;
    const receiver = filter === undefined ? relay(visit, askedAt, () => asking) : gather(visit, askedAt, question, filter);
    visit.response.once('close', () => {
      if (visit.over) return;
      asking?.abort();
      endVisit(visit, null, null, parts);
    });
    asking = ask(parts.pools.for(server), server, upstream, receiver, (outcome) => {
      parts.metrics.upstream(server.name, outcome, (performance.now() - askedAt) / 1000);
    });
  }

  function answerHeaders(visit: Visit, askedAt: number): Record<string, string> {
    const { headers } = visit;
    parts.metrics.cache('bypass');
    headers['X-Promgate-Cache'] = 'bypass';
    headers['Server-Timing'] = `upstream;dur=${(performance.now() - askedAt).toFixed(1)}`;
    headers['X-Content-Type-Options'] = 'nosniff';
    headers['Cache-Control'] = 'no-store';
    return headers;
  }

  function relay(visit: Visit, askedAt: number, asking: () => Asking | null): Receiver {
    return relayTo(visit.response, {
      headers: () => answerHeaders(visit, askedAt),
      resume: () => asking()?.resume(),
      refuse: (error) => refuse(visit, error),
      broken: (error) => endVisit(visit, visit.response.statusCode, error, parts),
      done: (status) => endVisit(visit, status, null, parts),
    });
  }

  function gather(visit: Visit, askedAt: number, question: Question, filter: 'buildinfo' | 'format_query'): Receiver {
    const settle = (answer: Answer | Promise<Answer>) =>
      Promise.resolve(answer).then(
        (result) => send(visit, askedAt, result),
        (error) => refuse(visit, error),
      );
    return filter === 'buildinfo'
      ? collect(
          (answer) => void settle(filterBuildinfo(answer)),
          (error) => refuse(visit, error),
        )
      : collect(
          (answer) => void settle(formatQuery(answer, question)),
          (error) => (lacksEndpoint(error) ? void settle(formatHere(question)) : refuse(visit, error)),
        );
  }

  function send(visit: Visit, askedAt: number, answer: Answer): void {
    const type = answer.contentType === null ? {} : { 'Content-Type': answer.contentType };
    visit.response.writeHead(answer.status, {
      ...answerHeaders(visit, askedAt),
      ...type,
      'Content-Length': Buffer.byteLength(answer.body),
    });
    visit.response.end(answer.body);
    endVisit(visit, answer.status, null, parts);
  }

  function refuse(visit: Visit, thrown: unknown): void {
    if (visit.over) return;
    const error = thrown instanceof PromgateError ? thrown : internal(visit, thrown);
    if (visit.response.destroyed) {
      endVisit(visit, null, null, parts);
      return;
    }
    if (visit.token !== null && error.status < 500) parts.metrics.rejection(error.code);
    sendError(visit.response, error, visit.headers);
    endVisit(visit, error.status, error, parts);
  }

  function internal(visit: Visit, thrown: unknown): PromgateError {
    // A client that goes away while it sends its body ends the stream with an error of its own.
    if (visit.request.destroyed && !visit.request.complete) return new PromgateError('bad_data', 'the request ended early');
    return new PromgateError('internal', `internal error; the log has it under request id ${visit.id}`, {
      operator: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
    });
  }
}

function findOpenRoute(below: string): Route {
  const route = findRoute(below);
  if (route === null) throw notFound();
  return route;
}

/** Only now, with the server known, is it clear whether an `expose` endpoint exists at all. */
function checkOpen({ endpoint }: Route, { server }: Binding, method: string): void {
  if (endpoint.expose !== undefined && !server.expose.includes(endpoint.expose)) throw notFound();
  if (!(endpoint.methods as readonly string[]).includes(method)) throw methodNotAllowed(endpoint.methods.join(', '));
}

function methodNotAllowed(allow: string): PromgateError {
  return new PromgateError('method_not_allowed', `method not allowed; allowed: ${allow}`, { headers: { Allow: allow } });
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
function bindingsOf(parts: CorridorParts): (target: Target, limits: Limits) => Binding {
  let memory = new WeakMap<Target, Binding>();
  let generation = -1;
  let current: Limits | null = null;
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
