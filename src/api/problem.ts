/** Errors of Promgate's own API: problem documents (RFC 9457). The data plane has Prometheus' envelope instead. */
import { STATUS_CODES } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { $ZodIssue } from 'zod/v4/core';
import { PromgateError } from '../errors.ts';

/** One fault of a request: in its body, by a JSON Pointer as a URI fragment (RFC 6901, section 6; `#` is the whole), or in its query. */
export type Fault =
  | { readonly pointer: string; readonly detail: string }
  | { readonly parameter: string; readonly detail: string };

/** A body or query that can be read and is not what it should be. */
export class FaultyRequest extends PromgateError {
  readonly faults: readonly Fault[];

  constructor(issues: readonly $ZodIssue[], where: 'body' | 'query' = 'body') {
    super('bad_data', `the ${where} is not as documented`);
    const at = (path: readonly PropertyKey[], detail: string): Fault =>
      where === 'body' ? { pointer: pointerTo(path), detail } : { parameter: String(path[0] ?? ''), detail };
    this.faults = issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => at([...issue.path, key], where === 'body' ? 'unknown key' : 'unknown parameter'))
        : [at(issue.path, isMissing(issue) ? `is missing; it ${issue.message}` : reasonOf(issue))],
    );
  }
}

/** Known where the input was reported. */
function isMissing(issue: $ZodIssue): boolean {
  const { code, path, message } = issue;
  return (
    code === 'invalid_type' && path.length > 0 && 'input' in issue && issue.input === undefined && message.startsWith('must ')
  );
}

/** Of a key that is none, what is wrong with it. */
function reasonOf(issue: $ZodIssue): string {
  return (issue.code === 'invalid_key' ? issue.issues[0]?.message : undefined) ?? issue.message;
}

/** A fault that only a look at the whole, or at the database, shows. `path` leads to it in the body. */
export function faultAt(path: readonly PropertyKey[], detail: string): FaultyRequest {
  return new FaultyRequest([{ code: 'custom', path: [...path], message: detail, input: undefined }]);
}

/** One text for what does not exist and what is not the caller's to see. */
export function noSuchThing(): PromgateError {
  return new PromgateError('not_found', 'not found: there is no such thing, or it is not yours to see');
}

function pointerTo(path: readonly PropertyKey[]): string {
  const tokens = path.map((key) => encodeURIComponent(String(key).toWellFormed().replaceAll('~', '~0').replaceAll('/', '~1')));
  return ['#', ...tokens].join('/');
}

/** What Fastify says of a body, in words of our own; `null` where it is not Fastify that speaks. `maxBody` in bytes. */
export function bodyProblem(thrown: unknown, maxBody: number): PromgateError | null {
  if (!(thrown instanceof Error) || thrown instanceof PromgateError) return null;
  const { code, statusCode } = thrown as { code?: unknown; statusCode?: unknown };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new PromgateError('too_large', `the request body is larger than ${maxBody} bytes`);
  }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new PromgateError('unsupported_media_type', 'the request body needs the content type application/json');
  }
  return statusCode === 400 ? new PromgateError('bad_data', 'the request body is not valid JSON', { cause: thrown }) : null;
}

/** Sends an error as the whole answer. */
export function sendProblem(reply: FastifyReply, error: PromgateError): void {
  const { status, message } = error;
  const problem = {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: message,
    ...(error instanceof FaultyRequest ? { errors: error.faults } : {}),
  };
  reply
    .code(status)
    .headers(error.headers ?? {})
    .type('application/problem+json')
    // As bytes: to a text Fastify would add a charset, which the type does not have.
    .send(Buffer.from(JSON.stringify(problem)));
}
