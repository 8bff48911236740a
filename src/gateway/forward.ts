/**
 * The second half of the corridor: a question that may be asked → what it is asked as → the server's answer, streamed, or
 * looked at where its structure matters.
 */
import { PromgateError } from '../errors.ts';
import type { Guard } from '../guard/decide.ts';
import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import { type Asking, ask } from '../upstream/ask.ts';
import type { Binding } from '../upstream/binding.ts';
import type { AskServer } from '../upstream/collect.ts';
import type { Pools } from '../upstream/pools.ts';
import { buildRequest } from '../upstream/request.ts';
import { acceptsGzip } from './accept-encoding.ts';
import { type Answer, filterFor } from './filters.ts';
import { prepare } from './prepare.ts';
import type { Question } from './question.ts';
import { relayTo } from './relay.ts';
import { endVisit, refuse, type Visit } from './visit.ts';

export interface ForwardParts {
  readonly pools: Pools;
  readonly guard: Guard;
  readonly askServer: AskServer;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** Asks and answers, or refuses; everything that fails ends the visit. Never throws. */
export function forward(visit: Visit, question: Question, binding: Binding, parts: ForwardParts): void {
  try {
    const parameters = prepare(question, binding, parts.guard);
    if (typeof parameters === 'string') send(visit, question, binding, parameters, parts);
    else wait(visit, binding, parts, parameters, (later) => send(visit, question, binding, later, parts));
  } catch (error) {
    refuse(visit, error, parts);
  }
}

/**
 * Goes on when `work` is done, unless the client has left or the deadline has passed by then. `work` may ask the server
 * several things, each with a deadline of its own; the client waits for them all no longer than for one.
 */
function wait<T>(
  visit: Visit,
  binding: Binding,
  parts: ForwardParts,
  work: Promise<T>,
  next: (result: T) => void,
  giveUp?: () => void,
): void {
  const { server, limits } = binding;
  const done = () => {
    visit.work = null;
  };
  visit.work = work.then(done, done);
  const deadline = setTimeout(
    () => {
      const text = `server ${JSON.stringify(server.name)} did not answer within ${limits.timeout / 1000}s`;
      refuse(visit, new PromgateError('timeout', text), parts);
      giveUp?.();
    },
    Math.max(1, limits.timeout - (performance.now() - visit.startedAt)),
  );
  visit.response.once('close', () => {
    clearTimeout(deadline);
    if (visit.over) return;
    giveUp?.();
    endVisit(visit, null, null, parts);
  });
  work
    .finally(() => clearTimeout(deadline))
    .then((result) => {
      if (!visit.over) next(result);
    })
    .catch((error) => refuse(visit, error, parts));
}

function send(visit: Visit, question: Question, binding: Binding, parameters: string, parts: ForwardParts): void {
  if (visit.response.destroyed) {
    endVisit(visit, null, null, parts);
    return;
  }
  const filter = filterFor(question.endpoint, binding);
  if (filter === null) {
    stream(visit, question, binding, parameters, parts);
    return;
  }
  const askedAt = performance.now();
  const leaving = new AbortController();
  const work = filter(question, binding, parameters, parts, leaving.signal);
  wait(
    visit,
    binding,
    parts,
    work,
    (answer) => sendWhole(visit, askedAt, answer, parts),
    () => leaving.abort(),
  );
}

function stream(visit: Visit, question: Question, binding: Binding, parameters: string, parts: ForwardParts): void {
  const { metrics, pools } = parts;
  const { server, limits } = binding;
  const { endpoint, path } = question;
  const request = buildRequest(binding, path, parameters, {
    post: endpoint.methods.includes('POST'),
    gzip: acceptsGzip(visit.request.headers['accept-encoding']),
    text: endpoint.text === true,
    maxResponse: limits.maxResponse,
  });
  const askedAt = performance.now();
  let asking: Asking | null = null;
  visit.response.once('close', () => {
    if (visit.over) return;
    asking?.abort();
    endVisit(visit, null, null, parts);
  });
  const receiver = relayTo(visit.response, {
    headers: () => answerHeaders(visit, askedAt, metrics),
    resume: () => asking?.resume(),
    refuse: (error) => refuse(visit, error, parts),
    broken: (error) => endVisit(visit, visit.response.statusCode, error, parts),
    done: (status) => endVisit(visit, status, null, parts),
  });
  asking = ask(pools.for(server), server, request, receiver, (outcome) => {
    metrics.upstream(server.name, outcome, (performance.now() - askedAt) / 1000);
  });
}

function sendWhole(visit: Visit, askedAt: number, answer: Answer, parts: ForwardParts): void {
  if (visit.over) return;
  const type = answer.contentType === null ? {} : { 'Content-Type': answer.contentType };
  visit.response.writeHead(answer.status, {
    ...answerHeaders(visit, askedAt, parts.metrics),
    ...type,
    'Content-Length': Buffer.byteLength(answer.body),
  });
  visit.response.end(answer.body);
  endVisit(visit, answer.status, null, parts);
}

function answerHeaders(visit: Visit, askedAt: number, metrics: Metrics): Record<string, string> {
  const { headers } = visit;
  metrics.cache('bypass');
  headers['X-Promgate-Cache'] = 'bypass';
  headers['Server-Timing'] = `upstream;dur=${(performance.now() - askedAt).toFixed(1)}`;
  headers['X-Content-Type-Options'] = 'nosniff';
  headers['Cache-Control'] = 'no-store';
  return headers;
}
