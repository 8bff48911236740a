/**
 * What an operation of the control API is: one value that says who may do it to what, what comes in and what goes out, and does it.
 * The routes, the OpenAPI document and the tests of permissions are all made from the list of them (`operations.ts`).
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { z } from 'zod';
import type { PermissionName } from '../access/permissions.ts';
import type { ErrorCode } from '../errors.ts';
import type { AuditAction, AuditEvent, AuditObject } from '../ops/audit.ts';
import type { StoredKind } from '../storage/audit-objects.ts';
import type { Trx } from '../storage/schema.ts';
import type { ApiCaller } from './caller.ts';
import type { ApiServices } from './control-api.ts';

/** What the permission is asked for. */
export type About =
  /** Whoever asks, who may always. */
  | { readonly kind: 'self' }
  /** The instance, on which nobody has a role: administrators alone may. */
  | { readonly kind: 'instance' }
  /** Everything on which the caller may, out of which `run` makes a list: see {@link Call.visible}. */
  | { readonly kind: 'visible' }
  /** The one that this parameter of the path names. */
  | { readonly kind: StoredKind; readonly param: string }
  /** The instance, group, project or environment that this field of the query or the body names, as on the command line. */
  | {
      readonly kind: 'named';
      readonly in: 'query' | 'body';
      readonly field: string;
      /** What it may be; anything else does not exist here. */
      readonly kinds: readonly ('instance' | 'group' | 'project' | 'environment')[];
    };

export interface Call<Query = unknown, Body = unknown, Prepared = unknown> {
  readonly trx: Trx;
  readonly caller: ApiCaller;
  /** Unix milliseconds. */
  readonly now: number;
  readonly headers: IncomingHttpHeaders;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  readonly prepared: Prepared;
  /** What the permission was given for; for `self` the user. */
  readonly object: AuditObject;
  readonly services: ApiServices;
  /** Tells the audit log, in this transaction. Whatever writes has to, or say one of the next two. */
  record(action: AuditAction, object?: AuditObject, detail?: AuditEvent['detail']): void;
  /** What was called has told the audit log itself. */
  recorded(): void;
  unchanged(): void;
  /** Whether the caller may this, too. */
  may(permission: PermissionName, object: AuditObject): Promise<boolean>;
  /** Headers of the answer, such as `Set-Cookie`. */
  header(name: string, value: string): void;
}

/** What there is of a call before its transaction. */
export type Beforehand<Query = unknown, Body = unknown> = Omit<
  Call<Query, Body>,
  'trx' | 'prepared' | 'record' | 'recorded' | 'unchanged' | 'may' | 'header'
>;

/** Without the types of its parts: what the list holds. */
export interface Operation {
  /** In the OpenAPI document, the log and the tests. */
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below `/-/api/v1`, with parameters as in `/groups/{group}`. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** `null`: nobody need be signed in. */
  readonly permission: PermissionName | null;
  readonly about: About;
  /** Each key a parameter. */
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** `null`: 204, nothing. What it does not name is never sent. */
  readonly answer: z.ZodType | null;
  readonly status: 200 | 201 | 202 | 204;
  /** The answer is JSON lines, each of the shape `answer`: `finish` gives pages of them. */
  readonly lines?: true;
  /** What it may be refused with beyond what its other parts show. For its document. */
  readonly errors?: readonly ErrorCode[];
  /** Whether answers have an `ETag`, which updates must bring back as `If-Match`. */
  readonly etag?: true;
  /** `read` where it changes nothing, whatever the method. */
  readonly transaction: 'read' | 'write';
  /** What takes long, or asks something beyond the database, between the look at the permission and the transaction. */
  readonly prepare?: (input: Beforehand) => Promise<unknown>;
  /** For updates and removals: what the object is now, to the letter as a GET would show it. */
  readonly current?: (call: Call) => Promise<unknown>;
  readonly run: (call: Call) => Promise<unknown>;
  /** What comes after the transaction, and makes the answer of what that gave. */
  readonly finish?: (result: unknown, services: ApiServices, caller: ApiCaller) => Promise<unknown>;
}

type Defined<Query extends z.ZodObject, Body extends z.ZodType, Prepared, Result> = Omit<
  Operation,
  'query' | 'body' | 'prepare' | 'run' | 'current' | 'finish' | 'transaction' | 'status'
> & {
  readonly status?: Operation['status'];
  readonly transaction?: Operation['transaction'];
  readonly query?: Query;
  readonly body?: Body;
  readonly prepare?: (input: Beforehand<z.output<Query>, z.output<Body>>) => Promise<Prepared>;
  readonly current?: (call: Call<z.output<Query>, z.output<Body>>) => Promise<unknown>;
  readonly run: (call: Call<z.output<Query>, z.output<Body>, Prepared>) => Promise<Result>;
  readonly finish?: (result: Result, services: ApiServices, caller: ApiCaller) => Promise<unknown>;
};

/** Defines one, with the types of its parts checked against each other. */
export function operation<Query extends z.ZodObject, Body extends z.ZodType, Prepared, Result>(
  defined: Defined<Query, Body, Prepared, Result>,
): Operation {
  const { method, answer } = defined;
  return {
    status: answer === null ? 204 : 200,
    transaction: method === 'GET' ? 'read' : 'write',
    ...defined,
  } as unknown as Operation;
}
