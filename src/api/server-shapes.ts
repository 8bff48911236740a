/**
 * Servers as the API takes and shows them: what comes in is what a resource file may say of one, with secrets written out (an
 * `{ env: … }` or `{ file: … }` would read ours); what goes out holds no secret, only which there are.
 */
import { z } from 'zod';
import { text } from '../config/shapes.ts';
import { formatDuration, formatSize } from '../config/units.ts';
import { exposable, type Server, serverKinds, verifications } from '../directory/model.ts';
import { serverProblems } from '../directory/resource-checks.ts';
import { serverFields, serverSpec, serverValues } from '../directory/server-schema.ts';
import type { Row } from '../storage/schema.ts';
import { revisionOf } from '../storage/servers.ts';
import { id, managedBy } from './shapes.ts';

/** Of a question: the name of what a server attaches to. */
export const owner = z
  .string('must be instance, or the name of a group, project or environment')
  .meta({ description: 'Where it attaches: `instance`, `acme`, `acme/shop` or `acme/shop:production`.' });

/** A whole server, with its owner's name. */
export const newServer = checked(
  z
    .strictObject({ of: owner, ...serverFields(text) })
    .transform(({ of, ...given }) => ({ of, ...serverSpec(given) }))
    .meta({ description: 'The keys of a server in a resource file. Secrets are never shown again.' }),
);

/** Some of a server's keys. What is given takes the place of the whole that was there. */
export const serverChanges = checked(z.strictObject(serverValues(text)).partial());

export type ServerChanges = z.output<typeof serverChanges>;

/** What several values must fulfil together is looked at first: zod would drop one of two that exclude each other. */
function checked<T extends z.ZodType>(schema: T) {
  return z.preprocess((raw, context) => {
    for (const { path, message } of serverProblems(raw)) context.addIssue({ code: 'custom', path: [...path], message });
    return raw;
  }, schema);
}

const names = (meaning: string) => z.array(z.string()).meta({ description: meaning });
const isSet = z.boolean().meta({ description: 'Whether there is one.' });
const duration = z.string().meta({ description: 'Such as `30s`, `1h30m`, `31d`.' });
const size = z.string().meta({ description: 'Such as `64MiB`.' });

export const server = z.object({
  id,
  of: z.string().meta({ description: 'Where it attaches: `instance`, `acme`, `acme/shop` or `acme/shop:production`.' }),
  name: z.string(),
  url: z.string(),
  environment_scope: z.string(),
  enabled: z.boolean(),
  kind: z.enum(serverKinds).nullable().meta({ description: 'null: asked of the server.' }),
  auth: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('basic'), username: z.string() }),
      z.object({ type: z.literal('bearer') }),
    ])
    .nullable()
    .meta({ description: 'Without password or token.' }),
  headers: names('Names of the fixed headers.'),
  query_params: names('Names of the fixed parameters.'),
  tls: z.object({
    ca: isSet,
    cert: isSet,
    key: isSet,
    server_name: z.string().nullable(),
    insecure_skip_verify: z.boolean(),
  }),
  enforce: z.record(z.string(), z.array(z.string())),
  limits: z
    .object({
      timeout: duration,
      max_range: duration,
      max_points: z.int(),
      max_response: size,
      max_query_bytes: size,
      max_depth: z.int(),
      concurrency: z.int(),
      rate: z.number(),
    })
    .partial(),
  cache: z
    .object({
      enabled: z.boolean(),
      recent_window: duration,
      max_age: duration,
      instant: z.boolean(),
      metadata_ttl: duration,
    })
    .partial(),
  expose: z.array(z.enum(exposable)),
  verify: z.enum(verifications),
  restricted: z.boolean().meta({
    description:
      'Whether it may be only where the setting `outbound.allow` lets it: somebody other than an administrator set it up.',
  }),
  readable: z.boolean().meta({ description: 'false: its record cannot be decrypted, so it answers nothing.' }),
  managed_by: managedBy,
  revision: z.string().meta({ description: 'Another one after every change, also of what is not shown.' }),
});

/** `model` is what was made of the row. */
export function showServer(row: Row<'servers'>, model: Server, of: string): z.input<typeof server> {
  const { auth = null, headers = {}, queryParams = {}, tls = {} } = model.connection ?? {};
  return {
    id: row.id,
    of,
    name: model.name,
    url: model.url,
    environment_scope: model.environmentScope,
    enabled: model.enabled,
    kind: model.kind,
    auth: auth === null ? null : 'bearer' in auth ? { type: 'bearer' } : { type: 'basic', username: auth.basic.username },
    headers: Object.keys(headers),
    query_params: Object.keys(queryParams),
    tls: {
      ca: tls.ca !== undefined,
      cert: tls.cert !== undefined,
      key: tls.key !== undefined,
      server_name: tls.serverName ?? null,
      insecure_skip_verify: tls.insecureSkipVerify ?? false,
    },
    enforce: Object.fromEntries(Object.entries(model.enforce).map(([label, values]) => [label, [...values]])),
    limits: shownLimits(model.limits),
    cache: shownCache(model.cache),
    expose: [...model.expose],
    verify: model.verify,
    restricted: row.restricted !== 0,
    readable: model.connection !== null,
    managed_by: row.managed_by,
    revision: revisionOf(row),
  };
}

/** As a resource file says it. */
function shownLimits(limits: Server['limits']) {
  return {
    timeout: written(limits.timeout, formatDuration),
    max_range: written(limits.maxRange, formatDuration),
    max_points: limits.maxPoints,
    max_response: written(limits.maxResponse, formatSize),
    max_query_bytes: written(limits.maxQueryBytes, formatSize),
    max_depth: limits.maxDepth,
    concurrency: limits.concurrency,
    rate: limits.rate,
  };
}

function shownCache(cache: Server['cache']) {
  return {
    enabled: cache.enabled,
    recent_window: written(cache.recentWindow, formatDuration),
    max_age: written(cache.maxAge, formatDuration),
    instant: cache.instant,
    metadata_ttl: written(cache.metadataTtl, formatDuration),
  };
}

function written(value: number | undefined, format: (value: number) => string): string | undefined {
  return value === undefined ? undefined : format(value);
}
