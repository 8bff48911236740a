/** One request on its way through the corridor: who, where, since when; and its one ending, counted and logged. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../access/caller.ts';
import type { Target } from '../directory/model.ts';
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
  caller: Caller | null;
  server: string | null;
  /** Refused for what the caller asked. */
  refused: boolean;
  /** Of the answer's body, as sent. */
  bytes: number;
  /** Milliseconds until the server's answer began; 0 where none was asked. */
  upstreamMs: number;
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
    caller: null,
    server: null,
    refused: false,
    bytes: 0,
    upstreamMs: 0,
    release: null,
    work: null,
    over: false,
  };
}

/** What the end of a visit is told to. */
export interface VisitParts {
  readonly metrics: Metrics;
  readonly log: Log;
  /** Accounts for what a caller asked of an endpoint. */
  readonly used: (caller: Caller, target: Target, use: Pick<Visit, 'refused' | 'bytes' | 'upstreamMs'>) => void;
}

/** Counts and logs the end of a visit, once. `status` null: the client left. */
export function endVisit(
  visit: Visit,
  status: number | null,
  error: PromgateError | null,
  { metrics, log, used }: VisitParts,
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
  const { caller } = visit;
  // A token that knocks elsewhere is told apart by its own place.
  const target = visit.target ?? (caller?.kind === 'token' ? caller.token.target : null);
  if (caller !== null && target !== null) used(caller, target, visit);
  log.request(() => describe(visit, status ?? CLIENT_LEFT, elapsed), error);
}

/** Ends a visit with an error answer. */
export function refuse(visit: Visit, thrown: unknown, parts: VisitParts): void {
  if (visit.over) return;
  if (visit.response.destroyed) {
    endVisit(visit, null, null, parts);
    return;
  }
  const error = errorOf(visit, thrown);
  countRefusal(visit, error, parts);
  sendError(visit.response, error, visit.headers);
  endVisit(visit, error.status, error, parts);
}

/** Counts an error as a refusal where the caller is known and the fault is the question's. */
export function countRefusal(visit: Visit, error: PromgateError, { metrics }: VisitParts): void {
  if (visit.caller === null || error.status >= 500) return;
  visit.refused = true;
  metrics.rejection(error.code);
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
    ...(visit.caller === null ? {} : callerFields(visit.caller)),
    ...(visit.server === null ? {} : { server: visit.server }),
    status,
    durationMs: Math.round(elapsed * 1000) / 1000,
  };
}

/** For the log. */
export function callerFields(caller: Caller): Record<string, string | number> {
  if (caller.kind === 'token') return { tokenId: caller.token.id };
  return caller.kind === 'user' ? { userId: caller.user.id } : { issuer: caller.issuer, subject: caller.subject };
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
