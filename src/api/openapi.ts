/** The API's document (OpenAPI 3.1.1), made from the operations themselves. It holds no secret and is the same for everybody. */
import { type PermissionName, permissions } from '../access/permissions.ts';
import { type ErrorCode, errorCatalogue } from '../errors.ts';
import { apiPrefix } from './control-api.ts';
import { exampleBodies, exampleQueries, pathParameters } from './examples.ts';
import { type Components, componentsOf, type JsonSchema, parametersOf } from './openapi-schemas.ts';
import type { About, Operation } from './operation.ts';

/** What the document tells of an operation. */
export type DocumentedOperation = Pick<
  Operation,
  | 'id'
  | 'method'
  | 'path'
  | 'tag'
  | 'summary'
  | 'description'
  | 'permission'
  | 'about'
  | 'query'
  | 'body'
  | 'answer'
  | 'lines'
  | 'status'
  | 'etag'
  | 'errors'
> & {
  /** Whether answers depend on `If-Match`. */
  readonly current?: unknown;
  /** Whether tokens of endpoints may do it, too. */
  readonly endpointTokens?: true;
};

export interface DocumentedOperationObject {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly security: readonly JsonSchema[];
  readonly parameters?: readonly ParameterObject[];
  readonly requestBody?: {
    readonly required: boolean;
    readonly content: { readonly 'application/json': { readonly schema: JsonSchema; readonly example?: unknown } };
  };
  readonly responses: Readonly<Record<string, JsonSchema>>;
}

export interface ParameterObject {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description?: string;
  readonly schema: JsonSchema;
  readonly example?: string;
}

export interface OpenApiDocument {
  readonly openapi: '3.1.1';
  readonly info: JsonSchema;
  readonly servers: readonly { readonly url: string }[];
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperationObject>>>>;
  readonly components: JsonSchema & { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

export interface OpenApiOptions {
  readonly externalUrl: string;
  /** Name of the session's cookie. */
  readonly cookie: string;
  readonly version: string;
}

/** Made once for each of `options`: it takes some milliseconds. */
export function openApiDocument(operations: readonly DocumentedOperation[], options: OpenApiOptions): OpenApiDocument {
  const components = componentsOf(operations);
  const paths = Map.groupBy(operations, ({ path }) => path);
  return {
    openapi: '3.1.1',
    info: {
      title: 'Promgate',
      version: options.version,
      description: introduction,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: `${options.externalUrl}${apiPrefix}` }],
    tags: [...new Set(operations.map(({ tag }) => tag))].map((name) => ({ name })),
    paths: Object.fromEntries(
      Array.from(paths, ([path, own]) => [
        path,
        Object.fromEntries(own.map((each) => [each.method.toLowerCase(), operationObject(each, components)])),
      ]),
    ),
    components: {
      securitySchemes: securitySchemes(options.cookie),
      responses,
      schemas: { Problem: problem, ...components.schemas },
    },
  };
}

const introduction = [
  'Programs bring a personal token (`Authorization: Bearer promgate_api_…`), which holds for the scopes it was made with. Pages use the session’s cookie, and send its CSRF token along with whatever is no GET.',
  'What you may not do is answered like what does not exist: 404. Errors are problem documents (RFC 9457).',
  'Lists come in pages: `next` is what `after` of the next page has to be. Updates bring the `ETag` of what was read as `If-Match`, or `*`.',
].join('\n\n');

function operationObject(operation: DocumentedOperation, components: Components): DocumentedOperationObject {
  const { id, tag, summary, description, body } = operation;
  const parameters = parameterObjects(operation);
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: [description, permissionText(operation)].filter((text) => text !== undefined).join('\n\n'),
    security: securityOf(operation),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: !body.safeParse(undefined).success,
            content: { 'application/json': { schema: components.refTo(body), example: exampleBodies[id] } },
          },
        }),
    responses: responsesOf(operation, components),
  };
}

function parameterObjects({ path, query, etag, current, method }: DocumentedOperation): ParameterObject[] {
  const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = '']): ParameterObject => {
    const { meaning = 'Number.', example = '17' } = pathParameters[name] ?? {};
    return { name, in: 'path', required: true, description: meaning, schema: { type: 'string' }, example };
  });
  const inQuery = (query === undefined ? [] : parametersOf(query)).map(({ name, required, schema }): ParameterObject => {
    const { description, ...rest } = schema;
    const example = required ? exampleQueries[name] : undefined;
    return {
      name,
      in: 'query',
      required,
      ...(typeof description === 'string' ? { description } : {}),
      schema: rest,
      ...(example === undefined ? {} : { example }),
    };
  });
  const text = { type: 'string' };
  const headers: ParameterObject[] = [];
  if (current !== undefined) {
    const description = '`ETag` of what was read, or `*` whatever it is now.';
    headers.push({ name: 'If-Match', in: 'header', required: method !== 'DELETE', description, schema: text });
  } else if (etag && method === 'GET') {
    const description = '`ETag` of what is known: then 304 where it still is the same.';
    headers.push({ name: 'If-None-Match', in: 'header', required: false, description, schema: text });
  }
  return [...inPath, ...inQuery, ...headers];
}

/** Who may, in words. */
function permissionText({ permission, about, endpointTokens }: DocumentedOperation): string {
  if (permission === null) return 'Nobody need be signed in.';
  const { scope } = permissions[permission];
  const tokens = scope === null ? 'Not with a personal token.' : `Personal tokens need the scope \`${scope}\`.`;
  const endpoint = endpointTokens ? ' The token of an endpoint will do for what it opens.' : '';
  return `Permission \`${permission}\`: ${roleText(permission, about)}. ${tokens}${endpoint}`;
}

function roleText(permission: PermissionName, about: About): string {
  const { role } = permissions[permission];
  if (role === 'self') return 'everybody, on what is theirs';
  if (role === 'admin' || about.kind === 'instance') return 'administrators';
  if (about.kind === 'visible') return `shows what one is at least ${role} on; administrators see all`;
  const instance = about.kind === 'named' && about.kinds.includes('instance') ? '; on the instance administrators alone' : '';
  return `role ${role} or higher on the group or project, or administrator${instance}`;
}

function securityOf({ permission, method, endpointTokens }: DocumentedOperation): JsonSchema[] {
  if (permission === null) return [];
  const { scope } = permissions[permission];
  return [
    method === 'GET' ? { session: [] } : { session: [], csrf: [] },
    ...(scope === null ? [] : [{ personalToken: [scope] }]),
    ...(endpointTokens ? [{ endpointToken: [] }, { endpointTokenBasic: [] }] : []),
  ];
}

function responsesOf(operation: DocumentedOperation, components: Components): Record<string, JsonSchema> {
  const { answer, status, method, etag, lines, permission, about, path, query, body, current, errors = [] } = operation;
  const isPage = query !== undefined && 'after' in query.shape;
  const headers = {
    ...(etag ? { ETag: { description: 'For `If-Match` of an update.', schema: { type: 'string' } } } : {}),
    ...(isPage ? { Link: { description: '`rel="next"`: URL of the next page.', schema: { type: 'string' } } } : {}),
  };
  const type = lines ? 'application/x-ndjson' : 'application/json';
  const good: JsonSchema = {
    description: answer === null ? 'Done.' : lines ? 'A line for each, of this shape.' : 'Done, and this is the answer.',
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(answer === null ? {} : { content: { [type]: { schema: components.refTo(answer) } } }),
  };
  const codes = new Set<ErrorCode>(errors);
  if (query !== undefined || body !== undefined) codes.add('bad_data');
  if (body !== undefined) codes.add('too_large').add('unsupported_media_type');
  codes.add('unauthorized').add('forbidden');
  if (permission !== null && (!['self', 'visible'].includes(about.kind) || path.includes('{'))) codes.add('not_found');
  if (current !== undefined) codes.add('precondition_failed');
  if (current !== undefined && method !== 'DELETE') codes.add('precondition_required');
  const bad = Array.from(codes, (code) => [errorCatalogue[code].status, { $ref: `#/components/responses/${code}` }] as const);
  return Object.fromEntries<JsonSchema>([
    [status, good],
    ...(etag && method === 'GET' ? [[304, { description: 'It is still what is known.' }] as const] : []),
    ...bad.sort(([a], [b]) => a - b),
    ['default', { $ref: '#/components/responses/internal' }],
  ]);
}

const problem: JsonSchema = {
  type: 'object',
  description: 'RFC 9457.',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What is wrong, and what would be right.' },
    errors: {
      type: 'array',
      description: 'Each fault of a body or query.',
      items: {
        type: 'object',
        properties: {
          pointer: { type: 'string', description: 'JSON Pointer into the body (RFC 6901), as in `#/tls/key`.' },
          parameter: { type: 'string', description: 'Of the query.' },
          detail: { type: 'string' },
        },
        required: ['detail'],
      },
    },
  },
  required: ['type', 'title', 'status', 'detail'],
};

/** Each error once, for all operations. */
const errorTexts: Partial<Readonly<Record<ErrorCode, string>>> = {
  bad_data: 'The body or query is not as documented, or says what cannot be.',
  unauthorized: 'No credentials, or they are not valid any more.',
  forbidden: 'The personal token lacks the scope; or the CSRF token is missing or wrong.',
  not_found: 'There is no such thing, or it is not yours to see.',
  conflict: 'Not as things are now: the name is taken, for example.',
  precondition_failed: 'Somebody else has changed it since it was read.',
  too_large: 'The body is too large.',
  unsupported_media_type: 'The body is not `application/json`.',
  precondition_required: '`If-Match` is missing.',
  too_many_requests: 'Too often; see `Retry-After`.',
  unavailable: 'No server answers, or it must not be asked.',
  internal: 'Anything else: 503 while the database cannot be reached; 500 for a mistake of Promgate’s own.',
};

const retryAfter = { 'Retry-After': { description: 'Seconds.', schema: { type: 'integer' } } };

const responses: JsonSchema = Object.fromEntries(
  Object.entries(errorTexts).map(([code, description]) => [
    code,
    {
      description,
      ...(code === 'too_many_requests' ? { headers: retryAfter } : {}),
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    },
  ]),
);

function securitySchemes(cookie: string): JsonSchema {
  return {
    session: { type: 'apiKey', in: 'cookie', name: cookie, description: 'Of whoever signed in.' },
    csrf: { type: 'apiKey', in: 'header', name: 'X-CSRF-Token', description: '`csrf_token` of `GET /session`.' },
    personalToken: { type: 'http', scheme: 'bearer', description: 'A personal token with the scopes that are named.' },
    endpointToken: { type: 'http', scheme: 'bearer', description: 'The token of an endpoint, or a JWT of a trusted issuer.' },
    endpointTokenBasic: { type: 'http', scheme: 'basic', description: 'The token of an endpoint, with its username.' },
  };
}
