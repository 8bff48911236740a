/**
 * The second half of the corridor: a question that may be asked → what it is asked as → the answer, from the cache or from the
 * server, streamed; or looked at first where its structure matters.
 */
import { type CacheResult, headOf } from '../cache/answer.ts';
import type { Cache } from '../cache/cache.ts';
import type { Source } from '../cache/source.ts';
import { internalError, PromgateError } from '../errors.ts';
import type { Guard } from '../guard/decide.ts';
import type { Metrics } from '../ops/metrics.ts';
import type { Asking } from '../upstream/ask.ts';
import type { Binding } from '../upstream/binding.ts';
import type { AskServer } from '../upstream/collect.ts';
import type { AskStream } from '../upstream/stream.ts';
import { timedOut } from '../upstream/trouble.ts';
import { acceptsGzip } from './accept-encoding.ts';
import { type Filter, filterFor } from './filters.ts';
import { between, type Prepared, prepare } from './prepare.ts';
import type { Question } from './question.ts';
import { relayTo } from './relay.ts';
import { endVisit, refuse, type Visit, type VisitParts } from './visit.ts';

export interface ForwardParts extends VisitParts {
  readonly guard: Guard;
  readonly cache: Cache;
  readonly askStream: AskStream;
  readonly askServer: AskServer;
}

/** Asks and answers, or refuses; everything that fails ends the visit. Never throws. */
export function forward(visit: Visit, question: Question, binding: Binding, parts: ForwardParts): void {
  try {
    const prepared = prepare(question, binding, parts.guard);
    if (prepared instanceof Promise) wait(visit, question, binding, prepared, parts);
    else answer(visit, question, binding, prepared, parts);
  } catch (error) {
    refuse(visit, error, parts);
  }
}

/**
 * Goes on when the guard has decided, unless the client has left or the deadline has passed by then. The guard may ask the
 * server several things, each with a deadline of its own; the client waits for them all no longer than for one.
 */
function wait(visit: Visit, question: Question, binding: Binding, deciding: Promise<Prepared>, parts: ForwardParts): void {
  const done = () => {
    visit.work = null;
  };
  visit.work = deciding.then(done, done);
  const left = binding.limits.timeout - (performance.now() - visit.startedAt);
  const deadline = setTimeout(() => refuse(visit, timedOut(binding.server, binding.limits.timeout), parts), Math.max(1, left));
  const leave = () => {
    clearTimeout(deadline);
    endVisit(visit, null, null, parts);
  };
  visit.response.once('close', leave);
  deciding
    .finally(() => {
      clearTimeout(deadline);
      // From here on a client that leaves has its question called off.
      visit.response.off('close', leave);
    })
    .then((prepared) => {
      if (!visit.over) answer(visit, question, binding, prepared, parts);
    })
    .catch((error) => refuse(visit, error, parts));
}

function answer(visit: Visit, question: Question, binding: Binding, prepared: Prepared, parts: ForwardParts): void {
  const { response } = visit;
  if (response.destroyed) {
    endVisit(visit, null, null, parts);
    return;
  }
  const { endpoint, path, single } = question;
  const gzip = acceptsGzip(visit.request.headers['accept-encoding']);
  const askedAt = performance.now();
  let asking: Asking | null = null;
  const relay = relayTo(response, gzip, {
    headers: (from) => answerHeaders(visit, from, askedAt, parts.metrics),
    resume: () => asking?.resume(),
    sent: (bytes) => {
      visit.bytes += bytes;
    },
    refuse: (error) => refuse(visit, error, parts),
    broken: (error) => endVisit(visit, response.statusCode, error, parts),
    done: (status) => endVisit(visit, status, null, parts),
  });
  const { parameters, numbers: times, expr } = prepared;
  const asked = { endpoint: endpoint.name, path, parameters, single, times, expr };
  const cached = {
    asked,
    binding,
    source: sourceOf(question, binding, parts),
    between: (start: number, end: number) => between(question, binding, start, end),
  };
  asking = parts.cache.ask(cached, gzip, relay);
  if (visit.over) return;
  response.once('close', () => {
    if (visit.over) return;
    // All of an answer of known length came: its client is served before its end is known, which is waited for to keep it.
    if (!response.writableEnded) asking.abort();
    // Not served: whose turn on its connection had not come.
    endVisit(visit, response.writableFinished ? response.statusCode : null, null, parts);
  });
}

/** How what is asked is come by: the server's answer as it comes, or what a filter makes of it. */
function sourceOf(question: Question, binding: Binding, parts: ForwardParts): Source {
  const { endpoint, path } = question;
  const filter = filterFor(endpoint, binding);
  if (filter !== null) return filtered(filter, question, binding, parts);
  return (parameters, gzip, receiver) => {
    const options = {
      post: endpoint.methods.includes('POST'),
      gzip,
      text: endpoint.text === true,
      maxResponse: binding.limits.maxResponse,
    };
    return parts.askStream(binding, path, parameters, options, receiver);
  };
}

/** A filter may ask several things: whoever waits for it waits no longer than for one. */
function filtered(filter: Filter, question: Question, binding: Binding, parts: ForwardParts): Source {
  return (parameters, _gzip, receiver) => {
    const leaving = new AbortController();
    let over = false;
    const end = (tell: () => void) => {
      if (over) return;
      over = true;
      clearTimeout(deadline);
      tell();
    };
    const deadline = setTimeout(() => {
      end(() => receiver.fail(timedOut(binding.server, binding.limits.timeout)));
      leaving.abort();
    }, binding.limits.timeout);
    filter(question, binding, parameters, parts, leaving.signal)
      .then((made) =>
        end(() => {
          const body = Buffer.from(made.body);
          receiver.head(headOf(made.contentType, body.length, made.status));
          receiver.data(body);
          receiver.end();
        }),
      )
      .catch((error) => end(() => receiver.fail(error instanceof PromgateError ? error : internalError(error))));
    return {
      abort: () => {
        end(() => undefined);
        leaving.abort();
      },
      resume: () => undefined,
    };
  };
}

/** Flat: Node takes it as it is. */
function answerHeaders(visit: Visit, from: CacheResult, askedAt: number, metrics: Metrics): string[] {
  metrics.cache(from);
  const { headers } = visit;
  const flat: string[] = [];
  for (const name in headers) flat.push(name, headers[name] ?? '');
  const took = performance.now() - askedAt;
  if (from !== 'hit') visit.upstreamMs = took;
  const timing = `${from === 'hit' ? 'cache' : 'upstream'};dur=${took.toFixed(1)}`;
  flat.push('X-Promgate-Cache', from, 'Server-Timing', timing, 'X-Content-Type-Options', 'nosniff', 'Cache-Control', 'no-store');
  return flat;
}
