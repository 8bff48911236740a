/**
 * The catalogue of errors. An error is a value: a code with its HTTP status and Prometheus `errorType`, one text for
 * the user (never an upstream URL, a credential or another tenant's name) and one for the operator's log.
 * `gateway/envelope.ts` turns it into Prometheus' envelope, `api/problem.ts` into a problem document, the command line prints `message`.
 * Source: contract §6; the error types are those of Prometheus' `web/api/v1/api.go` where it has one.
 */
export const errorCatalogue = {
  bad_data: { status: 400, errorType: 'bad_data' },
  unauthorized: { status: 401, errorType: 'unauthorized' },
  forbidden: { status: 403, errorType: 'forbidden' },
  not_found: { status: 404, errorType: 'not_found' },
  method_not_allowed: { status: 405, errorType: 'method_not_allowed' },
  request_timeout: { status: 408, errorType: 'timeout' },
  conflict: { status: 409, errorType: 'bad_data' },
  precondition_failed: { status: 412, errorType: 'bad_data' },
  too_large: { status: 413, errorType: 'too_large_entry' },
  unsupported_media_type: { status: 415, errorType: 'bad_data' },
  limit: { status: 422, errorType: 'execution' },
  precondition_required: { status: 428, errorType: 'bad_data' },
  too_many_requests: { status: 429, errorType: 'too_many_requests' },
  headers_too_large: { status: 431, errorType: 'bad_data' },
  internal: { status: 500, errorType: 'internal' },
  unavailable: { status: 503, errorType: 'unavailable' },
  timeout: { status: 503, errorType: 'timeout' },
} as const;

/** A key of {@link errorCatalogue}: stable, safe to switch on. */
export type ErrorCode = keyof typeof errorCatalogue;

export interface ErrorDetail {
  /** For the operator's log only; may name what the user must not see, but never a secret. */
  operator?: string;
  /** The error underneath. */
  cause?: unknown;
  /** Response headers that belong to the error, such as `Allow` or `Retry-After`. */
  headers?: Record<string, string>;
}

/** Any refusal or failure that somebody is told about. `message` is the user's text. */
export class PromgateError extends Error {
  readonly code: ErrorCode;
  readonly operator: string | undefined;
  readonly headers: Record<string, string> | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'PromgateError';
    this.code = code;
    this.operator = detail.operator;
    this.headers = detail.headers;
  }

  get status(): number {
    return errorCatalogue[this.code].status;
  }
}

/** What is no error of the catalogue is a mistake of ours: the log has its trace. */
export function internalError(thrown: unknown): PromgateError {
  return new PromgateError('internal', 'internal error; the log has it', {
    operator: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
    cause: thrown,
  });
}
