/** One request on its way through the corridor: who, where, since when; and its one ending, counted and logged. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Target, Token } from '../directory/model.ts';
import { PromgateError } from '../errors.ts';
import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import { sendError } from './envelope.ts';
import { otherEndpoints } from './routes.ts';

/** nginx's code for a client that left before its answer; only in metrics and logs. */
const CLIENT_LEFT = 499;
/** Milliseconds without a byte taken, once the whole answer is there. */
const UNREAD = 60_000;

export interface Visit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly id: string;
  /** `performance.now()`. */
  readonly startedAt: number;
  /** Headers for whatever is answered. */
  readonly headers: Record<string, string>;
  endpoint: string;
  target: Target | null;
  token: Token | null;
  server: string | null;
  /** Gives back its place among those that may run at once. */
  release: (() => void) | null;
  /** What the server is being asked beside the answer itself; never rejects. */
  work: Promise<void> | null;
  over: boolean;
}

export function beginVisit(
  request: IncomingMessage,
  response: ServerResponse,
  id: string,
  headers: Record<string, string>,
): Visit {
  return {
    request,
    response,
    id,
    startedAt: performance.now(),
    headers,
    endpoint: otherEndpoints.unknown,
    target: null,
    token: null,
    server: null,
    release: null,
    work: null,
    over: false,
  };
}

/** Counts and logs the end of a visit, once. `status` null: the client left. */
export function endVisit(
  visit: Visit,
  status: number | null,
  error: PromgateError | null,
  { metrics, log }: { metrics: Metrics; log: Log },
): void {
  if (visit.over) return;
  visit.over = true;
  // Work that cannot be called off keeps the place: the server is still busy with it.
  const { release, work } = visit;
  if (release !== null) {
    if (work === null) release();
    else void work.finally(release);
  }
  // The rest of the answer waits for a client that does not read: not for ever.
  if (visit.response.writableLength > 0) visit.response.setTimeout(UNREAD, () => visit.response.destroy());
  const elapsed = performance.now() - visit.startedAt;
  metrics.request(visit.endpoint, status ?? CLIENT_LEFT, elapsed / 1000);
  log.request(() => describe(visit, status ?? CLIENT_LEFT, elapsed), error);
}

/** Ends a visit with an error answer. */
export function refuse(visit: Visit, thrown: unknown, parts: { metrics: Metrics; log: Log }): void {
  if (visit.over) return;
  if (visit.response.destroyed) {
    endVisit(visit, null, null, parts);
    return;
  }
  const error = errorOf(visit, thrown);
  if (visit.token !== null && error.status < 500) parts.metrics.rejection(error.code);
  sendError(visit.response, error, visit.headers);
  endVisit(visit, error.status, error, parts);
}

/** What is no error of the catalogue is a mistake of ours: the client learns the request id, the log the rest. */
export function errorOf(visit: Visit, thrown: unknown): PromgateError {
  if (thrown instanceof PromgateError) return thrown;
  // A client that goes away while it sends its body ends the stream with an error of its own.
  if (visit.request.destroyed && !visit.request.complete) return new PromgateError('bad_data', 'the request ended early');
  return new PromgateError('internal', `internal error; the log has it under request id ${visit.id}`, {
    operator: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
  });
}

function describe(visit: Visit, status: number, elapsed: number) {
  return {
    requestId: visit.id,
    endpoint: visit.endpoint,
    ...(visit.target === null ? {} : { target: targetName(visit.target) }),
    ...(visit.token === null ? {} : { tokenId: visit.token.id }),
    ...(visit.server === null ? {} : { server: visit.server }),
    status,
    durationMs: Math.round(elapsed * 1000) / 1000,
  };
}

/** As on the command line: `acme`, `acme/shop`, `acme/shop:production`. */
function targetName(target: Target): string {
  if (target.level === 'group') return target.group.path;
  if (target.level === 'project') return target.project.path;
  return `${target.environment.project.path}:${target.environment.slug}`;
}

const REQUEST_ID = /^[\w.:-]{1,64}$/;

/** Makes request ids: the client's own where it is harmless, else a new one, unique over restarts and replicas. */
export function requestIds(): (request: IncomingMessage) => string {
  const prefix = crypto.randomUUID().slice(0, 13);
  let count = 0;
  return (request) => {
    const given = request.headers['x-request-id'];
    return typeof given === 'string' && REQUEST_ID.test(given) ? given : `${prefix}-${(++count).toString(36)}`;
  };
}
